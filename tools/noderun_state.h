/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of restore-node at work (noderun*.c) share. Errors are in *e. */
#ifndef SSTABLEFS_TOOLS_NODERUN_STATE_H
#define SSTABLEFS_TOOLS_NODERUN_STATE_H

#include "tools/noderun.h"

/* A line for people. */
int noderun_tell(const struct noderun *n, struct err *e, const char *text);
/* -ECANCELED: it is to end. */
int noderun_stopped(const struct noderun *n, struct err *e);
/* unfinished.db, in all data directories. */
int noderun_guard(const struct noderun *n, bool up, struct err *e);
/* Of the node itself, whoever it says that it is. */
struct cqlsh noderun_cqlsh(const struct noderun *n);

/* noderun_check.c: takes the guard down, and starts the node where it does not run; and waits until it answers, as who it should be, with the rows that are asked for. */
int noderun_start(struct noderun *n, struct err *e);
int noderun_check(struct noderun *n, struct err *e);

#endif
