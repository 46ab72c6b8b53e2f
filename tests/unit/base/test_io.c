/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/io.h"
#include "tests/unit/base/tmpdir.h"

static size_t count_entries(int dirfd)
{
	DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	size_t count = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void expect_content(const struct tmpdir *t, const char *name, const char *expected)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	cr_assert_eq(io_read_file(t->fd, name, 1 << 20, &data, &len), 0, "%s", name);
	cr_expect_eq(len, strlen(expected), "%s", name);
	cr_expect_str_eq(data, expected, "%s", name);
}

Test(io, reads_end_at_the_end_of_the_file)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	static const struct {
		uint64_t offset;
		size_t len;
		ssize_t result;
	} rows[] = { { 0, 10, 10 }, { 0, 20, 10 },  { 4, 3, 3 }, { 4, 20, 6 },
		     { 10, 5, 0 },  { 1000, 5, 0 }, { 3, 0, 0 } };
	char data[20];
	int fd;

	tmpdir_write(&t, "f", "0123456789", 10);
	fd = openat(t.fd, "f", O_RDONLY);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_eq(io_pread_full(fd, data, rows[i].len, rows[i].offset), rows[i].result,
			     "row %zu", i);
		if (rows[i].result > 0)
			cr_expect_eq(data[0], '0' + (int)rows[i].offset, "row %zu", i);
	}
	cr_expect_eq(io_pread_full(fd, data, 1, (uint64_t)1 << 63), -EINVAL);
	cr_expect_eq(io_pwrite_full(fd, data, 1, 0), -EBADF);
	close(fd);
	cr_expect_eq(io_pread_full(-1, data, 1, 0), -EBADF);
}

Test(io, writes_go_where_they_belong)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	int fd = openat(t.fd, "f", O_RDWR | O_CREAT, 0600);

	cr_expect_eq(io_write_full(fd, "abcdef", 6), 0);
	cr_expect_eq(io_pwrite_full(fd, "XY", 2, 2), 0);
	cr_expect_eq(io_write_full(fd, "", 0), 0);
	close(fd);
	expect_content(&t, "f", "abXYef");
	cr_expect_eq(io_write_full(-1, "a", 1), -EBADF);
}

struct pipe_reader {
	int fd;
	char data[300000];
	size_t len;
};

static void *read_pipe(void *arg)
{
	struct pipe_reader *r = arg;
	ssize_t n;

	while ((n = read(r->fd, r->data + r->len, MIN_OF(sizeof(r->data) - r->len, 1009))) > 0)
		r->len += (size_t)n;
	return NULL;
}

/* A pipe takes such a write in many small parts that end in the middle of vectors. */
Test(io, a_vector_is_written_whole_however_it_is_cut)
{
	static struct pipe_reader reader;
	static char bytes[7001];
	struct iovec iov[40];
	size_t total = 0;
	int fds[2];
	pthread_t thread;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(1 + i * 7 + i / 251);
	for (size_t i = 0; i < ARRAY_SIZE(iov); i++) {
		/* Some are empty: at the beginning, in the middle, at the end. */
		iov[i] = (struct iovec){ bytes, i % 3 == 0 ? 0 : 7001 - 13 * i };
		if (i == 1)
			iov[i].iov_len = 1;
		total += iov[i].iov_len;
	}
	cr_assert_eq(pipe(fds), 0);
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	reader.fd = fds[0];
	cr_assert_eq(pthread_create(&thread, NULL, read_pipe, &reader), 0);
	cr_expect_eq(io_writev_full(fds[1], iov, ARRAY_SIZE(iov)), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	cr_assert_eq(reader.len, total);
	for (size_t i = 0, at = 0; i < ARRAY_SIZE(iov); at += iov[i++].iov_len)
		cr_expect_eq(memcmp(reader.data + at, bytes, iov[i].iov_len), 0, "vector %zu", i);
	cr_expect_eq(io_writev_full(-1, iov, ARRAY_SIZE(iov)), -EBADF);
	cr_expect_eq(io_writev_full(-1, iov, 1), 0, "an empty vector needs no write");
	cr_expect_eq(io_writev_full(-1, iov, 0), 0);
}

Test(io, a_file_is_read_whole_or_not_at_all)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	static char big[200000];
	char *data = NULL;
	size_t len = 7;

	memset(big, 'x', sizeof(big));
	tmpdir_write(&t, "big", big, sizeof(big));
	tmpdir_write(&t, "empty", "", 0);
	cr_assert_eq(io_read_file(t.fd, "big", sizeof(big), &data, &len), 0);
	cr_expect_eq(len, sizeof(big));
	cr_expect_eq(memcmp(data, big, sizeof(big)), 0);
	cr_expect_eq(data[len], '\0');
	free(data);
	data = NULL;
	cr_expect_eq(io_read_file(t.fd, "big", sizeof(big) - 1, &data, &len), -EFBIG);
	cr_expect_eq(io_read_file(t.fd, "big", 0, &data, &len), -EFBIG);
	cr_expect_eq(io_read_file(t.fd, "missing", 10, &data, &len), -ENOENT);
	cr_expect_eq(io_read_file(t.fd, ".", 10, &data, &len), -EISDIR);
	cr_expect_null(data, "set only on success");
	cr_assert_eq(io_read_file(t.fd, "empty", 0, &data, &len), 0);
	cr_expect_eq(len, 0);
	cr_expect_str_empty(data);
	free(data);
	/* A file that says it is empty and is not. */
	cr_assert_eq(io_read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &data, &len), 0);
	cr_expect_gt(len, 100);
	free(data);
}

