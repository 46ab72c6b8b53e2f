/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/ulid.h"

#define READ_STEP_BYTES ((size_t)64 * 1024)
#define IOV_STEP 16
#define DEPTH_MAX 128 /* of a tree that is removed: a descriptor for each level */

ssize_t io_pread_full(int fd, void *data, size_t len_bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t n =
			pread(fd, (char *)data + done, len_bytes - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int io_pwrite_full(int fd, const void *data, size_t len_bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t n = pwrite(fd, (const char *)data + done, len_bytes - done,
				   (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

int io_write_full(int fd, const void *data, size_t len_bytes)
{
	size_t done = 0;

	while (done < len_bytes) {
		ssize_t n = write(fd, (const char *)data + done, len_bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Moves (*at, *skip) past `done` bytes and past whatever is empty. */
static void advance(const struct iovec *iov, int iov_count, int *at, size_t *skip, size_t done)
{
	*skip += done;
	while (*at < iov_count && *skip >= iov[*at].iov_len) {
		*skip -= iov[*at].iov_len;
		(*at)++;
	}
}

int io_writev_full(int fd, const struct iovec *iov, int iov_count)
{
	size_t skip = 0;
	int at = 0;

	advance(iov, iov_count, &at, &skip, 0);
	while (at < iov_count) {
		struct iovec step[IOV_STEP];
		int count = MIN_OF(iov_count - at, IOV_STEP);
		ssize_t n;

		memcpy(step, iov + at, (size_t)count * sizeof(step[0]));
		step[0].iov_base = (char *)step[0].iov_base + skip;
		step[0].iov_len -= skip;
		n = writev(fd, step, count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		advance(iov, iov_count, &at, &skip, (size_t)n);
	}
	return 0;
}

/* Reads to the end into *data, whose capacity is *cap; one byte is kept for the NUL. */
static ssize_t read_to_end(int fd, size_t max_bytes, char **data, size_t *cap)
{
	size_t len = 0;

	for (;;) {
		size_t room = MIN_OF(READ_STEP_BYTES, max_bytes - len + 1);
		ssize_t n;

		if (util_grow(data, cap, len + room + 1, 1) < 0)
			return -ENOMEM;
		n = read(fd, *data + len, room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len > max_bytes)
			return -EFBIG;
		if (n == 0)
			return (ssize_t)len;
	}
}

int io_read_stat(int dirfd, const char *path, int flags, size_t max_bytes, char **ret_data,
		 size_t *ret_len, struct stat *ret_st)
{
	/* Without O_NONBLOCK the open of a FIFO waits for somebody who writes. */
	_cleanup_close_ int fd =
		openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
	_cleanup_free_ char *data = NULL;
	size_t cap = 0;
	ssize_t len;

	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	if (S_ISFIFO(ret_st->st_mode))
		return -ESPIPE;
	len = read_to_end(fd, max_bytes, &data, &cap);
	if (len < 0)
		return (int)len;
	data[len] = '\0';
	*ret_data = steal_pointer(&data);
	*ret_len = (size_t)len;
	return 0;
}

int io_read_file(int dirfd, const char *path, size_t max_bytes, char **ret_data, size_t *ret_len)
{
	struct stat st;

	return io_read_stat(dirfd, path, 0, max_bytes, ret_data, ret_len, &st);
}

int io_open_real(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *copy = strdup(path);
	char *rest = copy;

	if (fd < 0 || !copy || *path != '/')
		return copy ? fd < 0 ? -errno : -EINVAL : -ENOMEM;
	for (char *name; (name = strsep(&rest, "/"));) {
		int next = *name ? openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
				 : -1;

		if (*name && next < 0)
			return -errno;
		if (next >= 0) {
			close(fd);
			fd = next;
		}
	}
	*ret_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* The directory part of a path, "." where it has none; NULL when out of memory. */
static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int write_temporary(int dirfd, const char *path, const void *data, size_t len_bytes,
			   mode_t mode)
{
	int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_full(fd, data, len_bytes);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

int io_publish_file(int dirfd, const char *path, const void *data, size_t len_bytes, mode_t mode,
		    struct err *e)
{
	_cleanup_free_ char *directory = directory_of(path);
	_cleanup_free_ char *temporary = NULL;
	struct ulid id = ulid_new(clock_system());
	char name[ULID_TEXT];
	int r;

	if (directory)
		temporary = util_printf("%s/.%s.tmp", directory, ulid_format(name, &id));
	if (!temporary)
		return err_nomem(e);
	r = write_temporary(dirfd, temporary, data, len_bytes, mode);
	if (r == 0 && renameat(dirfd, temporary, dirfd, path) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temporary, 0);
		return err_errno(e, r, "cannot write %s", path);
	}
	r = io_fsync_dir(dirfd, directory);
	if (r < 0)
		return err_errno(e, r, "cannot make %s durable", path);
	return 0;
}

int io_rename_new(int from_fd, const char *name, int to_fd, const char *new_name)
{
	struct stat st;

	if (renameat2(from_fd, name, to_fd, new_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (fstatat(to_fd, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from_fd, name, to_fd, new_name) < 0 ? -errno : 0;
}

int io_mkdirs(int dirfd, const char *path, mode_t mode)
{
	char copy[PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(copy))
		return -ENAMETOOLONG;
	strcpy(copy, path);
	for (size_t i = 1; copy[0] && copy[i]; i++) {
		if (copy[i] != '/')
			continue;
		copy[i] = '\0';
		if (mkdirat(dirfd, copy, mode) < 0 && errno != EEXIST)
			return -errno;
		copy[i] = '/';
	}
	if (mkdirat(dirfd, copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(dirfd, copy, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int io_fsync_dir(int dirfd, const char *path)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int remove_entry(int dirfd, const char *name, int depth, const struct cancel *cancel);

/* Removes what a directory holds; *ret_removed counts it. Takes the descriptor over. */
static int empty_directory(int fd, int depth, const struct cancel *cancel, size_t *ret_removed)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	size_t removed = 0;
	int r = 0;

	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			r = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = remove_entry(dirfd(dir), entry->d_name, depth + 1, cancel);
		removed++;
	}
	closedir(dir);
	*ret_removed = removed;
	return r;
}

static int remove_directory(int dirfd, const char *name, int depth, const struct cancel *cancel)
{
	size_t removed = 0;

	if (depth >= DEPTH_MAX)
		return -ELOOP;
	/* Some file systems skip entries when others are removed meanwhile: again while that gets anywhere. */
	do {
		int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int r;

		if (fd < 0)
			return errno == ENOENT ? 0 : -errno;
		r = empty_directory(fd, depth, cancel, &removed);
		if (r < 0)
			return r;
		if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
	} while (errno == ENOTEMPTY && removed > 0);
	return -errno;
}

static int remove_entry(int dirfd, const char *name, int depth, const struct cancel *cancel)
{
	struct stat st;

	cancel_waits(cancel);
	if (cancel_is_set(cancel))
		return -ECANCELED;
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return remove_directory(dirfd, name, depth, cancel);
	if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

int io_remove_tree(int dirfd, const char *path)
{
	return remove_entry(dirfd, path, 0, NULL);
}

int io_remove_large_tree(int dirfd, const char *path, const struct cancel *cancel)
{
	return remove_entry(dirfd, path, 0, cancel);
}
