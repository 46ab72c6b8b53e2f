/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When credentials are fetched again. They come from a program that prints the next of the numbered
 * files, or fails where there is none; so a test counts fetches and chooses what each brings.
 */
#include <pthread.h>
#include <stdatomic.h>
#include "tests/unit/store/creds_help.h"

#define THREADS 8

static void refresh_open(struct help *h)
{
	help_init(h);
	help_file(h, "program",
		  "#!/bin/sh\ncd %s; echo >> asked; n=$(wc -l < asked)\n"
		  "[ -e gate ] && read x < gate\nexec cat answer$n\n",
		  h->dir);
	help_file(h, "config", "[default]\ncredential_process = %s/program\n", h->dir);
	help_open(h);
}

/* The answer to fetch number n, valid for some seconds; 0: for ever. */
static void answer(struct help *h, int n, const char *key, int seconds)
{
	char name[32], time[CLOCK_RFC3339_BYTES];

	snprintf(name, sizeof(name), "answer%d", n);
	clock_rfc3339(time, h->clock.wall_ns + seconds * SECOND_NS, 0);
	help_file(h, name,
		  "{\"Version\":1,\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"HUSH\"%s%s%s}", key,
		  seconds ? ",\"Expiration\":\"" : "", seconds ? time : "", seconds ? "\"" : "");
}

static size_t fetches(struct help *h)
{
	_cleanup_free_ char *text = NULL;
	char path[128];
	size_t len = 0;

	snprintf(path, sizeof(path), "%s/asked", h->dir);
	io_read_file(AT_FDCWD, path, 10000, &text, &len);
	return len;
}

static void pass(struct help *h, int seconds)
{
	h->clock.wall_ns += seconds * SECOND_NS;
	h->clock.elapsed_ns += seconds * SECOND_NS;
}

static int renew(struct help *h, const char *key, bool sure)
{
	struct creds_value v = { .secret_key = "HUSH" };

	snprintf(v.access_key, sizeof(v.access_key), "%s", key);
	h->err = ERR_INIT;
	return creds_renew(h->creds, &v, sure, NULL, &h->err);
}

Test(creds_refresh, they_are_fetched_again_before_they_expire)
{
	struct help h;

	refresh_open(&h);
	answer(&h, 1, "K1", 3600);
	help_expect(&h, "K1");
	pass(&h, 2600);
	help_expect(&h, "K1");
	cr_expect_eq(fetches(&h), 1);
	pass(&h, 100);
	answer(&h, 2, "K2", 3600);
	help_expect(&h, "K2");
	cr_expect_eq(fetches(&h), 2);
	help_deinit(&h);
}

Test(creds_refresh, a_fetch_that_fails_leaves_the_old_ones_in_use_until_they_expire)
{
	struct help h;

	refresh_open(&h);
	answer(&h, 1, "K1", 3600);
	help_expect(&h, "K1");
	pass(&h, 3000);
	help_expect(&h, "K1"); /* number 2 fails */
	help_expect(&h, "K1");
	cr_expect_eq(fetches(&h), 2);
	pass(&h, 1);
	help_expect(&h, "K1"); /* number 3 */
	pass(&h, 1);
	help_expect(&h, "K1");
	cr_expect_eq(fetches(&h), 3, "ever more slowly");
	pass(&h, 1000);
	help_expect_error(&h, "credential_process: it ended with exit code 1");
	help_expect_error(&h, "credential_process: it ended with exit code 1");
	cr_expect_eq(fetches(&h), 4, "a failure is news for a second");
	pass(&h, 1);
	answer(&h, 5, "K5", 3600);
	help_expect(&h, "K5");
	help_deinit(&h);
}

Test(creds_refresh, those_that_are_handed_out_expired_are_used_for_a_while)
{
	struct help h;

	refresh_open(&h);
	answer(&h, 1, "K1", -100);
	help_expect(&h, "K1");
	pass(&h, 150);
	help_expect(&h, "K1");
	cr_expect_eq(fetches(&h), 1);
	answer(&h, 2, "K2", 3600);
	pass(&h, 100);
	help_expect(&h, "K2");
	help_deinit(&h);
}

