/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stores that need no server under load, for ThreadSanitizer: 8 threads put, get, list, compare and swap and delete through retry, rate limit, trace and
 * faults, over memory and over a directory. Each thread's own objects are as it left them; a shared counter loses no update; of each key put if absent there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "store/dir.h"
#include "store/mem.h"
#include "store/retry.h"
#include "store/wrap.h"

#define THREADS 8
#define ROUNDS 25
#define BODY_BYTES 20000

struct world {
	struct store *store, *trace;
	struct metrics *metrics;
	atomic_uint faults, next_thread, wins, lost;
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_store: broken: %s\n", promise);
	abort();
}

/* Every seventh request fails before anything of it was done: the retry wrapper hides that. */
static enum fault sometimes(void *ctx, const char *method, const char *key)
{
	struct world *w = ctx;

	return atomic_fetch_add(&w->faults, 1) % 7 == 6 ? FAULT_BEFORE : FAULT_NONE;
}

static void stack_up(struct world *w, struct store *backend)
{
	struct retry_options retry = { .base_ms = 1,
				       .clock = clock_system(),
				       .metrics = w->metrics };
	struct store *s = fault_store_new(backend, sometimes, w);

	w->trace = s = trace_store_new(s, clock_system(), w->metrics);
	s = rate_store_new(s, 4 * GIB, clock_system());
	w->store = retry_store_new(s, &retry);
}

static int ignore(void *ctx, const struct store_entry *entry, struct err *e)
{
	++*(unsigned *)ctx;
	return 0;
}

static void own_object(struct world *w, unsigned index, unsigned round)
{
	_cleanup_free_ char *data = malloc(BODY_BYTES), *got = NULL;
	char key[64];
	const char *keys[] = { key };
	struct store_delete_error error;
	size_t len, errors;

	snprintf(key, sizeof(key), "own/%u/%u", round % 2, index);
	memset(data, (int)(index * 31 + round), BODY_BYTES);
	check(store_put_bytes(w->store, key, data, BODY_BYTES, STORE_ALWAYS, NULL, NULL, NULL,
			      NULL) == 0,
	      "puts succeed");
	check(store_get_alloc(w->store, key, BODY_BYTES, &got, &len, NULL, NULL, NULL) == 0,
	      "what was put is there");
	check(len == BODY_BYTES && memcmp(got, data, len) == 0, "it is what was put");
	if (round % 3 == 0)
		check(store_delete_many(w->store, keys, 1, &error, &errors, NULL, NULL) == 0 &&
			      errors == 0,
		      "deletes succeed");
}

static void count_up(struct world *w)
{
	int r;

	do {
		_cleanup_free_ char *text = NULL;
		struct store_meta meta;
		char next[32];
		size_t len;

		check(store_get_alloc(w->store, "shared/n", 32, &text, &len, &meta, NULL, NULL) ==
			      0,
		      "the counter is there");
		snprintf(next, sizeof(next), "%d", atoi(text) + 1);
		r = store_put_bytes(w->store, "shared/n", next, strlen(next), STORE_IF_MATCH,
				    meta.etag, NULL, NULL, NULL);
		if (r == STORE_PRECONDITION)
			atomic_fetch_add(&w->lost, 1);
	} while (r == STORE_PRECONDITION);
	check(r == 0, "a put if match wins or is told that it lost");
}

static void race(struct world *w, unsigned round)
{
	char key[64];
	int r;

	snprintf(key, sizeof(key), "race/%u", round);
	r = store_put_bytes(w->store, key, "x", 1, STORE_IF_ABSENT, NULL, NULL, NULL, NULL);
	check(r == 0 || r == STORE_PRECONDITION, "a put if absent wins or is told that it lost");
	if (r == 0)
		atomic_fetch_add(&w->wins, 1);
}

static void *work(void *arg)
{
	struct world *w = arg;
	unsigned index = atomic_fetch_add(&w->next_thread, 1);

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned entries = 0;
		struct store_list list = { .prefix = "", .entry = ignore, .ctx = &entries };

		own_object(w, index, round);
		if (round % 5 == index % 5)
			count_up(w);
		race(w, round);
		check(store_list(w->store, &list, NULL, NULL) == 0 && entries >= 2,
		      "listings see what is there");
	}
	return NULL;
}

static void check_end(struct world *w)
{
	_cleanup_free_ char *text = NULL;
	struct trace_counts counts;
	size_t len;

	check(store_get_alloc(w->store, "shared/n", 32, &text, &len, NULL, NULL, NULL) == 0,
	      "the counter is there");
	check(atoi(text) == THREADS * ROUNDS / 5, "no update is lost");
	check(atomic_load(&w->wins) == ROUNDS, "of each race one wins");
	trace_store_counts(w->trace, &counts);
	check(counts.errors > 0 && counts.put > THREADS * ROUNDS, "requests are counted");
}

static void run(struct store *backend)
{
	struct world w = { .metrics = metrics_new() };
	pthread_t threads[THREADS];

	stack_up(&w, backend);
	check(store_put_bytes(w.store, "shared/n", "0", 1, STORE_IF_ABSENT, NULL, NULL, NULL,
			      NULL) == 0,
	      "puts succeed");
	for (size_t i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, work, &w) == 0, "threads start");
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	check_end(&w);
	printf("%s: %u updates met another\n", backend->ops->name, atomic_load(&w.lost));
	store_free(w.store);
	metrics_free(w.metrics);
}

int main(void)
{
	char path[] = "/tmp/sstablefs-stress-XXXXXX";
	struct store *directory = NULL;

	run(mem_store_new(clock_system()));
	check(mkdtemp(path) != NULL, "there is a directory");
	check(dir_store_new(&(struct dir_store_options){ .path = path, .clock = clock_system() },
			    &directory, NULL) == 0,
	      "the directory can be opened");
	run(directory);
	return io_remove_tree(AT_FDCWD, path) < 0 ? 1 : 0;
}
