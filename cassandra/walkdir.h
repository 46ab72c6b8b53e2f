/* SPDX-License-Identifier: Apache-2.0 */
/* Reading directories by descriptor, entry by entry. */
#ifndef SSTABLEFS_CASSANDRA_WALKDIR_H
#define SSTABLEFS_CASSANDRA_WALKDIR_H

#include <stdint.h>
#include <sys/stat.h>
#include "base/cancel.h"
#include "base/err.h"

/* A directory that is being read: where it is and how errors call it. */
struct walkdir {
	int fd;
	const char *path;
};

/* Called for each name but "." and "..": 0 go on, < 0 fail. */
typedef int walkdir_fn(void *ctx, const struct walkdir *at, const char *name, struct err *e);

/* In no order. -ECANCELED once cancel is set. */
int walkdir_each(const struct walkdir *at, const struct cancel *cancel, walkdir_fn *fn, void *ctx,
		 struct err *e);
/* Opens the directory `name` below; flags: 0 or O_NOFOLLOW. > 0: it is no directory or not there. */
int walkdir_open(const struct walkdir *at, const char *name, int flags, int *ret, struct err *e);
/*
 * The entry itself, not what a symbolic link leads to: its type, mode, owner, size, inode and mtime in *ret, the rest is zero. *ret_btime_ns: when it was created, 0 where
 * that is not known. As fstatat: -1 and errno.
 */
int walkdir_stat(const struct walkdir *at, const char *name, struct stat *ret,
		 int64_t *ret_btime_ns);
/* Opens a data directory that the user named: -ENOENT or -ENOTDIR (ERR_USAGE) where it is none. */
int walkdir_open_data_dir(const char *path, int *ret, struct err *e);

#endif