Test(creds_refresh, refused_ones_are_fetched_once_more)
{
	struct help h;

	refresh_open(&h);
	answer(&h, 1, "K1", 0);
	answer(&h, 2, "K2", 0);
	answer(&h, 3, "K2", 0);
	help_expect(&h, "K1");
	cr_expect_eq(renew(&h, "K0", true), 0, "others are there already");
	cr_expect_eq(fetches(&h), 1);
	cr_expect_eq(renew(&h, "K1", true), 0, "%s", h.err.message);
	help_expect(&h, "K2");
	cr_expect_eq(renew(&h, "K2", true), CREDS_SAME, "not so soon");
	cr_expect_eq(fetches(&h), 2);
	pass(&h, 10);
	cr_expect_eq(renew(&h, "K2", true), CREDS_SAME);
	cr_expect_eq(fetches(&h), 3);
	help_expect(&h, "K2");
	help_deinit(&h);
}

Test(creds_refresh, refused_ones_are_not_used_again_and_doubted_ones_are)
{
	struct help h;

	refresh_open(&h);
	answer(&h, 1, "K1", 0);
	help_expect(&h, "K1");
	cr_expect_eq(renew(&h, "K1", false), CREDS_SAME, "number 2 fails, K1 may be right");
	help_expect(&h, "K1");
	cr_expect_eq(fetches(&h), 2);
	pass(&h, 10);
	cr_expect_lt(renew(&h, "K1", true), 0, "number 3 fails, K1 is wrong");
	help_expect_error(&h, "exit code 1");
	cr_expect_eq(fetches(&h), 3);
	pass(&h, 1);
	answer(&h, 4, "K4", 0);
	help_expect(&h, "K4");
	help_deinit(&h);
}

Test(creds_refresh, a_rotated_file_is_read_also_where_it_looks_the_same)
{
	static const char form[] =
		"[default]\naws_access_key_id = %s\naws_secret_access_key = HUSH\n";
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct help h;
	char path[128];

	help_init(&h);
	snprintf(path, sizeof(path), "%s/credentials", h.dir);
	help_file(&h, "credentials", form, "K1");
	utimensat(AT_FDCWD, path, times, 0);
	help_open(&h);
	help_expect(&h, "K1");
	help_file(&h, "credentials", form, "K2");
	utimensat(AT_FDCWD, path, times, 0);
	help_expect(&h, "K1");
	cr_expect_eq(renew(&h, "K1", true), 0, "%s", h.err.message);
	help_expect(&h, "K2");
	help_file(&h, "credentials",
		  "[default]\naws_access_key_id"); /* half-way through a change */
	help_expect(&h, "K2");
	help_file(&h, "credentials", form, "K3");
	pass(&h, 1);
	help_expect(&h, "K3");
	help_deinit(&h);
}

/* ---- many threads ---- */

struct crowd {
	struct help *h;
	const char *key;
	struct cancel cancel;
	atomic_int begun, good, failed;
};

static void *ask(void *arg)
{
	struct crowd *c = arg;
	struct creds_value v;
	struct err e = ERR_INIT;

	c->begun++;
	if (creds_get(c->h->creds, &v, &c->cancel, &e) != 0)
		c->failed++;
	else if (strcmp(v.access_key, c->key) == 0)
		c->good++;
	return NULL;
}

static void make_gate(struct help *h, char path[128])
{
	snprintf(path, 128, "%s/gate", h->dir);
	cr_assert_eq(mkfifo(path, 0700), 0);
}

static void open_gate(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY); /* waits for the program */

	cr_assert_eq(write(fd, "\n", 1), 1);
	unlink(path);
}

Test(creds_refresh, one_thread_fetches_and_all_others_wait_for_it_where_there_is_nothing)
{
	struct help h;
	struct crowd c = { .h = &h, .key = "K1" };
	pthread_t threads[THREADS];
	char gate[128];

	refresh_open(&h);
	answer(&h, 1, "K1", 0);
	make_gate(&h, gate);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, ask, &c);
	while (c.begun < THREADS)
		sched_yield();
	open_gate(gate);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(c.good, THREADS);
	cr_expect_eq(fetches(&h), 1);
	help_deinit(&h);
}

