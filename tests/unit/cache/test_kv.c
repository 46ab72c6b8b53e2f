/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "cache/kv.h"
#include "cache/mark.h"
#include "tests/unit/base/tmpdir.h"

static struct kv *open_kv(const char *path)
{
	struct kv *kv = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(kv_open(path, 64 * MIB, &kv, &e), 0, "%s", e.message);
	return kv;
}

static void put(struct kv *kv, enum kv_table t, const char *key, const char *value)
{
	struct err e = ERR_INIT;

	cr_assert_eq(kv_put(kv, t, key, strlen(key), value, strlen(value), &e), 0, "%s", e.message);
}

/* The value must be this; NULL: absent. */
static void expect(struct kv *kv, enum kv_table t, const char *key, const char *value)
{
	_cleanup_free_ void *data = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;
	int r = kv_get(kv, t, key, strlen(key), &data, &len, &e);

	cr_assert_eq(r, value ? 0 : KV_ABSENT, "%s: %d %s", key, r, e.message);
	if (value) {
		cr_assert_str_eq(data, value);
		cr_assert_eq(len, strlen(value));
	}
}

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
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	struct kv *second = NULL;
	struct err e = ERR_INIT;

	cr_expect_eq(kv_open(t.path, 64 * MIB, &second, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_null(second);
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

Test(kv, what_a_killed_process_left_is_discarded)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv;
	int status;
	pid_t child;

	kv = open_kv(t.path);
	put(kv, KV_BLOBS, "key", "value");
	kv_close(kv);
	child = fork();
	if (child == 0) {
		kv = open_kv(t.path);
		put(kv, KV_BLOBS, "other", "value");
		raise(SIGKILL);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status));
	kv = open_kv(t.path);
	cr_assert_not_null(kv_discarded(kv));
	cr_expect_str_eq(kv_discarded(kv), "it was not closed");
	expect(kv, KV_BLOBS, "key", NULL);
	expect(kv, KV_BLOBS, "other", NULL);
	put(kv, KV_BLOBS, "key", "new");
	kv_close(kv);
	kv = open_kv(t.path);
	cr_expect_null(kv_discarded(kv));
	expect(kv, KV_BLOBS, "key", "new");
	kv_close(kv);
}

static void fill(struct kv *kv, int count)
{
	for (int i = 0; i < count; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key%d", i);
		put(kv, KV_BLOBS, key, "some value of a few bytes");
	}
}

/* Flips a byte, or cuts the file there. */
static void damage(const struct tmpdir *t, const char *name, off_t at, bool cut)
{
	_cleanup_close_ int fd = openat(t->fd, name, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	cr_assert(fd >= 0);
	if (cut) {
		cr_assert_eq(ftruncate(fd, at), 0);
		return;
	}
	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

static off_t size_of(const struct tmpdir *t, const char *name)
{
	struct stat st;

	cr_assert_eq(fstatat(t->fd, name, &st, 0), 0);
	return st.st_size;
}

/* Many places: each page, at a changing offset, and closely in what LMDB reads first. */
Test(kv, a_file_that_was_garbled_or_cut_is_discarded)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path);
	off_t size, step = 4096 + 52;

	fill(kv, 500);
	kv_close(kv);
	size = size_of(&t, "data.mdb");
	for (off_t at = 0; at < size; at += at < 160 ? 5 : step) {
		for (int cut = 0; cut < 2; cut++) {
			damage(&t, "data.mdb", at, cut);
			kv = open_kv(t.path);
			cr_assert_not_null(kv_discarded(kv), "at %ld", (long)at);
			expect(kv, KV_BLOBS, "key1", NULL);
			fill(kv, 500);
			kv_close(kv);
			size = size_of(&t, "data.mdb");
		}
	}
	kv = open_kv(t.path);
	cr_expect_null(kv_discarded(kv));
	expect(kv, KV_BLOBS, "key499", "some value of a few bytes");
	kv_close(kv);
}

