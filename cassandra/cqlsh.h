/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the node through cqlsh, for what only CQL tells: the schema, and settings; and has it make what a schema says. */
#ifndef SSTABLEFS_CASSANDRA_CQLSH_H
#define SSTABLEFS_CASSANDRA_CQLSH_H

#include <stdint.h>
#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"

#define CQLSH_SCHEMA_MAX ((size_t)16 * 1024 * 1024)

/*
 * Where cqlsh fails all of these are ERR_IO with what it said: -EACCES: Cassandra refuses the login. -EAGAIN: it does not see enough of its neighbours for it, or for the statement. Others.
 */
struct cqlsh { /* strings are borrowed; NULL: cqlsh's own default */
	const char *program, *host, *port, *credentials_file;
	const char *rcfile; /* its configuration, also of TLS; NULL: ~/.cassandra/cqlshrc */
	bool ssl;
	int timeout_ms;
	const struct cancel *cancel;
};

/*
 * The whole schema, as statements that make it again with the same ids (DESCRIBE FULL SCHEMA WITH INTERNALS), appended to `out`, whose maximum holds. ERR_IO
 * with the first sentence that cqlsh said where it cannot be had, or is not whole.
 */
int cqlsh_schema(const struct cqlsh *c, struct wbuf *out, struct err *e);
/* A row of system_views.settings as a new string; "" where it has no such row or no value. */
int cqlsh_setting(const struct cqlsh *c, const char *name, char **ret, struct err *e);
/* "value" of the one row that SELECT JSON … AS value gives, as a new string: a text, or a list of texts, parted by commas; "" where there is no row or none of these. */
int cqlsh_value(const struct cqlsh *c, const char *statement, char **ret, struct err *e);
/* What it prints for the statements, with a NUL, up to the maximum of `text`. */
int cqlsh_ask(const struct cqlsh *c, const char *statements, struct wbuf *text, struct err *e);
/* How many rows a query gives, and the first of them as a new string, its values parted by commas ("" where there is none). */
int cqlsh_answer(const struct cqlsh *c, const char *statement, uint64_t *ret_rows, char **ret_first,
		 struct err *e);
/* How many rows a query gives. */
int cqlsh_rows(const struct cqlsh *c, const char *statement, uint64_t *ret, struct err *e);
/* Runs one statement. ERR_IO with what cqlsh said where it failed. */
int cqlsh_execute(const struct cqlsh *c, const char *statement, struct err *e);

/* Whether somebody takes connections at the address that cqlsh is told, within a second or so: what a poll of the node costs without starting cqlsh. True where cqlsh chooses host or port (cqlshrc, environment). */
bool cqlsh_listens(const struct cqlsh *c);

/* Pure: -EACCES, -EAGAIN or -EIO, by what cqlsh said on standard error. */
int cqlsh_outcome(const char *said);
/* Pure: a statement with its `;` on a line of its own, with no more line ends than its strings have, and without comments. */
void cqlsh_put_line(const char *statement, struct wbuf *out);
/* Pure: where the statements begin in what cqlsh printed (it greets with warnings); NULL: they are not whole. */
const char *cqlsh_statements(const char *text);
/* Pure: "value" of the JSON row in what SELECT JSON printed, as cqlsh_value. NULL: out of memory. */
char *cqlsh_json_value(const char *text);
/* Pure: the first row of the table that cqlsh printed, as cqlsh_answer. NULL: out of memory. */
char *cqlsh_first_row(const char *text);
/* Pure: N of the last "(N rows)". -EBADMSG: there is none. */
int cqlsh_row_count(const char *text, uint64_t *ret);

#endif
