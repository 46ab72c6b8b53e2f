/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node where restore-cluster leads it from another host (docs/restore-cluster.md, "Files as they are"): what it says of itself, and the steps that it is let to take. */
#ifndef SSTABLEFS_TOOLS_NODEFOLLOW_H
#define SSTABLEFS_TOOLS_NODEFOLLOW_H

#include "cassandra/nodejournal.h"
#include "tools/asknode.h"
#include "tools/follow.h"

/* As many steps are taken when … */
enum { NODEFOLLOW_FETCHED = 1, NODEFOLLOW_EXCHANGED, NODEFOLLOW_STARTED }; /* of a restore */
enum { NODEFOLLOW_BACK = 1 }; /* of an abort: the data of before are in place again */

/* A plan has no step: it is told, behind `ready`. */
extern const struct follow_task nodefollow_plan, nodefollow_restore, nodefollow_abort,
	nodefollow_finish;

/* What is true before anything is done; borrowed. */
struct nodefollow_self {
	const struct cli *cli;
	const struct asknode *ask;
	const struct facts *facts;	   /* of the running node; NULL: it was not asked */
	const struct nodejournal *journal; /* NULL: nothing is begun */
	const char *writer; /* of the backup that is, or is to be, restored; "": of none */
	const char *repository;
	bool has_query; /* in the end rows are asked for that only all nodes together may have */
};
int nodefollow_ready(const struct nodefollow_self *self, struct err *e);
/*
 * nodejournal_lock, and where another restore-node is at work, waits for its end: after a coordinator was killed the one that it led may still end a step. -EBUSY (ERR_CONFLICT) after `timeout_ms`.
 */
int nodefollow_lock(struct cli *cli, const char *data_dir, bool make, int64_t timeout_ms,
		    int *ret_fd, struct err *e);

#endif
