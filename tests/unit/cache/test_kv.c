/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "tests/unit/cache/kv_help.h"

Test(kv, what_was_put_is_there_and_what_was_deleted_is_not)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);

	cr_expect_null(kv_discarded(kv));
	for (int table = 0; table < KV_TABLES; table++) {
		char value[8];

		snprintf(value, sizeof(value), "v%d", table);
		put(kv, table, "key", value);
		put(kv, table, "empty", "");
	}
	for (int table = 0; table < KV_TABLES; table++) {
		char value[8];

		snprintf(value, sizeof(value), "v%d", table);
		expect(kv, table, "key", value);
		expect(kv, table, "empty", "");
		expect(kv, table, "ke", NULL);
		cr_assert_eq(kv_delete(kv, table, "key", 3, NULL), 0);
		cr_assert_eq(kv_delete(kv, table, "key", 3, NULL), 0);
		expect(kv, table, "key", NULL);
	}
}

Test(kv, sizes_have_limits)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	char key[KV_KEY_MAX + 1] = { 0 }, small[4];
	_cleanup_free_ void *data = NULL;
	size_t len;

	cr_expect_eq(kv_put(kv, KV_BLOBS, key, KV_KEY_MAX, "x", 1, NULL), 0);
	cr_expect_eq(kv_put(kv, KV_BLOBS, key, KV_KEY_MAX + 1, "x", 1, NULL), -EINVAL);
	cr_expect_eq(kv_put(kv, KV_BLOBS, key, 0, "x", 1, NULL), -EINVAL);
	cr_expect_eq(kv_get(kv, KV_BLOBS, key, 0, &data, &len, NULL), -EINVAL);
	cr_expect_eq(kv_put(kv, KV_BLOBS, key, 1, key, KV_VALUE_MAX + 1, NULL), -E2BIG);
	put(kv, KV_BLOBS, "five", "12345");
	put(kv, KV_BLOBS, "four", "1234");
	cr_expect_eq(kv_read(kv, KV_BLOBS, "five", 4, small, sizeof(small), &len, NULL), -E2BIG);
	cr_expect_eq(kv_read(kv, KV_BLOBS, "four", 4, small, sizeof(small), &len, NULL), 0);
	cr_expect_eq(len, 4);
	cr_expect_arr_eq(small, "1234", 4);
}

Test(kv, persistent_tables_survive_and_ephemeral_ones_begin_empty)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path);

	for (int table = 0; table < KV_TABLES; table++)
		put(kv, table, "key", "value");
	kv_close(kv);
	kv = open_kv(t.path);
	cr_expect_null(kv_discarded(kv));
	for (int table = 0; table < KV_INODES; table++)
		expect(kv, table, "key", "value");
	for (int table = KV_INODES; table < KV_TABLES; table++)
		expect(kv, table, "key", NULL);
	kv_close(kv);
}

Test(kv, a_second_opener_is_told_that_it_is_in_use)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path), *second = NULL;
	struct err e = ERR_INIT;

	cr_expect_eq(kv_open(t.path, 64 * MIB, &second, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_null(second);
	kv_close(kv);
}

Test(kv, the_directory_is_made_for_the_owner_alone)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[100];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b", t.path);
	kv_close(open_kv(path));
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0700);
}

Test(kv, a_directory_that_cannot_be_made_is_an_error)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = NULL;
	struct err e = ERR_INIT;
	char path[100];

	tmpdir_write(&t, "file", "x", 1);
	snprintf(path, sizeof(path), "%s/file/cache", t.path);
	cr_expect_eq(kv_open(path, 64 * MIB, &kv, &e), -ENOTDIR);
	cr_expect(strstr(e.message, "/file/cache"));
}

struct seen {
	char text[200];
	int stop_after, result;
};

static int see(void *ctx, const void *key, size_t key_bytes, const void *value, size_t len_bytes,
	       struct err *e)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%.*s=%.*s ", (int)key_bytes, (const char *)key,
		 (int)len_bytes, (const char *)value);
	return --s->stop_after == 0 ? s->result : 0;
}

