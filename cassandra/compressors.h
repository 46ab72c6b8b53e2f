/* SPDX-License-Identifier: Apache-2.0 */
/* Which compressors the tables of a schema want that Cassandra has not by itself. Pure. */
#ifndef SSTABLEFS_CASSANDRA_COMPRESSORS_H
#define SSTABLEFS_CASSANDRA_COMPRESSORS_H

#include "cassandra/cql.h"

#define COMPRESSORS_CLASS_MAX 255

/*
 * Told of each table and view whose compression names another class than those of org.apache.cassandra.io.compress in Cassandra 4.0 to 5.0 (LZ4, Snappy, Deflate, Zstd and Noop), with or without
 * that package before it. < 0 of `fn` ends it.
 */
typedef int compressors_fn(void *ctx, const struct cql_statement *table, const char *class_name,
			   struct err *e);
int compressors_foreign(const struct cql *q, compressors_fn *fn, void *ctx, struct err *e);

#endif
