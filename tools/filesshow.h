/* SPDX-License-Identifier: Apache-2.0 */
/* restore-cluster --plan where nodes take files as they are: which host starts when, and what each would do, as it says itself (docs/restore-cluster.md, "The plan as JSON"). */
#ifndef SSTABLEFS_TOOLS_FILESSHOW_H
#define SSTABLEFS_TOOLS_FILESSHOW_H

#include "tools/filesrun.h"

/* `p`: what it was made of; NULL: it was begun before. The exit code: EXIT_FOUND where something is in the way. < 0: it cannot be told. */
int filesshow(struct cli *cli, const struct filesrun *run, const struct clusterplan *p,
	      struct err *e);

#endif
