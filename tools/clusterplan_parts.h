/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the plan (clusterplan*.c) share. */
#ifndef SSTABLEFS_TOOLS_CLUSTERPLAN_PARTS_H
#define SSTABLEFS_TOOLS_CLUSTERPLAN_PARTS_H

#include "tools/clusterplan.h"

/* clusterplan_schema.c */
/* The backup's schema, and what is chosen of it: p->cql, p->schema. ERR_CONFLICT: the nodes have none, or not one; ERR_NOT_FOUND: the node of `schema_of` is none of them. */
int clusterplan_read_schema(struct cli *cli, struct session *s, struct clusterplan *p,
			    struct err *e);
/* Of the schema, then of the tables that hold roles; NULL behind the last. */
const struct schema_item *clusterplan_item(const struct clusterplan *p, size_t i);
/* Whether that was said, and which of both; *ret_loaded is set only then. */
bool clusterplan_is_noted(const struct clusterplan *p, const char *keyspace, const char *table,
			  bool *ret_loaded);
/* Which nodes each keyspace that has a table to be loaded is loaded from: p->keyspaces. Of one that cannot be loaded nothing stays in p->schema and p->roles, and it is noted, where that is permitted. */
int clusterplan_cover(struct clusterplan *p, bool all_replicas, struct err *e);

#endif
