/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where restore writes: DIRECTORY and those of --map-data-dir ("roots"), and the directories below them.
 *
 * Files are written into RESTORE_STAGING_NAME at the top of each root, on the same file system, and renamed to where they belong when they are durable: so no table directory ever
 * holds half a file or a strange name. That directory is locked while a restore runs; what a killed one left in it is removed by the next. No symbolic link
 * below a root is followed. One thread at a time, but restore_target_open and _staging, which change nothing.
 */
#ifndef SSTABLEFS_CATALOG_RESTORE_TARGET_H
#define SSTABLEFS_CATALOG_RESTORE_TARGET_H

#include "catalog/restore.h"
#include "catalog/restore_attr.h"

#define RESTORE_STAGING_NAME ".sstablefs-restore"

struct restore_target;

/* Opens the roots that are there; changes nothing. Borrows o's strings and a. */
int restore_target_new(const struct restore_options *o, const struct restore_attr *a,
		       struct restore_target **ret, struct err *e);
/* Removes what is left in staging directories, and roots that were made and are empty. */
void restore_target_free(struct restore_target *t);
DEFINE_CLEANUP(struct restore_target *, restore_target_free);

/* Which root a data directory goes to, and its name as given. */
size_t restore_target_root(const struct restore_target *t, uint32_t data_dir);
size_t restore_target_roots(const struct restore_target *t);
const char *restore_target_name(const struct restore_target *t, size_t root);

/* An open directory (to be closed) by its path below the root, "" for the root. -ENOENT (no error text) where it is not there. */
int restore_target_open(const struct restore_target *t, size_t root, const char *path,
			size_t path_len, int *ret_fd, struct err *e);

/* Makes and locks the roots for which use[root] is true. -EBUSY (ERR_CONFLICT): another restore writes there. */
int restore_target_begin(struct restore_target *t, const bool *use, struct err *e);
/* -ENOSPC where a file system has not that much room. */
int restore_target_check_space(const struct restore_target *t, const uint64_t *need_bytes,
			       struct err *e);
int restore_target_staging(const struct restore_target *t, size_t root);

/* Notes a directory of the backup; parents come before children, in the order of a walk. empty: nothing but directories is below it. */
int restore_target_add(struct restore_target *t, const char *path, const struct attributes *attr,
		       bool empty, uint32_t *ret_dir, struct err *e);
/* That directory below a root, made where missing: with its owner and mode at once. *ret_fd is valid until the next call. */
int restore_target_directory(struct restore_target *t, size_t root, uint32_t dir, int *ret_fd,
			     struct err *e);

/* syncfs of every file system that holds a root in use. */
int restore_target_sync(const struct restore_target *t, struct err *e);
/*
 * Makes the empty directories, sets the attributes of those that restore made, and syncs. A directory that was there before keeps its own, unless
 * owner and mode are those of the backup: then (an earlier run may have made it) it gets the mtime too.
 */
int restore_target_finish(struct restore_target *t, struct err *e);

#endif
