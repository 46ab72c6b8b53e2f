/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks of restore-node, around four phases: fetch; exchange, from Cassandra's stop to its start; check; and load, of tables into a node that runs. */
#ifndef SSTABLEFS_TOOLS_NODEHOOKS_H
#define SSTABLEFS_TOOLS_NODEHOOKS_H

#include "cassandra/nodejournal.h"
#include "tools/cli.h"

struct nodehooks {
	struct cli *cli;		   /* borrowed, as the journal */
	const struct nodejournal *journal; /* the restore */
	const char *phase;		   /* that goes on; NULL: none */
	bool warned; /* the restore is done, and the hook after it failed: it was said */
};

/* "fetch", "exchange", "check", "load": the phase that a step belongs to. */
const char *nodehooks_phase(enum nodejournal_step s);
/* Before a step. A phase that goes on has begun already, in this run. */
int nodehooks_before(struct nodehooks *h, enum nodejournal_step s, struct err *e);
/* After a step that ended with r, or was not let, which is returned where it is < 0. Ends the phase with its last step, or with one that failed. */
int nodehooks_after(struct nodehooks *h, enum nodejournal_step s, int r, struct err *e);

#endif
