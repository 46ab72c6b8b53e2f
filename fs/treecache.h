/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsed trees and runs, shared and counted, so that a lookup in a directory of thousands of SSTables does not parse it again. Least recently
 * used ones go first; what is referenced stays. Any thread.
 */
#ifndef SSTABLEFS_FS_TREECACHE_H
#define SSTABLEFS_FS_TREECACHE_H

#include <stdatomic.h>
#include "catalog/meta.h"

struct treecache;

struct cached { /* one tree or one run; immutable but for `inodes` */
	struct id256 digest;
	struct tree *tree; /* or */
	struct run *run;
	uint32_t *run_first; /* tree: how many files the runs before run i hold; run_count + 1 numbers */
	/* private */
	size_t bytes;
	unsigned refs;
	struct cached *hash_next, *lru_prev, *lru_next;
};

struct treecache *treecache_new(struct meta *m, uint64_t max_bytes); /* NULL: out of memory */
void treecache_free(struct treecache *c);			     /* nothing may be referenced */
DEFINE_CLEANUP(struct treecache *, treecache_free);

enum { TREECACHE_WOULD_BLOCK = 1 };
/* A reference to the parsed tree or run. wait = false: TREECACHE_WOULD_BLOCK where it is not here. */
int treecache_tree(struct treecache *c, const struct node_name *n, const struct place *p, bool wait,
		   struct cached **ret, const struct cancel *cancel, struct err *e);
int treecache_run(struct treecache *c, const struct node_name *n, const struct place *p, bool wait,
		  struct cached **ret, const struct cancel *cancel, struct err *e);
void treecache_unref(struct treecache *c, struct cached *item); /* item NULL: nothing */
uint64_t treecache_bytes(struct treecache *c);

#endif