Test(kv, a_mark_that_is_missing_garbled_or_of_another_file_is_not_believed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *mark = NULL;
	size_t len;
	struct kv *kv;

	for (int i = 0; i < 5; i++) {
		kv = open_kv(t.path);
		put(kv, KV_BLOBS, "key", "value");
		put(kv, KV_BLOBS, "count", i % 2 ? "odd" : "even");
		if (i == 4)
			tmpdir_write(&t, "closed", mark, len); /* an old one, in place already */
		if (i == 3) {
			kv_close(kv);
			tmpdir_write(&t, "closed", mark, len);
		} else {
			kv_close(kv);
		}
		if (i == 0) {
			cr_assert_eq(io_read_file(t.fd, "closed", 100, &mark, &len), 0);
			cr_assert_eq(unlinkat(t.fd, "closed", 0), 0);
		}
		if (i == 1)
			damage(&t, "closed", (off_t)len / 2, false);
		if (i == 2)
			damage(&t, "closed", (off_t)len - 3, true);
		kv = open_kv(t.path);
		cr_expect_eq(kv_discarded(kv) != NULL, i != 4, "case %d", i);
		expect(kv, KV_BLOBS, "key", i == 4 ? "value" : NULL);
		kv_close(kv);
	}
}

Test(kv, the_mark_is_gone_while_it_is_open)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path);

	kv_close(kv);
	cr_assert_eq(faccessat(t.fd, "closed", F_OK, 0), 0);
	kv = open_kv(t.path);
	cr_assert_neq(faccessat(t.fd, "closed", F_OK, 0), 0);
	kv_close(kv);
}

Test(kv, a_file_with_a_fitting_mark_that_is_no_database_is_discarded)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	static const size_t sizes[] = { 0, 1, 4095, 4096, 8192, 100000 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *junk = malloc(sizes[i] + 1);
		struct kv *kv;

		memset(junk, 'j', sizes[i]);
		tmpdir_write(&t, "data.mdb", junk, sizes[i]);
		cr_assert_eq(mark_write(t.fd, "closed", "data.mdb", NULL), 0);
		kv = open_kv(t.path);
		put(kv, KV_BLOBS, "key", "value");
		expect(kv, KV_BLOBS, "key", "value");
		kv_close(kv);
	}
}

Test(kv, a_directory_in_place_of_a_file_is_removed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv;

	cr_assert_eq(mkdirat(t.fd, "data.mdb", 0700), 0);
	cr_assert_eq(mkdirat(t.fd, "data.mdb/sub", 0700), 0);
	cr_assert_eq(mkdirat(t.fd, "closed", 0700), 0);
	kv = open_kv(t.path);
	put(kv, KV_BLOBS, "key", "value");
	kv_close(kv);
	kv = open_kv(t.path);
	expect(kv, KV_BLOBS, "key", "value");
	kv_close(kv);
}

Test(kv, a_file_larger_than_it_may_be_now_is_discarded)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ void *big = calloc(1, 20 * MIB);
	struct kv *kv = open_kv(t.path);

	cr_assert_eq(kv_put(kv, KV_BLOBS, "key", 3, big, 20 * MIB, NULL), 0);
	kv_close(kv);
	cr_assert_eq(kv_open(t.path, KV_MIN_BYTES, &kv, NULL), 0);
	cr_assert_not_null(kv_discarded(kv));
	expect(kv, KV_BLOBS, "key", NULL);
	kv_close(kv);
}

/* In a file that LMDB takes, a value that changed. The mark is made to fit, as if the change had come through the file's owner. */
Test(kv, a_value_that_does_not_fit_its_checksum_is_absent)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	static const char value[] = "a value that can be found";
	_cleanup_free_ char *file = NULL;
	struct kv *kv = open_kv(t.path);
	char *at;
	size_t len;

	put(kv, KV_BLOBS, "key", value);
	put(kv, KV_BLOBS, "other", "fine");
	kv_close(kv);
	cr_assert_eq(io_read_file(t.fd, "data.mdb", 64 * MIB, &file, &len), 0);
	at = memmem(file, len, value, strlen(value));
	cr_assert_not_null(at);
	do {
		at[3] ^= 1;
		at = memmem(at, len - (size_t)(at - file), value, strlen(value));
	} while (at);
	tmpdir_write(&t, "data.mdb", file, len);
	cr_assert_eq(mark_write(t.fd, "closed", "data.mdb", NULL), 0);
	kv = open_kv(t.path);
	cr_expect_null(kv_discarded(kv));
	expect(kv, KV_BLOBS, "key", NULL);
	expect(kv, KV_BLOBS, "other", "fine");
	kv_close(kv);
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

	snprintf(s->text + n, sizeof(s->text) - n, "%.*s=%.*s ", (int)key_bytes,
		 (const char *)key, (int)len_bytes, (const char *)value);
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

