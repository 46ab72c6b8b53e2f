/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees, runs and records, read through caches: a metadata object is fetched once for everything in it, and what was once seen is kept in
 * the local key-value store (by digest; records by ETag), checked again whenever it is read back. Any thread; no lock is held across I/O.
 */
#ifndef SSTABLEFS_CATALOG_META_H
#define SSTABLEFS_CATALOG_META_H

#include "cache/kv.h"
#include "catalog/repo.h"
#include "catalog/source.h"

struct meta;

struct meta_options {
	struct repo *repo;     /* borrowed */
	struct source *source; /* borrowed */
	struct kv *kv;	       /* borrowed; NULL: memory only */
	uint64_t memory_bytes; /* for metadata objects kept in memory; 0: 32 MiB */
};

struct meta *meta_new(const struct meta_options *o); /* NULL: out of memory */
void meta_free(struct meta *m);
DEFINE_CLEANUP(struct meta *, meta_free);

int meta_tree(struct meta *m, const struct node_name *n, const struct place *p, struct tree **ret,
	      const struct cancel *c, struct err *e);
int meta_run(struct meta *m, const struct node_name *n, const struct place *p, struct run **ret,
	     const struct cancel *c, struct err *e);
/* The same of what nobody will ask for again soon: the local store does not keep it. */
int meta_tree_once(struct meta *m, const struct node_name *n, const struct place *p,
		   struct tree **ret, const struct cancel *c, struct err *e);
int meta_run_once(struct meta *m, const struct node_name *n, const struct place *p,
		  struct run **ret, const struct cancel *c, struct err *e);
/* As repo_get_record, but a record whose ETag is known is not fetched again. > 0: STORE_NOT_FOUND. */
int meta_record(struct meta *m, const struct node_name *n, const struct record_key *key,
		struct record **ret, const struct cancel *c, struct err *e);

/*
 * Walks a tree in order: for each directory (path below the root, "" first) its tree, then its runs one by one, then its children. Any callback may be NULL.
 * What the parts say about each other is checked on the way: the first name and number of entries of runs, their order, nothing twice in a directory, depth and length of paths.
 */
struct meta_walk {
	/* Before the tree of a directory below the root is read. > 0: leave the directory out. */
	int (*enter)(void *ctx, const char *path, const struct child *self, struct err *e);
	int (*directory)(void *ctx, const char *path,
			 const struct child *self /* NULL for the root */, const struct tree *tree,
			 struct err *e);
	/* > 0: do not parse this run (entry is not called for it). */
	int (*run)(void *ctx, const char *path, const struct run_ref *ref, struct err *e);
	int (*entry)(void *ctx, const char *path, const struct entry *entry, struct err *e);
	/* A tree (ref NULL) or run of the directory `path` that is missing (-ENOENT) or damaged (-EBADMSG); *e says which object and why. 0: go on without it. NULL: the walk fails. */
	int (*damaged)(void *ctx, const char *path, const struct run_ref *ref, int r,
		       struct err *e);
	void *ctx;
};
int meta_walk(struct meta *m, const struct node_name *n, const struct place *root,
	      const struct meta_walk *w, const struct cancel *c, struct err *e);

#endif