Test(kv, entries_come_in_order_and_by_prefix)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	static const struct {
		const char *prefix;
		int stop_after, result, expected_result;
		const char *expected;
	} rows[] = {
		{ "", 0, 0, 0, "a=1 ab=2 abc=3 b=4 " },
		{ "ab", 0, 0, 0, "ab=2 abc=3 " },
		{ "b", 0, 0, 0, "b=4 " },
		{ "c", 0, 0, 0, "" },
		{ "aa", 0, 0, 0, "" },
		{ "", 2, 1, 0, "a=1 ab=2 " },
		{ "", 2, -EPERM, -EPERM, "a=1 ab=2 " },
	};

	put(kv, KV_DIRS, "b", "4");
	put(kv, KV_DIRS, "abc", "3");
	put(kv, KV_DIRS, "a", "1");
	put(kv, KV_DIRS, "ab", "2");
	put(kv, KV_RUNS, "ab", "of another table");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct seen s = { .stop_after = rows[i].stop_after, .result = rows[i].result };

		cr_expect_eq(kv_each(kv, KV_DIRS, rows[i].prefix, strlen(rows[i].prefix), see, &s,
				     NULL),
			     rows[i].expected_result);
		cr_expect_str_eq(s.text, rows[i].expected);
	}
}

Test(kv, a_batch_is_seen_when_it_is_committed_and_never_when_aborted)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	struct kv_batch *b = NULL;
	const void *value;
	size_t len;

	put(kv, KV_INODES, "old", "x");
	for (int commit = 0; commit < 2; commit++) {
		cr_assert_eq(kv_batch_begin(kv, &b, NULL), 0);
		cr_assert_eq(kv_batch_put(b, KV_INODES, "new", 3, "1", 1, NULL), 0);
		cr_assert_eq(kv_batch_put(b, KV_BLOBS, "new", 3, "2", 1, NULL), 0);
		cr_assert_eq(kv_batch_delete(b, KV_INODES, "old", 3, NULL), 0);
		cr_assert_eq(kv_batch_get(b, KV_INODES, "new", 3, &value, &len, NULL), 0);
		cr_expect_eq(len, 1);
		cr_expect_eq(kv_batch_get(b, KV_INODES, "old", 3, &value, &len, NULL), KV_ABSENT);
		expect(kv, KV_INODES, "new", NULL);
		expect(kv, KV_INODES, "old", "x");
		if (commit)
			cr_assert_eq(kv_batch_commit(b, NULL), 0);
		else
			kv_batch_abort(b);
		expect(kv, KV_INODES, "new", commit ? "1" : NULL);
		expect(kv, KV_BLOBS, "new", commit ? "2" : NULL);
		expect(kv, KV_INODES, "old", commit ? NULL : "x");
	}
}

Test(kv, a_batch_with_a_failed_change_does_not_commit)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	struct kv_batch *b = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(kv_batch_begin(kv, &b, NULL), 0);
	cr_assert_eq(kv_batch_put(b, KV_INODES, "one", 3, "1", 1, NULL), 0);
	cr_assert_eq(kv_batch_put(b, KV_INODES, "", 0, "1", 1, NULL), -EINVAL);
	cr_assert_eq(kv_batch_put(b, KV_INODES, "two", 3, "1", 1, NULL), -EINVAL);
	cr_assert_eq(kv_batch_commit(b, &e), -EINVAL);
	cr_expect_neq(e.message[0], '\0');
	expect(kv, KV_INODES, "one", NULL);
	put(kv, KV_INODES, "one", "1"); /* others are no longer held up */
}

Test(kv, a_full_map_costs_the_persistent_tables_and_never_the_ephemeral_ones)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ void *value = calloc(1, MIB);
	struct kv *kv = NULL;
	char key[16];

	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	put(kv, KV_INODES, "inode", "stays");
	put(kv, KV_STATE, "state", "goes");
	for (int i = 0; i < 60; i++) {
		size_t len = 1;

		snprintf(key, sizeof(key), "key%d", i);
		cr_assert_eq(kv_put(kv, KV_BLOBS, key, strlen(key), value, MIB, NULL), 0);
		cr_assert_eq(kv_read(kv, KV_BLOBS, key, strlen(key), value, MIB, &len, NULL), 0);
		cr_assert_eq(len, MIB);
		cr_assert_leq(kv_used_bytes(kv), KV_MIN_BYTES + 2 * MIB);
	}
	expect(kv, KV_INODES, "inode", "stays");
	expect(kv, KV_STATE, "state", NULL);
	kv_close(kv);
	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	cr_expect_null(kv_discarded(kv));
	cr_expect_eq(kv_read(kv, KV_BLOBS, "key59", 5, value, MIB, &(size_t){ 0 }, NULL), 0);
	kv_close(kv);
}

