/* SPDX-License-Identifier: Apache-2.0 */
/* What restore-cluster tells of nodes that take files as they are: what would be run where, and what became of each. */
#ifndef SSTABLEFS_TOOLS_FILESREPORT_H
#define SSTABLEFS_TOOLS_FILESREPORT_H

#include "tools/filesrun.h"

/* What became of each host, and how to go on. An exit code, or < 0 where it cannot be told. */
int filesreport(struct cli *cli, const struct filesrun *run, int64_t took_ms, struct err *e);
/* One that was begun before. */
int filesreport_plan(struct cli *cli, const struct filesplan *p, struct err *e);
/* The commands of all hosts, in the order of their start. */
int filesreport_commands(const struct filesplan *p, struct err *e);

#endif