Test(io, a_published_file_replaces_the_old_one_and_leaves_nothing_else)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/sub/f", t.path);
	struct err e = ERR_INIT;
	struct stat st;
	int sub;

	umask(022);
	cr_assert_eq(mkdirat(t.fd, "sub", 0700), 0);
	cr_assert_eq(io_publish_file(t.fd, "f", "one", 3, 0666, &e), 0, "%s", e.message);
	cr_assert_eq(io_publish_file(t.fd, "f", "second", 6, 0600, &e), 0, "%s", e.message);
	expect_content(&t, "f", "second");
	cr_assert_eq(fstatat(t.fd, "f", &st, 0), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(io_publish_file(AT_FDCWD, path, "three", 5, 0666, &e), 0, "%s", e.message);
	expect_content(&t, "sub/f", "three");
	cr_assert_eq(fstatat(t.fd, "sub/f", &st, 0), 0);
	cr_expect_eq(st.st_mode & 0777, 0644, "the umask counts");
	cr_expect_eq(count_entries(t.fd), 2);
	sub = openat(t.fd, "sub", O_RDONLY | O_DIRECTORY);
	cr_expect_eq(count_entries(sub), 1);
	close(sub);
}

Test(io, a_publication_that_fails_leaves_the_old_file_and_nothing_else)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct rlimit limit = { .rlim_cur = 4096, .rlim_max = RLIM_INFINITY };
	static char big[10000];
	struct err e = ERR_INIT;

	tmpdir_write(&t, "f", "old", 3);
	cr_assert_eq(mkdirat(t.fd, "dir", 0700), 0);
	/* The rename fails: the target is a directory. */
	cr_expect_lt(io_publish_file(t.fd, "dir", "x", 1, 0600, &e), 0);
	cr_expect_eq(e.kind, ERR_IO);
	cr_expect_not_null(strstr(e.message, "dir"), "%s", e.message);
	cr_expect_eq(count_entries(t.fd), 2);
	/* The write fails in the middle: a limit on the size of files. */
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_eq(io_publish_file(t.fd, "f", big, sizeof(big), 0600, &e), -EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	expect_content(&t, "f", "old");
	cr_expect_eq(count_entries(t.fd), 2);
	/* No such directory. */
	cr_expect_eq(io_publish_file(t.fd, "no/f", "x", 1, 0600, &e), -ENOENT);
	cr_expect_str_eq(e.message, "cannot write no/f: No such file or directory");
}

Test(io, a_name_of_the_greatest_length_can_be_published)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char name[NAME_MAX + 1];

	memset(name, 'n', NAME_MAX);
	name[NAME_MAX] = '\0';
	cr_expect_eq(io_publish_file(t.fd, name, "x", 1, 0600, NULL), 0);
	expect_content(&t, name, "x");
}

