/* SPDX-License-Identifier: Apache-2.0 */
/* What restore-cluster tells of nodes that took files as they are: what became of each. */
#ifndef SSTABLEFS_TOOLS_FILESREPORT_H
#define SSTABLEFS_TOOLS_FILESREPORT_H

#include "tools/filesrun.h"

/* What became of each host, and how to go on. An exit code, or < 0 where it cannot be told. */
int filesreport(struct cli *cli, const struct filesrun *run, int64_t took_ms, struct err *e);
/* Where *e says why nothing was begun. An exit code. */
int filesreport_refused(struct cli *cli, const struct filesrun *run, int64_t took_ms,
			const struct err *e);

#endif