/* RLIMIT_FSIZE stands for a disk that is full: a write beyond it is short, then fails with EFBIG. */
static int with_full_disk(const char *path)
{
	struct kv *kv = open_kv(path);
	void *value = calloc(1, MIB);
	struct err e = ERR_INIT;
	int r = 0;

	signal(SIGXFSZ, SIG_IGN);
	put(kv, KV_BLOBS, "key", "value");
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4 * MIB, 4 * MIB });
	for (int i = 0; i < 20 && r == 0; i++)
		r = kv_put(kv, KV_BLOBS, &i, sizeof(i), value, MIB, &e);
	if ((r != -EFBIG && r != -EIO) || e.message[0] == '\0')
		return 1;
	expect(kv, KV_BLOBS, "key", "value");
	put(kv, KV_BLOBS, "key", "other");
	expect(kv, KV_BLOBS, "key", "other");
	kv_close(kv);
	free(value);
	kv = open_kv(path);
	expect(kv, KV_BLOBS, "key", "other");
	kv_close(kv);
	return 0;
}

Test(kv, a_full_disk_is_an_error_and_what_is_there_stays_readable)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(with_full_disk(t.path));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

Test(kv, no_file_that_is_mapped_writable_has_holes)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(kv_closep) struct kv *kv = open_kv(t.path);
	static const char *const names[] = { "data.mdb-lock", "mount.mdb-lock" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = openat(t.fd, names[i], O_RDONLY | O_CLOEXEC);
		struct stat st;

		cr_assert(fd >= 0 && fsync(fd) == 0 && fstat(fd, &st) == 0);
		cr_expect_geq(st.st_blocks * 512, st.st_size, "%s", names[i]);
	}
}

Test(kv, the_directory_can_be_deleted_while_it_is_open)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ void *value = calloc(1, MIB);
	struct kv *kv = NULL, *other;
	char path[100];
	int r = 0;

	snprintf(path, sizeof(path), "%s/cache", t.path);
	cr_assert_eq(kv_open(path, KV_MIN_BYTES, &kv, NULL), 0);
	put(kv, KV_BLOBS, "key", "value");
	cr_assert_eq(io_remove_tree(AT_FDCWD, path), 0);
	expect(kv, KV_BLOBS, "key", "value");
	put(kv, KV_BLOBS, "key", "other");
	put(kv, KV_DIRS, "key", "dir");
	expect(kv, KV_BLOBS, "key", "other");
	/* Another process begins anew in its place. */
	other = open_kv(path);
	put(other, KV_BLOBS, "key", "of the other");
	/* The full map of the first one can no longer be made anew. */
	for (int i = 0; i < 40 && r == 0; i++)
		r = kv_put(kv, KV_BLOBS, &i, sizeof(i), value, MIB, NULL);
	cr_expect_lt(r, 0);
	expect(kv, KV_BLOBS, "key", NULL);
	expect(kv, KV_DIRS, "key", "dir");
	cr_expect_eq(kv_delete(kv, KV_BLOBS, "key", 3, NULL), 0);
	cr_expect_lt(kv_put(kv, KV_BLOBS, "key", 3, "x", 1, NULL), 0);
	cr_expect_eq(kv_each(kv, KV_BLOBS, NULL, 0, see, &(struct seen){ 0 }, NULL), 0);
	kv_close(kv);
	expect(other, KV_BLOBS, "key", "of the other");
	kv_close(other);
	other = open_kv(path);
	cr_expect_null(kv_discarded(other));
	expect(other, KV_BLOBS, "key", "of the other");
	kv_close(other);
}

/* Somebody removed the files, and another process uses the directory: closing must not vouch for that one's file. */
Test(kv, a_directory_that_is_another_process_s_by_now_is_left_alone)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path), *other;

	put(kv, KV_BLOBS, "key", "value");
	cr_assert_eq(unlinkat(t.fd, "lock", 0), 0);
	other = open_kv(t.path);
	put(other, KV_BLOBS, "key", "of the other");
	put(other, KV_DIRS, "key", "of the other");
	kv_close(kv);
	cr_expect_neq(faccessat(t.fd, "closed", F_OK, 0), 0);
	cr_expect_eq(faccessat(t.fd, "mount.mdb", F_OK, 0), 0);
	expect(other, KV_BLOBS, "key", "of the other");
	expect(other, KV_DIRS, "key", "of the other");
	kv_close(other);
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
		w->failures += kv_put(w->kv, KV_BLOBS, &key, sizeof(key), value, sizeof(value),
				      NULL) != 0;
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