Test(io, directories_are_made_on_the_way)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *absolute = util_printf("%s//x/y/", t.path);
	static const char *const paths[] = { "a", "a/b/c", "a/b/c", "a//d/", "./e/./f", "a/../g/h" };
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		cr_expect_eq(io_mkdirs(t.fd, paths[i], 0755), 0, "%s", paths[i]);
		cr_expect_eq(fstatat(t.fd, paths[i], &st, 0), 0, "%s", paths[i]);
		cr_expect(S_ISDIR(st.st_mode), "%s", paths[i]);
	}
	cr_expect_eq(io_mkdirs(AT_FDCWD, absolute, 0755), 0);
	cr_expect_eq(fstatat(t.fd, "x/y", &st, 0), 0);
	cr_expect_eq(io_mkdirs(AT_FDCWD, "/", 0755), 0);
	tmpdir_write(&t, "file", "", 0);
	cr_expect_eq(io_mkdirs(t.fd, "file", 0755), -ENOTDIR);
	cr_expect_eq(io_mkdirs(t.fd, "file/sub", 0755), -ENOTDIR);
	cr_expect_eq(io_mkdirs(t.fd, "", 0755), -ENOENT);
}

Test(io, a_tree_is_removed_but_not_what_its_links_point_to)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct stat st;

	cr_assert_eq(io_mkdirs(t.fd, "kept/inside", 0755), 0);
	tmpdir_write(&t, "kept/inside/file", "x", 1);
	cr_assert_eq(io_mkdirs(t.fd, "tree/a/b/c/d", 0755), 0);
	tmpdir_write(&t, "tree/a/file", "x", 1);
	tmpdir_write(&t, "tree/a/b/.hidden", "x", 1);
	cr_assert_eq(symlinkat("../../kept", t.fd, "tree/a/link"), 0);
	cr_assert_eq(symlinkat("nowhere", t.fd, "tree/dangling"), 0);
	cr_assert_eq(symlinkat("kept", t.fd, "toplink"), 0);
	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "tree/a/b/c/%d", i);
		tmpdir_write(&t, name, "", 0);
	}
	cr_expect_eq(io_remove_tree(t.fd, "tree"), 0);
	cr_expect_eq(fstatat(t.fd, "tree", &st, 0), -1);
	cr_expect_eq(io_remove_tree(t.fd, "toplink"), 0);
	expect_content(&t, "kept/inside/file", "x");
	cr_expect_eq(io_remove_tree(t.fd, "kept/inside/file"), 0);
	cr_expect_eq(io_remove_tree(t.fd, "never-was"), 0);
	cr_expect_eq(io_remove_tree(t.fd, "never/was"), 0);
	cr_expect_eq(count_entries(t.fd), 1);
}

static void make_large(const struct tmpdir *t)
{
	cr_assert_eq(io_mkdirs(t->fd, "tree/a", 0755), 0);
	for (int i = 0; i < 100; i++) {
		char name[32];

		snprintf(name, sizeof(name), "tree/a/%d", i);
		tmpdir_write(t, name, "", 0);
	}
}

Test(io, the_removal_of_a_large_tree_is_heard_of_and_can_be_interrupted)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct cancel cancel = { .reason = 0 };
	struct stat st;

	make_large(&t);
	cancel_set(&cancel, 2);
	cr_expect_eq(io_remove_large_tree(t.fd, "tree", &cancel), -ECANCELED);
	cr_expect_eq(fstatat(t.fd, "tree/a/99", &st, 0), 0);
	cancel_set(&cancel, 0);
	cancel.waits = 0;
	cr_expect_eq(io_remove_large_tree(t.fd, "tree", &cancel), 0);
	cr_expect_geq(cancel.waits, 102);
	cr_expect_eq(fstatat(t.fd, "tree", &st, 0), -1);
	make_large(&t);
	cr_expect_eq(io_remove_large_tree(t.fd, "tree", NULL), 0);
}

Test(io, a_tree_that_is_too_deep_is_refused)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[2 * 130 + 1];

	for (int i = 0; i < 130; i++)
		memcpy(path + (ptrdiff_t)2 * i, "d/", 2);
	path[sizeof(path) - 1] = '\0';
	cr_assert_eq(io_mkdirs(t.fd, path, 0755), 0);
	cr_expect_eq(io_remove_tree(t.fd, "d"), -ELOOP);
	cr_expect_eq(io_remove_tree(t.fd, "d/d/d/d"), 0);
}
