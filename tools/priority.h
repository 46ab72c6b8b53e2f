/* SPDX-License-Identifier: Apache-2.0 */
/* How little of a node a backup takes. */
#ifndef SSTABLEFS_TOOLS_PRIORITY_H
#define SSTABLEFS_TOOLS_PRIORITY_H

#include "tools/cli.h"

/* Low priority from the start, as [backup] nice and ionice say; a system that refuses is no reason to fail. ERR_USAGE naming the key. */
int priority_step_back(const struct cli *cli, struct err *e);

#endif
