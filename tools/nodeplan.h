/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node --plan: what would be done, and what is in the way, as text or JSON. */
#ifndef SSTABLEFS_TOOLS_NODEPLAN_H
#define SSTABLEFS_TOOLS_NODEPLAN_H

#include "tools/nodecheck.h"

/* The exit code: EXIT_FOUND where something is in the way. */
int nodeplan_show(struct cli *cli, const struct nodecheck *k, const struct record *rec,
		  struct err *e);

#endif
