/* SPDX-License-Identifier: Apache-2.0 */
/* restore-node: the backup onto the data disks. */
#ifndef SSTABLEFS_TOOLS_NODEFETCH_H
#define SSTABLEFS_TOOLS_NODEFETCH_H

#include "cassandra/nodejournal.h"
#include "catalog/restore.h"
#include "tools/cli.h"

/*
 * Into the parts `new`, which are there, or the data directories themselves (in_place). The files of data directory I of the backup go to this node's data directory I, those of directories
 * that it does not have to the first one. As root all of it belongs to the owner of the first data directory, from before it has its name: nothing is given away later by a name.
 */
int nodefetch_run(struct cli *cli, const struct session *s, const struct record *rec,
		  const struct common *common, const struct nodejournal *j, bool in_place,
		  struct restore_result *ret, struct err *e);

#endif