Test(creds_refresh, while_one_thread_fetches_the_others_go_on_with_what_is_valid)
{
	struct help h;
	struct crowd fetcher = { .h = &h, .key = "K2" }, other = { .h = &h, .key = "K1" };
	pthread_t threads[2];
	char gate[128];

	refresh_open(&h);
	answer(&h, 1, "K1", 3600);
	answer(&h, 2, "K2", 7200);
	help_expect(&h, "K1");
	make_gate(&h, gate);
	pass(&h, 3000);
	pthread_create(&threads[0], NULL, ask, &fetcher);
	while (fetches(&h) < 2)
		sched_yield();
	pthread_create(&threads[1], NULL, ask, &other);
	pthread_join(threads[1], NULL);
	cr_expect_eq(other.good, 1);
	open_gate(gate);
	pthread_join(threads[0], NULL);
	cr_expect_eq(fetcher.good, 1);
	help_expect(&h, "K2");
	cr_expect_eq(fetches(&h), 2);
	help_deinit(&h);
}

static void *be_refused(void *arg)
{
	struct crowd *c = arg;
	struct creds_value v = { .access_key = "K1", .secret_key = "HUSH" };
	struct err e = ERR_INIT;

	c->begun++;
	c->good += creds_renew(c->h->creds, &v, true, &c->cancel, &e) == 0;
	return NULL;
}

Test(creds_refresh, who_is_refused_while_others_are_fetched_waits_for_them)
{
	struct help h;
	struct crowd fetcher = { .h = &h, .key = "K2" }, refused = { .h = &h };
	pthread_t threads[2];
	char gate[128];

	refresh_open(&h);
	answer(&h, 1, "K0", 3600);
	answer(&h, 2, "K1", 3600);
	answer(&h, 3, "K2", 7200);
	help_expect(&h, "K0");
	cr_expect_eq(renew(&h, "K0", true), 0);
	h.clock.wall_ns += 3000 * SECOND_NS; /* no more than CREDS_RENEW_MIN_MS of elapsed time */
	make_gate(&h, gate);
	pthread_create(&threads[0], NULL, ask, &fetcher);
	while (fetches(&h) < 3)
		sched_yield();
	pthread_create(&threads[1], NULL, be_refused, &refused);
	while (!refused.begun)
		sched_yield();
	usleep(100000); /* so that it waits; without that it would find K2 at once */
	open_gate(gate);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	cr_expect_eq(refused.good, 1);
	cr_expect_eq(fetches(&h), 3);
	help_deinit(&h);
}

Test(creds_refresh, a_fetch_that_is_cancelled_is_taken_over)
{
	struct help h;
	struct crowd first = { .h = &h, .key = "K2" }, second = { .h = &h, .key = "K2" };
	pthread_t threads[2];
	char gate[128];

	refresh_open(&h);
	answer(&h, 2, "K2", 0);
	make_gate(&h, gate);
	pthread_create(&threads[0], NULL, ask, &first);
	while (fetches(&h) < 1)
		sched_yield();
	pthread_create(&threads[1], NULL, ask, &second);
	cancel_set(&first.cancel, 1);
	pthread_join(threads[0], NULL);
	cr_expect_eq(first.failed, 1);
	while (fetches(&h) < 2)
		sched_yield();
	open_gate(gate);
	pthread_join(threads[1], NULL);
	cr_expect_eq(second.good, 1);
	help_deinit(&h);
}

Test(creds_refresh, who_waits_for_another_threads_fetch_can_be_cancelled)
{
	struct help h;
	struct crowd first = { .h = &h, .key = "K1" }, second = { .h = &h, .key = "K1" };
	pthread_t threads[2];
	char gate[128];

	refresh_open(&h);
	answer(&h, 1, "K1", 0);
	make_gate(&h, gate);
	pthread_create(&threads[0], NULL, ask, &first);
	while (fetches(&h) < 1)
		sched_yield();
	cancel_set(&second.cancel, 1);
	pthread_create(&threads[1], NULL, ask, &second);
	pthread_join(threads[1], NULL);
	cr_expect_eq(second.failed, 1);
	open_gate(gate);
	pthread_join(threads[0], NULL);
	cr_expect_eq(first.good, 1);
	help_deinit(&h);
}
