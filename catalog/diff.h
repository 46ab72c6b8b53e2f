/* SPDX-License-Identifier: Apache-2.0 */
/* diff: files added, removed and changed between two backups, by path and content. Only what differs in the trees is read. */
#ifndef SSTABLEFS_CATALOG_DIFF_H
#define SSTABLEFS_CATALOG_DIFF_H

#include "catalog/meta.h"

enum diff_kind {
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED /* content */,
	DIFF_ATTRIBUTES /* same content; mode, owner or mtime differ */
};

/* In order of path. a or b is NULL for added and removed. */
typedef int diff_fn(void *ctx, enum diff_kind kind, const char *path, const struct entry *a,
		    const struct entry *b, struct err *e);
int diff_run(struct meta *m, const struct record *a, const struct record *b, diff_fn *fn, void *ctx,
	     const struct cancel *c, struct err *e);

#endif
