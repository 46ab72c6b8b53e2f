/* SPDX-License-Identifier: Apache-2.0 */
/* The directory store between processes: each opens it for itself. */
#include "tests/unit/base/tmpdir.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "store/dir.h"

#define PROCESSES 16

struct shared { /* seen by all processes */
	atomic_uint ready, wins[64];
};

typedef int child_fn(struct store *s, struct shared *shared, unsigned index);

/* In memory, where fsync takes no time: there the processes meet far more often. */
static struct tmpdir fast_dir_new(void)
{
	struct tmpdir t = { .path = "/dev/shm/sstablefs-test-XXXXXX" };

	cr_assert(mkdtemp(t.path), "mkdtemp: %m");
	t.fd = open(t.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_assert(t.fd >= 0, "open %s: %m", t.path);
	return t;
}

static struct store *open_dir(const struct tmpdir *t)
{
	struct store *s = NULL;

	dir_store_new(&(struct dir_store_options){ .path = t->path, .clock = clock_system() }, &s,
		      NULL);
	return s;
}

static int run_child(const struct tmpdir *t, child_fn *fn, struct shared *shared, unsigned index)
{
	struct store *s = open_dir(t);
	int r;

	if (!s)
		return 1;
	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < PROCESSES)
		sched_yield();
	r = fn(s, shared, index);
	store_free(s);
	return r;
}

static void run_processes(const struct tmpdir *t, child_fn *fn, struct shared **ret)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[PROCESSES];

	cr_assert(shared != MAP_FAILED);
	for (unsigned i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		cr_assert(children[i] >= 0);
		if (children[i] == 0)
			_exit(run_child(t, fn, shared, i));
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		cr_assert_eq(waitpid(children[i], &status, 0), children[i]);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u: status %d", i,
			  status);
	}
	*ret = shared;
}

#define ROUNDS 64

static int race_absent(struct store *s, struct shared *shared, unsigned index)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		char key[32];
		int r;

		snprintf(key, sizeof(key), "race/%u/key", i);
		r = store_put_bytes(s, key, &index, sizeof(index), STORE_IF_ABSENT, NULL, NULL,
				    NULL, NULL);
		if (r == 0)
			atomic_fetch_add(&shared->wins[i], 1);
		else if (r != STORE_PRECONDITION)
			return 1;
	}
	return 0;
}

Test(dir_processes, of_sixteen_puts_if_absent_one_wins)
{
	_cleanup_tmpdir_ struct tmpdir t = fast_dir_new();
	struct shared *shared;

	run_processes(&t, race_absent, &shared);
	for (unsigned i = 0; i < ROUNDS; i++)
		cr_expect_eq(atomic_load(&shared->wins[i]), 1, "round %u", i);
}

#define STEPS 300

/* Adds one to the number at "n", STEPS times. */
static int add_by_match(struct store *s, struct shared *shared, unsigned index)
{
	for (unsigned done = 0; done < STEPS;) {
		_cleanup_free_ char *text = NULL;
		struct store_meta meta;
		char next[32];
		size_t len;
		int r;

		if (store_get_alloc(s, "n", 100, &text, &len, &meta, NULL, NULL))
			return 1;
		snprintf(next, sizeof(next), "%d", atoi(text) + 1);
		r = store_put_bytes(s, "n", next, strlen(next), STORE_IF_MATCH, meta.etag, NULL,
				    NULL, NULL);
		if (r < 0 || r == STORE_NOT_FOUND)
			return 2;
		done += r == 0;
	}
	return 0;
}

Test(dir_processes, no_update_by_put_if_match_is_lost)
{
	_cleanup_tmpdir_ struct tmpdir t = fast_dir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);
	_cleanup_free_ char *text = NULL;
	struct shared *shared;
	size_t len;

	cr_assert_eq(store_put_bytes(s, "n", "0", 1, STORE_ALWAYS, NULL, NULL, NULL, NULL), 0);
	run_processes(&t, add_by_match, &shared);
	cr_assert_eq(store_get_alloc(s, "n", 100, &text, &len, NULL, NULL, NULL), 0);
	cr_assert_eq(atoi(text), PROCESSES * STEPS);
}

/*
 * All kinds of writes to one key. Each that succeeds with a condition ends the version it was conditional on; so no version may be ended twice:
 * a version is numbered by its content, and its end is counted.
 */
