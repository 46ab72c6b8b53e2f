/* SPDX-License-Identifier: Apache-2.0 */
/* The directories and files of a backup that a restore is about: what is below data/, less what --only and `except` leave out. Always in the same order. */
#ifndef SSTABLEFS_CATALOG_RESTORE_WALK_H
#define SSTABLEFS_CATALOG_RESTORE_WALK_H

#include "catalog/restore.h"

struct restore_walk {
	/* path "" first. empty: no file is below it. May be NULL. */
	int (*directory)(void *ctx, const char *path, const struct attributes *attr, bool empty,
			 struct err *e);
	/* path: of the file, below data/. ordinal: 0, 1, 2… */
	int (*file)(void *ctx, const char *path, const struct entry *entry, uint64_t ordinal,
		    struct err *e);
	void *ctx;
};

/* -EINVAL (ERR_USAGE) where one of `only` or `except` is neither KS nor KS.TABLE. */
int restore_walk_check(const struct restore_options *o, struct err *e);
/* -ENOENT (ERR_NOT_FOUND) where one of `only` names nothing. */
int restore_walk_run(const struct restore_options *o, const struct restore_walk *w, struct err *e);

#endif
