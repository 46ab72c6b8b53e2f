/* SPDX-License-Identifier: Apache-2.0 */
/* How little of a node a backup or a restore takes. */
#ifndef SSTABLEFS_TOOLS_PRIORITY_H
#define SSTABLEFS_TOOLS_PRIORITY_H

#include "tools/cli.h"

/* That nice and ionice of [backup] or [restore] say something. ERR_USAGE naming the key. */
int priority_check(const struct cli *cli, const char *section, struct err *e);
/*
 * Low priority for this thread and all that it starts from now on, as the section says: for a backup low by default, for a restore only where it is said. A system that
 * refuses is no reason to fail. ERR_USAGE naming the key.
 */
int priority_step_back(const struct cli *cli, const char *section, struct err *e);
/* Runs fn in a thread that stepped back, for who goes on to start a program that must not. What fn returns, or < 0. */
int priority_aside(const struct cli *cli, const char *section, int (*fn)(void *ctx, struct err *e),
		   void *ctx, struct err *e);

#endif