Test(kv, ephemeral_tables_take_space_from_persistent_ones_up_to_their_part)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ void *value = calloc(1, MIB);
	struct err e = ERR_INIT;
	struct kv *kv = NULL;
	char key[16];
	int r = 0, count = 0;

	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "key%d", i);
		cr_assert_eq(kv_put(kv, KV_BLOBS, key, strlen(key), value, MIB, NULL), 0);
	}
	while (r == 0 && count < 100) {
		snprintf(key, sizeof(key), "key%d", count);
		r = kv_put(kv, KV_RUNS, key, strlen(key), value, MIB, &e);
		count += r == 0;
	}
	cr_expect_eq(r, -ENOSPC);
	cr_expect(strstr(e.message, "cache_size=") != NULL, "%s", e.message);
	cr_expect_geq(count, 12);
	cr_expect_leq(count, 14);
	cr_expect_eq(e.kind, ERR_IO);
	/* Both go on. */
	put(kv, KV_BLOBS, "key", "value");
	expect(kv, KV_BLOBS, "key", "value");
	cr_expect_leq(kv_used_bytes(kv), KV_MIN_BYTES);
	cr_expect_eq(kv_read(kv, KV_RUNS, "key0", 4, value, MIB, &(size_t){ 0 }, NULL), 0);
	cr_expect_eq(kv_delete(kv, KV_RUNS, "key0", 4, NULL), 0);
	put(kv, KV_RUNS, "key", "value");
	kv_close(kv);
}

Test(kv, a_value_that_cannot_fit_is_refused_and_nothing_else_happens)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ void *value = calloc(1, 20 * MIB);
	struct kv *kv = NULL;

	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	put(kv, KV_INODES, "inode", "stays");
	cr_expect_eq(kv_put(kv, KV_BLOBS, "big", 3, value, 20 * MIB, NULL), -ENOSPC);
	cr_expect_eq(kv_put(kv, KV_RUNS, "big", 3, value, 20 * MIB, NULL), -ENOSPC);
	expect(kv, KV_BLOBS, "big", NULL);
	expect(kv, KV_INODES, "inode", "stays");
	put(kv, KV_BLOBS, "key", "value");
	expect(kv, KV_BLOBS, "key", "value");
	kv_close(kv);
}

Test(kv, two_of_them_work_in_one_process)
{
	_cleanup_tmpdir_ struct tmpdir a = tmpdir_new(), b = tmpdir_new();
	struct kv *one = open_kv(a.path), *two = open_kv(b.path);

	put(one, KV_BLOBS, "key", "1");
	put(two, KV_BLOBS, "key", "2");
	expect(one, KV_BLOBS, "key", "1");
	expect(two, KV_BLOBS, "key", "2");
	kv_close(one);
	kv_close(two);
}

struct worker {
	struct kv *kv;
	unsigned number;
	int failures;
};

/* Writes own keys and reads everybody's, while the map overflows again and again. */
static void *write_and_read(void *arg)
{
	struct worker *w = arg;
	char value[40000];

	for (unsigned i = 0; i < 400; i++) {
		unsigned key = w->number << 16 | i, other = (w->number + 1) % 4 << 16 | i;
		size_t len;
		int r;

		memset(value, (int)(key % 251), sizeof(value));
		w->failures +=
			kv_put(w->kv, KV_BLOBS, &key, sizeof(key), value, sizeof(value), NULL) != 0;
		r = kv_read(w->kv, KV_BLOBS, &other, sizeof(other), value, sizeof(value), &len,
			    NULL);
		w->failures += r < 0;
		if (r == 0)
			for (size_t k = 0; k < len; k += 97)
				w->failures += (uint8_t)value[k] != other % 251;
	}
	return NULL;
}

Test(kv, threads_read_and_write_while_the_map_is_discarded)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct worker workers[4];
	pthread_t threads[4];
	struct kv *kv = NULL;

	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		workers[i] = (struct worker){ kv, i, 0 };
		cr_assert_eq(pthread_create(&threads[i], NULL, write_and_read, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_eq(workers[i].failures, 0, "thread %u", i);
	}
	kv_close(kv);
}
