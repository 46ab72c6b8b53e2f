/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of things that carry their own links. It grows out of a room; where there is none it becomes slower, nothing else. Not locked. */
#ifndef SSTABLEFS_FS_TABLE_H
#define SSTABLEFS_FS_TABLE_H

#include "fs/room.h"

struct table_item { /* the first member of what is in a table */
	struct table_item *next;
	uint64_t hash;
};

struct table {
	struct table_item **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

/* -ENOSPC or -ENOMEM */
int table_init(struct table *t, struct room *r);
void table_deinit(struct table *t, struct room *r); /* what is in it stays its owner's */
void table_add(struct table *t, struct room *r, struct table_item *i, uint64_t hash);
void table_remove(struct table *t, struct table_item *i);
/* All items of that hash, one after the other; NULL: no more. */
struct table_item *table_first(const struct table *t, uint64_t hash);
struct table_item *table_next(const struct table_item *i);
/* Calls fn for every item, which fn may remove and free. */
void table_each(struct table *t, void (*fn)(void *ctx, struct table_item *i), void *ctx);

#endif
