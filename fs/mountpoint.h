/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about mount points, answered without asking the file systems behind them (which may hang). */
#ifndef SSTABLEFS_FS_MOUNTPOINT_H
#define SSTABLEFS_FS_MOUNTPOINT_H

#include <stdbool.h>
#include "base/err.h"

struct mountpoint_info {
	bool mounted;	       /* something is mounted exactly there */
	unsigned major, minor; /* st_dev of the topmost mount */
	char type[64];	       /* "fuse.sstablefs" */
	char source[1024];     /* fsname */
};

/* The last line of /proc/self/mountinfo for that absolute path. 0 or -errno. */
int mountpoint_query(const char *path, struct mountpoint_info *ret);
/* The first mount on that absolute path or below it; ret->mounted says whether there is one, `where` (PATH_MAX bytes) where. 0 or -errno. */
int mountpoint_below(const char *path, struct mountpoint_info *ret, char *where);
/* The path made absolute, symbolic links followed, without asking what is mounted there. New string, or NULL (errno). */
char *mountpoint_absolute(const char *path);
/*
 * Whether something can be mounted there: a sentence for what is missing, no directory, or mounted already. A stale mount of sstablefs (the process that
 * served it was killed) is no obstacle: mountpoint_clear takes it away. One of another file system is.
 */
int mountpoint_check(const char *path, struct err *e);
/* Whether the process that served what is mounted on that absolute path is gone. One that hangs is not. */
bool mountpoint_is_stale(const char *path);
/* Takes away the stale mounts of sstablefs on that absolute path, and how many that were. */
int mountpoint_clear(const char *path, unsigned *ret_cleared, struct err *e);
/* Tells fn of each stale mount of sstablefs that this process can see. 0 or -errno. */
int mountpoint_each_stale(void (*fn)(void *ctx, const char *path, const char *source), void *ctx);
/* Unmounts. lazy: also while it is in use; force (root only): after aborting its connection. 0 or -errno. */
int mountpoint_detach(const char *path, bool lazy, bool force);

#endif
