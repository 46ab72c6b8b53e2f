/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node, before anything is done: what of the backup comes, and whether each file system has room for its part. */
#ifndef SSTABLEFS_TOOLS_NODESPACE_H
#define SSTABLEFS_TOOLS_NODESPACE_H

#include "cassandra/nodejournal.h"
#include "catalog/restore.h"

struct nodespace_use {	  /* of a file system */
	const char *path; /* the first place on it */
	uint64_t need_bytes, free_bytes;
	uint64_t reserve_bytes; /* that must stay free; 0 without staging */
};

struct nodespace { /* what is told; any callback may be NULL */
	/* A table of the backup that comes and has files. */
	int (*table)(void *ctx, const char *keyspace, const char *directory, struct err *e);
	/* A file system that has less room than its part of the backup takes, in whole blocks, and where it is staged 5 % of the file system, at most 1 GiB, which the node may need meanwhile. Without staging what is there now counts as free. */
	int (*full)(void *ctx, const struct nodespace_use *use, struct err *e);
	void *ctx;
};

/* `o`: repository, record, and cancel; what comes, and where, is the journal's. ERR_NOT_FOUND where --only names nothing of the backup. */
int nodespace_run(const struct nodejournal *j, const struct restore_options *o,
		  const struct nodespace *s, struct err *e);

#endif
