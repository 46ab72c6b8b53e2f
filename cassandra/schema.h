/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which statements of a schema are to be run, in which order, and under which names (docs/restore.md, "The schema"). Pure.
 *
 * Keyspaces of Cassandra's own (system, system_auth, …) are left out: every cluster has them. With `only`, a table comes with its keyspace, the types and functions that it names, its dropped
 * columns, its indexes and its views; a keyspace with everything in it. What is renamed gets no id of its own from the backup: the original may be in the same cluster.
 */
#ifndef SSTABLEFS_CASSANDRA_SCHEMA_H
#define SSTABLEFS_CASSANDRA_SCHEMA_H

#include "base/buf.h"
#include "cassandra/cql.h"

struct schema_name { /* "ks" (table empty) or "ks.table"; letters as they are, no quotes */
	char keyspace[CQL_NAME_MAX + 1], table[CQL_NAME_MAX + 1];
};

struct schema_rename {
	struct schema_name from, to; /* both with a table or both without */
};

#define SCHEMA_DC_MAX 127

struct schema_dc { /* a data centre in the replication of keyspaces */
	char from[SCHEMA_DC_MAX + 1];
	char to[SCHEMA_DC_MAX + 1]; /* "": it is left out */
};

struct schema_options {
	const struct schema_name *only; /* none: all */
	size_t only_count;
	const struct schema_rename *renames;
	size_t rename_count;
	const struct schema_dc *dcs;
	size_t dc_count;
};

struct schema_item { /* borrowed from the struct cql and the options */
	const struct cql_statement *statement;
	const char *keyspace; /* where it is made */
	const char *name;     /* under which name; of an index: that of the backup */
	const char *table;    /* what an index is of, a view made from, there; else as name */
};

struct schema {
	const struct cql *cql; /* borrowed, as are the data centres */
	const struct schema_dc *dcs;
	size_t dc_count;
	struct schema_item *items;
	size_t item_count;
};

/* Whether the keyspace is Cassandra's own, which every cluster has. */
bool schema_is_system(const char *keyspace);

/* 0; -EINVAL where it is no "ks" or "ks.table". */
int schema_parse_name(const char *text, struct schema_name *ret);
/* "ks.t=ks2.t2" or "ks=ks2". */
int schema_parse_rename(const char *text, struct schema_rename *ret);

/* "A=B"; or, to leave it out, "A". */
int schema_parse_dc(const char *text, bool leave_out, struct schema_dc *ret);
/* What becomes of the data centre: its name, another one, or NULL where it is left out. */
const char *schema_dc(const struct schema_dc *dcs, size_t count, const char *name);

/*
 * The items in the order in which they are to be run. -ENOENT (ERR_NOT_FOUND): an `only` or a rename names nothing in the schema. -EEXIST (ERR_USAGE): two tables would have one name.
 * What is in `q` and in `o` must live as long as the schema.
 */
int schema_choose(const struct cql *q, const struct schema_options *o, struct schema **ret,
		  struct err *e);
void schema_free(struct schema *s);
DEFINE_CLEANUP(struct schema *, schema_free);

/* As CREATE knows the type that DESCRIBE calls `empty`. */
#define SCHEMA_EMPTY_TYPE "'EmptyType'"

/*
 * Appends the statement, with its `;` and no line end. A keyspace is made IF NOT EXISTS; nothing else is, so that Cassandra says which table is there already. Data centres in its replication
 * become what was asked for.
 */
void schema_print(const struct schema *s, const struct schema_item *item, struct wbuf *out);

#endif
