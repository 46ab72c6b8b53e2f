/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a backup below the roots of a restore: made when something is put into them, with owner and mode at once; mtimes are set at the end.
 * One thread at a time.
 */
#ifndef SSTABLEFS_CATALOG_RESTORE_DIRS_H
#define SSTABLEFS_CATALOG_RESTORE_DIRS_H

#include "catalog/restore_attr.h"
#include "catalog/restore_target.h"

struct restore_dirs;

struct restore_dirs *restore_dirs_new(
	struct restore_target *t, const struct restore_attr *a,
	uint64_t memory_bytes); /* borrows both; the directories take at most memory_bytes; NULL: out of memory */
void restore_dirs_free(struct restore_dirs *d);
DEFINE_CLEANUP(struct restore_dirs *, restore_dirs_free);

/* Notes a directory of the backup, "" first; parents come before children, in the order of a walk. empty: nothing but directories is below it. */
int restore_dirs_add(struct restore_dirs *d, const char *path, const struct attributes *attr,
		     bool empty, uint32_t *ret_dir, struct err *e);
/* That directory below a root, made where missing. *ret_fd is valid until the next call. */
int restore_dirs_get(struct restore_dirs *d, size_t root, uint32_t dir, int *ret_fd, struct err *e);
/*
 * The end of a restore: makes the empty directories, ends the target, and sets the attributes of the directories that restore made. A directory that was there before keeps its
 * own, unless owner and mode are those of the backup: then (an earlier run may have made it) it gets the mtime too.
 */
int restore_dirs_finish(struct restore_dirs *d, struct err *e);

#endif
