/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node --plan: what would be done, and what is in the way, as text or JSON. */
#ifndef SSTABLEFS_TOOLS_NODEPLAN_H
#define SSTABLEFS_TOOLS_NODEPLAN_H

#include "tools/nodecheck.h"

/* The exit code: EXIT_FOUND where something is in the way. < 0: it cannot be told. */
int nodeplan_show(struct cli *cli, const struct nodecheck *k, const struct record *rec,
		  struct err *e);
/* Of a restore that was begun: how far it is. The exit code; < 0: it cannot be told. */
int nodeplan_begun(struct cli *cli, const struct nodejournal *j, struct err *e);
/* What nodeplan_show's document says, for people, each line behind `indent`. */
int nodeplan_print(const json_t *document, const char *indent, struct err *e);

#endif
