/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node --only: hands tables that were fetched onto a data disk to a node that runs. */
#ifndef SSTABLEFS_TOOLS_NODEIMPORT_H
#define SSTABLEFS_TOOLS_NODEIMPORT_H

#include "cassandra/nodetool.h"
#include "cassandra/swap.h"

/*
 * Every <keyspace>/<table>-<id> in the place's part `new` by nodetool import: the node moves the SSTables, on the same disk, under names of its own. What is imported is gone from `new`, so
 * the same call goes on after a crash. `done` (may be NULL) is told of each table.
 */
typedef int nodeimport_fn(void *ctx, const char *keyspace, const char *table, struct err *e);
int nodeimport_run(const struct nodetool *nodetool, const struct swap_place *p, nodeimport_fn *done,
		   void *ctx, struct err *e);

#endif
