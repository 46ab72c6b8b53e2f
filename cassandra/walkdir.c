/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/walkdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int open_stream(const struct walkdir *at, DIR **ret, struct err *e)
{
	int fd = openat(at->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	int r = -errno;

	if (dir) {
		*ret = dir;
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return err_errno(e, r, "cannot read directory %s", at->path);
}

int walkdir_each(const struct walkdir *at, const struct cancel *cancel, walkdir_fn *fn, void *ctx,
		 struct err *e)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	int r = open_stream(at, &dir, e);

	while (r >= 0) {
		struct dirent *d;

		if (cancel_is_set(cancel))
			return err_set(e, ERR_IO, -ECANCELED, "cancelled");
		errno = 0;
		d = readdir(dir);
		if (!d)
			return errno ? err_errno(e, -errno, "cannot read directory %s", at->path)
				     : 0;
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = fn(ctx, at, d->d_name, e);
	}
	return r;
}

int walkdir_open(const struct walkdir *at, const char *name, int flags, int *ret, struct err *e)
{
	int fd = openat(at->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);

	if (fd < 0 && (errno == ENOTDIR || errno == ENOENT || errno == ELOOP))
		return 1;
	if (fd < 0)
		return err_errno(e, -errno, "cannot open directory %s/%s", at->path, name);
	*ret = fd;
	return 0;
}

/* Old container runtimes refuse statx. */
static int stat_plainly(const struct walkdir *at, const char *name, struct stat *ret)
{
	return fstatat(at->fd, name, ret, AT_SYMLINK_NOFOLLOW);
}

int walkdir_stat(const struct walkdir *at, const char *name, struct stat *ret,
		 int64_t *ret_btime_ns)
{
	struct statx x;

	*ret_btime_ns = 0;
	if (statx(at->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &x) < 0)
		return errno == ENOSYS || errno == EPERM ? stat_plainly(at, name, ret) : -1;
	*ret = (struct stat){ .st_mode = x.stx_mode,
			      .st_uid = x.stx_uid,
			      .st_gid = x.stx_gid,
			      .st_size = (off_t)x.stx_size,
			      .st_ino = x.stx_ino,
			      .st_mtim = { x.stx_mtime.tv_sec, x.stx_mtime.tv_nsec } };
	if (x.stx_mask & STATX_BTIME)
		*ret_btime_ns = clock_timespec_ns(
			(struct timespec){ x.stx_btime.tv_sec, x.stx_btime.tv_nsec });
	return 0;
}

int walkdir_open_data_dir(const char *path, int *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		*ret = fd;
		return 0;
	}
	if (errno == ENOENT)
		return err_set(e, ERR_USAGE, -ENOENT, "the data directory %s does not exist", path);
	if (errno == ENOTDIR)
		return err_set(e, ERR_USAGE, -ENOTDIR, "the data directory %s is no directory",
			       path);
	return err_errno(e, -errno, "cannot open the data directory %s", path);
}
