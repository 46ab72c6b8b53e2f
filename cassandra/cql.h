/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CQL as DESCRIBE prints it: tokens, and statements made of them. The rules are those of Cassandra's own grammar (Lexer.g): 'strings' with '' in them, $$ strings $$, "names" with "" in
 * them, comments from -- or // to the end of the line and between slash-star and star-slash, which do not nest. A `;` ends a statement where it is a token, not where it is part of one. Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_CQL_H
#define SSTABLEFS_CASSANDRA_CQL_H

#include "base/err.h"

#define CQL_NAME_MAX 222 /* of a table, in Cassandra 5.0; a keyspace has 48 */
#define CQL_TEXT_MAX ((size_t)16 * 1024 * 1024)

enum cql_token_kind {
	CQL_WORD,   /* letters, digits and _: keywords, names, numbers */
	CQL_QUOTED, /* "name" */
	CQL_STRING, /* 'text' or $$text$$ */
	CQL_SYMBOL, /* any other byte */
};

struct cql_token { /* a piece of the text */
	uint32_t at, len_bytes;
	uint8_t kind; /* enum cql_token_kind */
};

/*
 * The token at or after *pos, which moves behind it. 1; 0 at the end of the text; -EBADMSG (ERR_CORRUPT) where a string, a name or a comment does not end, with its line.
 */
int cql_next(const char *text, size_t len_bytes, size_t *pos, struct cql_token *ret, struct err *e);

/* In the order in which statements that make a schema have to be run. */
enum cql_kind {
	CQL_KEYSPACE,
	CQL_TYPE,
	CQL_FUNCTION,
	CQL_AGGREGATE,
	CQL_TABLE,
	CQL_ALTER, /* ALTER TABLE: columns that were dropped, and added again */
	CQL_INDEX,
	CQL_VIEW,
};

#define CQL_NONE UINT32_MAX /* no such token */

struct cql_statement {
	enum cql_kind kind;
	uint32_t first, count; /* its tokens, without the `;` */
	char *keyspace;	       /* as Cassandra knows it: "Shop" is Shop, SHOP is shop */
	char *name; /* of what is made; of a keyspace the same as keyspace; "": an index without one */
	char *table; /* of an index: what it is of; of a view: what it is made from; else as name */
	uint32_t name_token;  /* where it stands; CQL_NONE: nowhere */
	uint32_t table_token; /* of an index or a view; else name_token */
};

struct cql {
	char *text; /* owned */
	size_t len_bytes;
	struct cql_token *tokens;
	size_t token_count;
	struct cql_statement *statements;
	size_t statement_count;
};

/*
 * Reads a whole schema, of at most CQL_TEXT_MAX bytes. -EBADMSG (ERR_CORRUPT), naming the line: what is no CQL, a statement that makes nothing of enum cql_kind, names no keyspace, or does
 * not end with `;`. A function whose body holds $$ is one of these: DESCRIBE prints it between $$ all the same, and nobody can say where it ends.
 */
int cql_read(const char *text, size_t len_bytes, struct cql **ret, struct err *e);
void cql_free(struct cql *q);
DEFINE_CLEANUP(struct cql *, cql_free);

/* "TABLE", "MATERIALIZED VIEW", …: as it follows CREATE. */
const char *cql_kind_name(enum cql_kind kind);
/* Whether the token is this symbol, or this keyword (upper case) in any case. */
bool cql_is(const struct cql *q, uint32_t token, const char *word);
/* The name that the token is, as Cassandra knows it; false: it is none, or too long for one. Indexes have the names of their tables and columns, which are longer than that of a table may be. */
#define CQL_NAME_ROOM 1024
bool cql_name(const struct cql *q, uint32_t token, char out[CQL_NAME_ROOM]);
/* The line of a place in the text, from 1. */
size_t cql_line(const char *text, size_t at);

#endif
