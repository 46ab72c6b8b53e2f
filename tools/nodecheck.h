/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node, before anything is done: all that would keep it from succeeding, with what to do about it (docs/restore-node.md). Nothing is changed. */
#ifndef SSTABLEFS_TOOLS_NODECHECK_H
#define SSTABLEFS_TOOLS_NODECHECK_H

#include "cassandra/nodejournal.h"
#include "tools/asknode.h"

struct nodecheck_wish { /* borrowed */
	bool remote, no_stage, keep_auth;
	const char *cluster;	 /* that was named on the command line; NULL: none */
	const char *const *only; /* "ks" or "ks.table" */
	size_t only_count;
};

struct nodecheck {
	json_t *refusals, *notes;    /* sentences; no refusal: it can be done */
	struct nodejournal *journal; /* which backup, which directories: what the run begins with */
	bool running;
	struct facts *facts; /* of the running node; NULL: it cannot be asked */
};

/* 0, also where it refuses; < 0: it could not be found out; ERR_NOT_FOUND where the backup holds nothing of what is wished. */
int nodecheck_run(struct cli *cli, const struct asknode *ask, struct session *s,
		  const struct record *rec, const struct nodecheck_wish *wish,
		  struct nodecheck *ret, struct err *e);
void nodecheck_deinit(struct nodecheck *k);

#endif
