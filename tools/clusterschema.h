/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes what a running cluster lacks of a schema, statement by statement, and ends at the first that fails. In two halves: tables and what they need before they are loaded, indexes and views after it
 * (docs/restore-cluster.md, "The schema").
 */
#ifndef SSTABLEFS_TOOLS_CLUSTERSCHEMA_H
#define SSTABLEFS_TOOLS_CLUSTERSCHEMA_H

#include "cassandra/cqlsh.h"
#include "cassandra/schema.h"

struct clusterschema {
	const struct cqlsh *cqlsh; /* borrowed, as is the schema */
	const struct schema *schema;
	struct cql *there; /* of the cluster, as it was when it was asked */
	bool *missing;	   /* of each item */
	uint64_t made;	   /* statements that were run */
};

/* Asks the cluster what it has, and changes nothing. -EEXIST (ERR_CONFLICT): schemacheck_missing. */
int clusterschema_look(struct clusterschema *c, const struct cqlsh *cqlsh,
		       const struct schema *schema, struct err *e);
void clusterschema_deinit(struct clusterschema *c);
/* Whether the table, under its new name, has to be made. */
bool clusterschema_lacks(const struct clusterschema *c, const char *keyspace, const char *table);
int clusterschema_make_tables(struct clusterschema *c, struct err *e);
int clusterschema_make_indexes(struct clusterschema *c, struct err *e);

#endif
