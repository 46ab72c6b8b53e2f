/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A repository: repository.json and what is listed below it. Any thread.
 */
#ifndef SSTABLEFS_CATALOG_REPO_H
#define SSTABLEFS_CATALOG_REPO_H

#include "base/clock.h"
#include "catalog/object.h"
#include "catalog/record.h"
#include "store/store.h"

enum repo_access { REPO_READ = 1, REPO_WRITE = 2, REPO_COLLECT = 4 };

struct repo;

/* Creates repository.json (IF_ABSENT). A prefix that holds a repository: ERR_CONFLICT; that holds anything else: ERR_CONFLICT, nothing is written. */
int repo_init(struct store *store, enum object_compression compression, const struct clock *clock,
	      struct err *e);
/* Borrows store (must outlive). Missing: -ENOENT, ERR_NOT_FOUND, "… is not a repository (sstablefs init makes one)". An unknown version, feature of that kind of access, or encryption: -ENOTSUP, ERR_USAGE. */
int repo_open(struct store *store, unsigned access, const struct clock *clock,
	      const struct cancel *c, struct repo **ret, struct err *e);
void repo_free(struct repo *r);
DEFINE_CLEANUP(struct repo *, repo_free);

struct store *repo_store(struct repo *r);
const struct clock *repo_clock(const struct repo *r);
const char *repo_id(const struct repo *r); /* 32 hex digits, drawn by init */
enum object_compression repo_compression(const struct repo *r);

/* Names, in order; unfit names in the bucket are passed over. fn: 0 go on, > 0 stop, < 0 fail. */
typedef int repo_name_fn(void *ctx, const char *name, struct err *e);
int repo_list_clusters(struct repo *r, repo_name_fn *fn, void *ctx, const struct cancel *c,
		       struct err *e);
int repo_list_nodes(struct repo *r, const char *cluster, repo_name_fn *fn, void *ctx,
		    const struct cancel *c, struct err *e);

/*
 * What lies above the nodes and is not of the format: beside repository.json and nodes/, and in nodes/ (cluster NULL), or in a cluster. Whole keys; what ends in '/' is all that
 * lies below it. fn: as above.
 */
int repo_list_foreign(struct repo *r, const char *cluster, repo_name_fn *fn, void *ctx,
		      const struct cancel *c, struct err *e);

/* Whether anything lies below a node: REPO_THERE, 0, or < 0. Unlike a listing of names it asks for nothing above the node, which its credentials may not permit. */
enum { REPO_THERE = 1 };
int repo_has_node(struct repo *r, const struct node_name *n, const struct cancel *c, struct err *e);

/* Record keys of a node with their ETags, in order of (backup, writer): one LIST, nothing fetched. backup NULL: all. */
struct record_key {
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
	char etag[STORE_ETAG_MAX];
	uint64_t size_bytes;
	int64_t modified_ns; /* of the object, by the store's clock */
};
typedef int repo_record_fn(void *ctx, const struct record_key *key, struct err *e);
int repo_list_records(struct repo *r, const struct node_name *n, const char *backup,
		      repo_record_fn *fn, void *ctx, const struct cancel *c, struct err *e);

/* One record. > 0: STORE_NOT_FOUND. ret_etag (STORE_ETAG_MAX bytes) may be NULL. A record whose store_time is not yet known gets it from the answer's Last-Modified. */
int repo_get_record(struct repo *r, const struct node_name *n, const char *backup,
		    const struct ulid *writer, struct record **ret, char *ret_etag,
		    const struct cancel *c, struct err *e);
/* The same, with all that the answer said of the object: its ETag, when it was written, what time it is now, by the store's clock. */
int repo_get_record_meta(struct repo *r, const struct node_name *n, const char *backup,
			 const struct ulid *writer, struct record **ret,
			 struct store_meta *ret_meta, const struct cancel *c, struct err *e);

#endif
