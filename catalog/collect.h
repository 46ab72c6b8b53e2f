/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing what no backup reaches: C1 to C4 of ARCHITECTURE.md section 4 over one node. Any number of collectors may run at once, beside any number of
 * backups and readers; each may end at any moment, and the next one goes on.
 */
#ifndef SSTABLEFS_CATALOG_COLLECT_H
#define SSTABLEFS_CATALOG_COLLECT_H

#include "base/log.h"
#include "cache/kv.h"
#include "catalog/find.h"
#include "catalog/meta.h"
#include "catalog/progress.h"

#define COLLECT_FENCE_MS (INT64_C(24) * 3600 * 1000)
#define COLLECT_KEEP_RECORD_MS (INT64_C(30) * 24 * 3600 * 1000)
#define COLLECT_FOREIGN 1000 /* foreign keys that are named */

struct collect_options {   /* all borrowed */
	struct repo *repo; /* opened with REPO_COLLECT */
	struct meta *meta;
	struct kv *kv;	    /* the memory of the store's probe; NULL: tried each time */
	const char *server; /* as struct probe_memory; may be NULL */
	const struct node_name *where;
	bool full; /* every key of the node is a candidate, also those of writers whose record is gone */
	bool dry_run;	  /* C1 only, nothing is written: what would be condemned */
	int64_t fence_ms; /* OPEN records and HELD pins not renewed for so long, by the store's own clock, are ended; 0: COLLECT_FENCE_MS */
	int64_t keep_record_ms; /* DELETED and ABORTED records go after their objects, at the earliest so long after; 0: COLLECT_KEEP_RECORD_MS */
	unsigned connections;	/* requests at once, >= 1 */
	uint64_t memory_bytes; /* for the keys that are looked at; more of them are worked through in several passes. 0: 192 MiB */
	uint64_t list_keys;	   /* keys of a list at most; 0: 100,000 */
	struct progress *progress; /* files: keys; may be NULL */
	struct log *log;	   /* may be NULL */
	const struct cancel *cancel;
};

struct collect_wait { /* whom a list waits for */
	char *backup;
	struct ulid writer;
	int64_t renewed_ago_s; /* by the store's clock */
};

struct collect_result {
	uint64_t condemned_objects,
		condemned_bytes; /* put on lists by this run; dry run: that would be */
	uint64_t deleted_objects, deleted_bytes;
	uint64_t awaiting_objects; /* on lists that are not due, or whose deletion failed in part */
	uint64_t kept_records;	   /* DELETED and ABORTED ones that are still there */
	uint64_t removed_records;
	struct collect_wait *waits;
	size_t wait_count;
	struct find_damage *
		unreadable; /* what cannot be read: with roots in it, nothing of this node was condemned or deleted */
	size_t unreadable_count;
	bool blocked; /* there are roots in it, and not only lists */
	struct find_damage *
		undeleted; /* keys that the store did not delete: the next run tries again. The first COLLECT_FOREIGN */
	size_t undeleted_count;
	char **foreign; /* keys below the node that are not ours, in the places that were listed: left alone. The first COLLECT_FOREIGN */
	size_t foreign_count;
};

/*
 * 0, also where something waits, was not deleted or could not be read: look into the result. -ENOTSUP (ERR_STORE): the store failed its probe. ERR_CREDENTIALS:
 * the credentials may not delete. Other failures of the store end the run; what it left behind the next one continues.
 */
int collect_run(const struct collect_options *o, struct collect_result **ret, struct err *e);
void collect_result_free(struct collect_result *r);
DEFINE_CLEANUP(struct collect_result *, collect_result_free);

#endif