static int mix(struct store *s, struct shared *shared, unsigned index)
{
	struct store_delete_error error;
	const char *key = "mixed/key";
	size_t errors;

	for (unsigned i = 0; i < 4; i++) {
		_cleanup_free_ char *text = NULL;
		uint8_t version = (uint8_t)(index * 4 + i); /* of what this process puts */
		struct store_meta meta;
		size_t len;
		int r;

		if (index % 8 == 0)
			r = store_put_bytes(s, key, &version, 1, STORE_ALWAYS, NULL, NULL, NULL,
					    NULL);
		else if (index % 8 == 1)
			r = store_delete_many(s, &key, 1, &error, &errors, NULL, NULL);
		else
			r = store_put_bytes(s, key, &version, 1, STORE_IF_ABSENT, NULL, NULL, NULL,
					    NULL);
		if (r < 0)
			return 1;
		r = store_get_alloc(s, key, 1, &text, &len, &meta, NULL, NULL);
		if (r < 0)
			return 2;
		if (r == STORE_NOT_FOUND)
			continue;
		r = store_put_bytes(s, key, &version, 1, STORE_IF_MATCH, meta.etag, NULL, NULL,
				    NULL);
		if (r < 0)
			return 3;
		/* A process may put its version twice: of the two at most two ends. */
		if (r == 0 && atomic_fetch_add(&shared->wins[(uint8_t)text[0]], 1) >= 2)
			return 4;
	}
	return 0;
}

Test(dir_processes, writes_of_every_kind_to_one_key_never_replace_the_same_version_twice)
{
	_cleanup_tmpdir_ struct tmpdir t = fast_dir_new();
	struct shared *shared;

	run_processes(&t, mix, &shared);
}

/* Directories come and go under everybody's hands. */
static int come_and_go(struct store *s, struct shared *shared, unsigned index)
{
	char key[32];
	const char *keys[] = { key };
	struct store_delete_error error;
	size_t errors;

	for (unsigned i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "a/b/%u/%u", i % 2, index);
		if (store_put_bytes(s, key, key, strlen(key),
				    i % 3 ? STORE_IF_ABSENT : STORE_ALWAYS, NULL, NULL, NULL, NULL))
			return 1;
		if (store_head(s, key, NULL, NULL, NULL))
			return 2;
		if (store_delete_many(s, keys, 1, &error, &errors, NULL, NULL) || errors)
			return 3;
	}
	return 0;
}

Test(dir_processes, directories_are_made_and_removed_at_the_same_time)
{
	_cleanup_tmpdir_ struct tmpdir t = fast_dir_new();
	struct shared *shared;

	run_processes(&t, come_and_go, &shared);
	cr_assert(faccessat(t.fd, "a", F_OK, 0) < 0);
}

#define KILLED_BYTES (2 * MIB)

/* Puts objects until it is killed, and tells of each that was acknowledged. */
static void put_for_ever(const struct tmpdir *t, int report)
{
	struct store *s = open_dir(t);
	uint8_t *data = malloc(KILLED_BYTES);

	for (uint8_t i = 0; s && data; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d%u/%u", i % 3, i);
		memset(data, i, KILLED_BYTES);
		if (store_put_bytes(s, key, data, KILLED_BYTES,
				    i % 2 ? STORE_ALWAYS : STORE_IF_ABSENT, NULL, NULL, NULL, NULL))
			break;
		if (write(report, &i, 1) != 1)
			break;
	}
	_exit(1);
}

static int check_whole(void *ctx, const struct store_entry *entry, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	uint8_t want = (uint8_t)atoi(strchr(entry->key, '/') + 1);
	size_t len;

	cr_assert_eq(store_get_alloc(ctx, entry->key, KILLED_BYTES, &data, &len, NULL, NULL, e), 0);
	cr_assert_eq(len, KILLED_BYTES);
	cr_assert((uint8_t)data[0] == want && memcmp(data, data + 1, len - 1) == 0);
	return 0;
}

static void kill_one(const struct tmpdir *t, unsigned after)
{
	int pipes[2], status;
	uint8_t number = 0;
	pid_t child;
	_cleanup_(store_freep) struct store *s = NULL;
	char key[32];

	cr_assert_eq(pipe(pipes), 0);
	child = fork();
	if (child == 0)
		put_for_ever(t, pipes[1]);
	close(pipes[1]);
	for (unsigned i = 0; i < after; i++)
		cr_assert_eq(read(pipes[0], &number, 1), 1);
	cr_assert_eq(kill(child, SIGKILL), 0);
	cr_assert_eq(waitpid(child, &status, 0), child);
	close(pipes[0]);
	s = open_dir(t);
	snprintf(key, sizeof(key), "d%u/%u", number % 3, number);
	cr_assert_eq(store_head(s, key, NULL, NULL, NULL), 0);
	cr_assert_eq(
		store_list(s, &(struct store_list){ .prefix = "", .entry = check_whole, .ctx = s },
			   NULL, NULL),
		0);
}

Test(dir_processes, a_writer_that_is_killed_leaves_whole_objects_only)
{
	for (unsigned after = 1; after <= 6; after++) {
		_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();

		kill_one(&t, after);
	}
}
