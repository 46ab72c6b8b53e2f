/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where restore writes: DIRECTORY and those of --map-data-dir ("roots").
 *
 * Files are written into RESTORE_STAGING_NAME at the top of each root, on the same file system, and renamed to where they belong when they are durable: so no table directory ever
 * holds half a file or a strange name. That directory is locked while a restore runs; what a killed one left in it is removed by the next. No symbolic link
 * below a root is followed. One thread at a time, but for what takes a const target.
 */
#ifndef SSTABLEFS_CATALOG_RESTORE_TARGET_H
#define SSTABLEFS_CATALOG_RESTORE_TARGET_H

#include "catalog/restore.h"

#define RESTORE_STAGING_NAME ".sstablefs-restore"

struct restore_target;

/* Opens the roots that are there; changes nothing. Borrows o and its strings. */
int restore_target_new(const struct restore_options *o, struct restore_target **ret, struct err *e);
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
/* The errors of what is in the way of that directory (r: of openat), and of another file system that is mounted below a root. */
int restore_target_no_directory(const struct restore_target *t, size_t root, const char *path,
				size_t path_len, int r, struct err *e);
int restore_target_crossing(const struct restore_target *t, size_t root, const char *path,
			    struct err *e);

/* Makes and locks the roots for which use[root] is true. -EBUSY (ERR_CONFLICT): another restore writes there. */
int restore_target_begin(struct restore_target *t, const bool *use, struct err *e);
/* -ENOSPC where a file system has not that much room. */
int restore_target_check_space(const struct restore_target *t, const uint64_t *need_bytes,
			       struct err *e);

/* Of roots in use: the staging directory; whether restore made the root itself, in this run or in one that was killed. */
int restore_target_staging(const struct restore_target *t, size_t root);
bool restore_target_used(const struct restore_target *t, size_t root);
bool restore_target_ours(const struct restore_target *t, size_t root);

/* Renames; -EEXIST where the new name is taken, unless `replace`. 0 or -errno. */
int restore_target_rename(int from_fd, const char *name, int to_fd, const char *new_name,
			  bool replace);
/* syncfs of every file system that holds a root in use. */
int restore_target_sync(const struct restore_target *t, struct err *e);
/* All is in its place: removes the staging directories; the roots stay. */
int restore_target_end(struct restore_target *t, struct err *e);

#endif
