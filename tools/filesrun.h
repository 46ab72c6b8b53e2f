/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster whose nodes take files as they are, over ssh (docs/restore-cluster.md, "Files as they are"). Each host runs `restore-node --coordinated`, led by tools/lead.h; this says when each may go
 * on. All hosts take a step before any takes the next:
 *
 *     restore: ready -> fetching -> fetched -> stopping -> exchanged -> starting -> started -> checking -> restored
 *     abort:   ready -> stopping -> exchanged -> starting -> aborted
 *     finish:  ready -> finishing -> finished
 *
 *     plan:    ready -> planned, begun (a host that began it before)
 *
 * But for the start: one seed after another, then rack after rack, the nodes of a rack together. A host that fails keeps the others from the next step, but for the start, where the others go on as long as a seed is up;
 * one that is left out (--without) is looked for, and keeps nobody, but where it answers: then nothing is begun.
 */
#ifndef SSTABLEFS_TOOLS_FILESRUN_H
#define SSTABLEFS_TOOLS_FILESRUN_H

#include "tools/filesplan.h"
#include "tools/lead.h"

enum filesrun_what { FILESRUN_RESTORE, FILESRUN_ABORT, FILESRUN_FINISH, FILESRUN_PLAN };

struct filesrun {
	/* Filled by the caller. */
	struct lead lead; /* but for task and ctx; a host for each node of the plan, in its order */
	enum filesrun_what what;
	struct filesplan *plan; /* locked, and saved before the first word; but for a plan */
	unsigned parallel;	/* hosts that fetch at once; 0: all */
	bool has_query; /* in the last step rows are asked for that only all nodes together may have; hosts may add theirs */
	int64_t wait_ms; /* for a node to stop, and to answer again */
	size_t *group; /* a number for each host, to be filled: those with the least start first */
	/* The run's own. */
	struct lead_task task;
	bool begun;   /* some host was told to do something */
	size_t step;  /* that hosts take now */
	size_t seeds; /* how many groups are of a seed */
};

/*
 * 0: every host came to an end (its state says which). < 0: nothing was begun, *e says why. Of a plan lead.refusal says why nothing would be, though each host would; whoever failed, or has refusals in
 * its result, does not.
 */
int filesrun_run(struct filesrun *run, struct err *e);
/* "abort", "finish": of the option that asks for it; "" for a restore and its plan. */
const char *filesrun_word(enum filesrun_what what);

#endif
