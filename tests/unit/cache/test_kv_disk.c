/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the files: crashes, damage, full disks, deletion. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "cache/mark.h"
#include "tests/unit/cache/kv_help.h"

Test(kv_disk, what_a_killed_process_left_is_discarded)
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
Test(kv_disk, a_file_that_was_garbled_or_cut_is_discarded)
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

Test(kv_disk, a_mark_that_is_missing_garbled_or_of_another_file_is_not_believed)
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

Test(kv_disk, the_mark_is_gone_while_it_is_open)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path);

	kv_close(kv);
	cr_assert_eq(faccessat(t.fd, "closed", F_OK, 0), 0);
	kv = open_kv(t.path);
	cr_assert_neq(faccessat(t.fd, "closed", F_OK, 0), 0);
	kv_close(kv);
}

Test(kv_disk, a_file_with_a_fitting_mark_that_is_no_database_is_discarded)
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

Test(kv_disk, a_directory_in_place_of_a_file_is_removed)
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

Test(kv_disk, a_file_larger_than_it_may_be_now_is_discarded)
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
Test(kv_disk, a_value_that_does_not_fit_its_checksum_is_absent)
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

Test(kv_disk, a_full_disk_is_an_error_and_what_is_there_stays_readable)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(with_full_disk(t.path));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

/* As above; the limit ends with the move, so that the other place has room. */
static int with_full_disk_and_refuge(const char *path, const char *refuge)
{
	struct kv *kv = open_kv(path);
	void *value = calloc(1, MIB);
	struct err e = ERR_INIT;
	int r = 0, i;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(kv_set_refuge(kv, refuge, 32 * MIB), 0);
	put(kv, KV_RUNS, "key", "value");
	put(kv, KV_BLOBS, "kept", "value");
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4 * MIB, RLIM_INFINITY });
	for (i = 0; i < 20 && r == 0; i++)
		r = kv_put(kv, KV_RUNS, &i, sizeof(i), value, MIB, &e);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	if (r != -EAGAIN)
		return 1;
	expect(kv, KV_RUNS, "key", "value");
	expect(kv, KV_BLOBS, "kept", "value");
	if (access(refuge, F_OK) == 0)
		return 2;
	for (i = 0; i < 10; i++)
		if (kv_put(kv, KV_RUNS, &i, sizeof(i), value, MIB, &e) < 0)
			return 3;
	for (r = 0; i < 40 && r == 0; i++)
		r = kv_put(kv, KV_RUNS, &i, sizeof(i), value, MIB, &e);
	if (r != -ENOSPC) /* its part, and no third place */
		return 4;
	expect(kv, KV_RUNS, "key", "value");
	kv_close(kv);
	free(value);
	kv = open_kv(path);
	expect(kv, KV_RUNS, "key", NULL);
	expect(kv, KV_BLOBS, "kept", "value");
	kv_close(kv);
	return 0;
}

Test(kv_disk, ephemeral_tables_move_once_when_their_disk_is_full)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[100], refuge[100];
	pid_t child;
	int status;

	snprintf(path, sizeof(path), "%s/kv", t.path);
	snprintf(refuge, sizeof(refuge), "%s/refuge", t.path);
	child = fork();
	if (child == 0)
		_exit(with_full_disk_and_refuge(path, refuge));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect(WIFEXITED(status));
	cr_expect_eq(WEXITSTATUS(status), 0, "%d", WEXITSTATUS(status));
}

Test(kv_disk, a_directory_that_others_may_write_to_is_refused)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(fchmod(t.fd, 0777), 0);
	cr_expect_eq(kv_open(t.path, 0, &kv, &e), -EPERM);
	cr_expect(strstr(e.message, t.path));
	cr_assert_eq(fchmod(t.fd, 0700), 0);
}

Test(kv_disk, no_file_that_is_mapped_writable_has_holes)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct kv *kv = open_kv(t.path);
	static const char *const names[] = { "data.mdb-lock", "mount.mdb-lock" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_close_ int fd = openat(t.fd, names[i], O_RDONLY | O_CLOEXEC);
		struct stat st;

		cr_assert(fd >= 0 && fsync(fd) == 0 && fstat(fd, &st) == 0);
		cr_expect_geq(st.st_blocks * 512, st.st_size, "%s", names[i]);
	}
	kv_close(kv);
}

static int refuse(void *ctx, const void *key, size_t key_bytes, const void *value, size_t len_bytes,
		  struct err *e)
{
	return err_set(e, ERR_IO, -EEXIST, "there is an entry");
}

Test(kv_disk, the_directory_can_be_deleted_while_it_is_open)
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
	cr_expect_eq(kv_each(kv, KV_BLOBS, NULL, 0, refuse, NULL, NULL), 0);
	kv_close(kv);
	expect(other, KV_BLOBS, "key", "of the other");
	kv_close(other);
	other = open_kv(path);
	cr_expect_null(kv_discarded(other));
	expect(other, KV_BLOBS, "key", "of the other");
	kv_close(other);
}

/* Somebody removed the files, and another process uses the directory: closing must not vouch for that one's file. */
Test(kv_disk, a_directory_that_is_another_process_s_by_now_is_left_alone)
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
