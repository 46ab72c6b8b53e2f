/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/kvdir.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/io.h"

#define LOCK_NAME "lock"

static bool is_same_file(int dir_fd, const char *name, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(dir_fd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_lock(int dir_fd)
{
	return openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		      0600);
}

/* What is there and can be no lock file goes. */
static int take_lock(struct kvdir *d, const char *path, struct err *e)
{
	bool taken;

	d->lock_fd = open_lock(d->fd);
	if (d->lock_fd < 0 && (errno == ELOOP || errno == EISDIR || errno == ENXIO) &&
	    io_remove_tree(d->fd, LOCK_NAME) == 0)
		d->lock_fd = open_lock(d->fd);
	if (d->lock_fd < 0)
		return err_errno(e, -errno, "cannot make the lock file of the cache %s", path);
	taken = flock(d->lock_fd, LOCK_EX | LOCK_NB) == 0;
	if (!taken && errno != EWOULDBLOCK)
		return err_errno(e, -errno, "cannot lock the cache %s", path);
	/* Not the same: somebody removed it, and may have locked a new one. */
	if (!taken || !is_same_file(d->fd, LOCK_NAME, d->lock_fd))
		return err_set(e, ERR_CONFLICT, -EBUSY, "the cache %s is in use by another process",
			       path);
	return 0;
}

/* Who else could write to it could make us remove or fill files of theirs. */
static int check_owner(int fd, const char *path, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot look at the cache directory %s", path);
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return err_set(
			e, ERR_CONFLICT, -EPERM,
			"the cache directory %s is another user's, or others may write to it",
			path);
	return 0;
}

int kvdir_open_unlocked(const char *path, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = io_mkdirs(AT_FDCWD, path, 0700);

	if (r < 0)
		return err_errno(e, r, "cannot make the cache directory %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, -errno, "cannot open the cache directory %s", path);
	r = check_owner(fd, path, e);
	if (r < 0)
		return r;
	*ret_fd = fd;
	fd = -1;
	return 0;
}

int kvdir_open(struct kvdir *d, const char *path, struct err *e)
{
	int r;

	*d = KVDIR_NONE;
	r = kvdir_open_unlocked(path, &d->fd, e);
	if (r == 0)
		r = take_lock(d, path, e);
	if (r < 0)
		kvdir_close(d);
	return r;
}

void kvdir_close(struct kvdir *d)
{
	util_closep(&d->fd);
	util_closep(&d->lock_fd);
	*d = KVDIR_NONE;
}

bool kvdir_is_ours(const struct kvdir *d, const char *name, int fd)
{
	return is_same_file(d->fd, name, fd) && is_same_file(d->fd, LOCK_NAME, d->lock_fd);
}

int kvdir_make_zeros(const struct kvdir *d, const char *name, size_t len_bytes)
{
	_cleanup_free_ void *zeros = calloc(1, len_bytes);
	_cleanup_close_ int fd = -1;
	int r;

	if (!zeros)
		return -ENOMEM;
	r = io_remove_tree(d->fd, name);
	if (r < 0)
		return r;
	fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	return io_write_full(fd, zeros, len_bytes);
}
