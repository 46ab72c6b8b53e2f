/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the node through cqlsh, for what only CQL tells: the schema, and settings. */
#ifndef SSTABLEFS_CASSANDRA_CQLSH_H
#define SSTABLEFS_CASSANDRA_CQLSH_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"

#define CQLSH_SCHEMA_MAX ((size_t)16 * 1024 * 1024)

struct cqlsh { /* strings are borrowed; NULL: cqlsh's own default */
	const char *program, *host, *port, *credentials_file;
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

/* Pure: where the statements begin in what cqlsh printed (it greets with warnings); NULL: they are not whole. */
const char *cqlsh_statements(const char *text);
/* Pure: "value" of the JSON row in what SELECT JSON printed, as a new string; "" where there is none. NULL: out of memory. */
char *cqlsh_json_value(const char *text);

#endif
