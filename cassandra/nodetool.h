/* SPDX-License-Identifier: Apache-2.0 */
/* Runs Cassandra's nodetool. Each call is a JVM that starts (1 to 2 s of CPU): callers make few. */
#ifndef SSTABLEFS_CASSANDRA_NODETOOL_H
#define SSTABLEFS_CASSANDRA_NODETOOL_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"

struct nodetool {	     /* strings are borrowed; NULL: nodetool's own default */
	const char *program; /* found through PATH where it has no slash */
	const char *host, *port, *username, *password_file;
	bool ssl; /* what ~/.cassandra/nodetool-ssl.properties says (bin/nodetool reads it) */
	int timeout_ms;
	const struct cancel *cancel;
};

/*
 * Runs `nodetool ARGUMENTS`; what it prints is appended to `out` (NULL: thrown away). Failures are ERR_IO with the first sentence of
 * what nodetool said and what to look at; -ETIMEDOUT, -ECANCELED where it was killed; ERR_USAGE where there is no such program.
 */
int nodetool_run(const struct nodetool *n, const char *const *arguments, size_t count,
		 struct wbuf *out, struct err *e);

/*
 * Takes a snapshot of everything, or of what `only` names ("ks", "ks.table"). -EEXIST (ERR_CONFLICT): a snapshot of that name was there
 * before, and is not ours. -ETIMEDOUT, -ECANCELED: Cassandra may still be busy with it.
 */
int nodetool_snapshot(const struct nodetool *n, const char *tag, const char *const *only,
		      size_t only_count, struct err *e);
/* Clears the snapshot in every keyspace; one that does not exist is no failure. */
int nodetool_clear(const struct nodetool *n, const char *tag, struct err *e);

/* The sentence that says why, in what nodetool printed on either output; "" where there is none. For messages: one line, bounded. */
void nodetool_reason(const char *errors, const char *out, char *ret, size_t size);

#endif
