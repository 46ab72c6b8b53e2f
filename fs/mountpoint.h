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
/* The path made absolute without resolving its last component's mount (realpath of the parent). New string, or NULL (errno). */
char *mountpoint_absolute(const char *path);
/* Whether something can be mounted there: a sentence for what is missing, no directory, mounted already, or stale. */
int mountpoint_check(const char *path, struct err *e);

#endif
