/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node --only: hands tables that were fetched onto a data disk to a node that runs. */
#ifndef SSTABLEFS_TOOLS_NODEIMPORT_H
#define SSTABLEFS_TOOLS_NODEIMPORT_H

#include "cassandra/nodetool.h"
#include "cassandra/swap.h"

struct nodeimport {
	const struct nodetool *nodetool;
	/*
	 * The table ("ks.table") whose import was begun last, "" for none. It may run still, inside Cassandra, when nodetool was killed, and has moved a part of an SSTable: its directory is
	 * removed only after another import of it, as Cassandra imports into a table once at a time.
	 */
	const char *begun_before;
	/* Told of each table before and after its import. */
	int (*begin)(void *ctx, const char *table, struct err *e);
	int (*done)(void *ctx, const char *table, struct err *e);
	void *ctx;
};

/*
 * Every <keyspace>/<table>-<id> in the place's part `new` by nodetool import: the node moves the SSTables, on the same disk, under names of its own. What is imported is gone from `new`, so
 * the same call goes on after a crash.
 */
int nodeimport_run(const struct nodeimport *m, const struct swap_place *p, struct err *e);
/* Until no import into m->begun_before runs any more: no nodetool of an earlier run is left, and one of an empty directory, made in the first place, has ended. */
int nodeimport_await(const struct nodeimport *m, const struct swap_place *places, size_t count,
		     struct err *e);

#endif
