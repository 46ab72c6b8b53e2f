/* SPDX-License-Identifier: Apache-2.0 */
/* What restore-cluster would do, worked out of records, the schema and the nodes of the target (docs/restore-cluster.md). */
#ifndef SSTABLEFS_TOOLS_CLUSTERPLAN_H
#define SSTABLEFS_TOOLS_CLUSTERPLAN_H

#include "cassandra/cover.h"
#include "cassandra/mapping.h"
#include "cassandra/roles.h"
#include "tools/targets.h"

#define CLUSTERPLAN_FORMAT 1

struct clusterplan_table { /* one table of one node's backup */
	uint32_t source;
	const char *keyspace, *table; /* borrowed from the schema or the roles: in the backup */
	const char *to_keyspace, *to_table; /* the same: where they are loaded */
	char *directory; /* below the node's backup: data/<keyspace>/<table>-<id> */
	uint64_t bytes, files;
};

struct clusterplan_keyspace {
	const char *name; /* borrowed from the schema */
	struct replication replication;
	struct cover cover;
};

struct clusterplan_options;
struct clusterplan {
	const struct found *found;		   /* borrowed */
	const struct targets *targets;		   /* borrowed */
	const struct clusterplan_options *options; /* borrowed */
	const struct record **records; /* of `found`: the committed ones, by name of their nodes */
	struct mapping_node *sources;  /* as many */
	bool *whole; /* of each: its backup was not made with --only, so that what it has not, it did not have */
	size_t source_count;
	json_t *missing; /* nodes of the cluster that have no finished backup: [{host_id, address, dc (as it was)}] */
	json_t *incomplete; /* what of the backup is not loaded, or not whole: [{keyspace, table (null: all of it), loaded, reason}], and `covered` where nodes are missing: each row has a replica on the others */
	struct mapping mapping;
	struct ring *ring; /* of the sources; NULL where nothing is loaded */
	struct ring_node *ring_nodes;
	struct cql *cql; /* NULL, as is the schema, where nothing is loaded */
	struct schema *schema;
	struct schema
		*roles; /* the tables of system_auth that are loaded; nothing of it is ever made */
	struct clusterplan_keyspace *keyspaces; /* of those that are loaded */
	size_t keyspace_count;
	struct clusterplan_table *tables; /* that are loaded, keyspace by keyspace */
	size_t table_count, table_cap;
};

struct clusterplan_options {
	struct schema_options schema; /* which tables, and under which names */
	const char *schema_of; /* the node whose schema is made; NULL: all nodes must have the same */
	bool all_replicas, partial;
	bool keep_auth; /* roles stay those of the cluster */
	bool load;	/* also where the nodes could have the files as they are */
	bool in_place; /* the hosts of a list are the nodes that were backed up, or machines in their places */
	bool given; /* a plan that was saved says which tables are loaded from where, and is checked by itself */
};

/*
 * 0. ERR_CONFLICT: the backup is not whole (without `partial`), its nodes do not agree, a range has no replica left. ERR_USAGE: two data centres would become one; as mapping_decide, ring_new and
 * schema_choose say. What is passed must live as long as the plan.
 */
int clusterplan_make(struct cli *cli, struct session *s, const struct found *f,
		     const struct targets *targets, const struct clusterplan_options *o,
		     struct clusterplan **ret, struct err *e);
void clusterplan_free(struct clusterplan *p);
DEFINE_CLEANUP(struct clusterplan *, clusterplan_free);

/* Whether it is rows of system_auth. */
bool clusterplan_is_roles(const struct clusterplan_table *t);
/* Whether any roles are loaded. */
bool clusterplan_has_roles(const struct clusterplan *p);
/* Whether the backup of the source says what the source had of a table: it has the table, or is whole. */
bool clusterplan_knows(const struct clusterplan *p, uint32_t source, const char *keyspace,
		       const char *table);
/* NULL: none of its tables is loaded. */
const struct clusterplan_keyspace *clusterplan_keyspace(const struct clusterplan *p,
							const char *name);
/* Says in the plan that a table, or with "" a keyspace, is not loaded, or not whole. */
int clusterplan_note(struct clusterplan *p, const char *keyspace, const char *table, bool loaded,
		     const char *reason, struct err *e);
/* How a keyspace will be replicated, with data centres as they were asked for. */
int clusterplan_replication(const struct schema *schema, const struct schema_item *item,
			    struct replication *ret, struct err *e);
/* As JSON ("format": 1), as a plan file has it (tools/planfile.h). NULL: out of memory. */
json_t *clusterplan_json(const struct clusterplan *p);
/* For people: what of the backup is not loaded, or not whole. */
int clusterplan_print_incomplete(const struct clusterplan *p, struct err *e);
/* For people; where nodes take files, but for the nodes (tools/filesshow.h). */
int clusterplan_print(const struct clusterplan *p, struct err *e);

#endif
