/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the plan (clusterplan*.c) share. */
#ifndef SSTABLEFS_TOOLS_CLUSTERPLAN_PARTS_H
#define SSTABLEFS_TOOLS_CLUSTERPLAN_PARTS_H

#include "tools/clusterplan.h"

/* clusterplan_schema.c */
/* The backup's schema, and what is chosen of it: p->cql, p->schema. ERR_CONFLICT: the nodes do not have one. */
int clusterplan_read_schema(struct cli *cli, struct session *s, struct clusterplan *p,
			    const struct clusterplan_options *o, struct err *e);
/* Of the schema, then of the tables that hold roles; NULL behind the last. */
const struct schema_item *clusterplan_item(const struct clusterplan *p, size_t i);
/* Which nodes each keyspace that has a table to be loaded is loaded from: p->keyspaces. */
int clusterplan_cover(struct clusterplan *p, bool all_replicas, struct err *e);

#endif
