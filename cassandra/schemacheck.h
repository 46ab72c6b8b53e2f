/* SPDX-License-Identifier: Apache-2.0 */
/* Which statements of a schema a cluster needs that has some of it already. Nothing that is there is changed, and never is anything dropped. Pure. */
#ifndef SSTABLEFS_CASSANDRA_SCHEMACHECK_H
#define SSTABLEFS_CASSANDRA_SCHEMACHECK_H

#include "cassandra/schema.h"

/*
 * Sets ret_missing[i] for each item that `there`, the schema of the cluster, has not. A keyspace is there by its name, whatever its replication; a table where it has the same columns, the same
 * key and the same order of rows (SSTables of another order would be read wrongly), whatever else is said of it, masks too; a view by its name; an index whatever its name; anything else by what it says.
 * -EEXIST (ERR_CONFLICT), where what is there is in the way: a table of that name has other columns or another order, a type other fields, a view is of another table, a function with these
 * arguments or an index of that name is another one.
 */
int schemacheck_missing(const struct schema *s, const struct cql *there, bool *ret_missing,
			struct err *e);
/* Whether the table of the cluster has the id that `wanted`, a table of `q`, says; false where it says none. */
bool schemacheck_has_id(const struct cql *there, const struct cql *q,
			const struct cql_statement *wanted);
/* Whether the table has a storage-attached index (SAI): sstableloader of 5.0.9 cannot load into such a table. */
bool schemacheck_has_sai(const struct cql *there, const char *keyspace, const char *table);

#endif
