/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore-node at work: the steps of docs/restore-node.md, each noted in the journal before and after it, so that a run that ended anywhere is continued by the next one. The caller holds
 * the journal's lock.
 */
#ifndef SSTABLEFS_TOOLS_NODERUN_H
#define SSTABLEFS_TOOLS_NODERUN_H

#include "cassandra/nodejournal.h"
#include "catalog/restore.h"
#include "tools/asknode.h"
#include "tools/checkquery.h"
#include "tools/nodefollow.h"
#include "tools/nodehooks.h"

struct noderun { /* borrowed */
	struct cli *cli;
	const struct asknode *ask;
	struct nodejournal *journal;
	/* For noderun_restore, where the backup is not fetched yet (noderun_fetches). */
	struct session *session;
	const struct record *record;
	const struct common *common;
	struct checkquery query;
	struct nodehooks hooks;
	struct follow *follow; /* that lets the steps be taken; NULL: nobody */
	int64_t wait_ms;       /* for the node to stop, and to answer CQL again */
	bool resumed, started;
	struct heldrestore *held; /* of noderun_restore itself */
	/* What was done. */
	bool ended; /* nothing is left that could be aborted or finished */
	struct restore_result fetched;
	int64_t stopped_ms, answered_ms; /* clock_elapsed_ms; 0: not in this run */
};

/* Whether the journal wants something of the repository still. */
bool noderun_fetches(const struct nodejournal *j);
/* All steps that the journal does not say are done. */
int noderun_restore(struct noderun *n, struct err *e);
/* Whether these may be done at all, before anything is; noderun_check_again: what a journal says was begun. -EBUSY (ERR_CONFLICT). */
int noderun_check_again(const struct nodejournal *j, struct err *e);
int noderun_check_abort(const struct nodejournal *j, struct err *e);
int noderun_check_finish(const struct nodejournal *j, bool led, struct err *e);
/* Puts back what was there before, and starts the node where it had to be stopped. */
int noderun_abort(struct noderun *n, struct err *e);
/* Removes what was there before. -EBUSY (ERR_CONFLICT) where the restore is not done. */
int noderun_finish(struct noderun *n, struct err *e);

#endif
