/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/compressors.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PACKAGE "org.apache.cassandra.io.compress."

static bool is_text(const struct cql *q, uint32_t token, enum cql_token_kind kind, const char *text)
{
	const struct cql_token *t = &q->tokens[token];

	return t->kind == kind && t->len_bytes == strlen(text) &&
	       strncasecmp(q->text + t->at, text, t->len_bytes) == 0;
}

static bool is_own(const char *name)
{
	static const char *const own[] = { "LZ4Compressor", "SnappyCompressor", "DeflateCompressor",
					   "ZstdCompressor", "NoopCompressor" };

	if (strncmp(name, PACKAGE, strlen(PACKAGE)) == 0)
		name += strlen(PACKAGE);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (strcmp(name, own[i]) == 0)
			return true;
	return *name == '\0';
}

/* compression = {…, 'class': 'X', …}: X, "" where there is none. Older schemas say sstable_compression. */
static void find_class(const struct cql *q, const struct cql_statement *s,
		       char out[COMPRESSORS_CLASS_MAX + 1])
{
	uint32_t end = s->first + s->count, at = s->first;

	*out = '\0';
	while (at + 2 < end &&
	       !(is_text(q, at, CQL_WORD, "compression") && is_text(q, at + 1, CQL_SYMBOL, "=") &&
		 is_text(q, at + 2, CQL_SYMBOL, "{")))
		at++;
	for (; at + 2 < end && !is_text(q, at, CQL_SYMBOL, "}"); at++) {
		const struct cql_token *value = &q->tokens[at + 2];

		if ((is_text(q, at, CQL_STRING, "'class'") ||
		     is_text(q, at, CQL_STRING, "'sstable_compression'")) &&
		    value->kind == CQL_STRING && value->len_bytes >= 2)
			snprintf(out, COMPRESSORS_CLASS_MAX + 1, "%.*s", (int)value->len_bytes - 2,
				 q->text + value->at + 1);
	}
}

int compressors_foreign(const struct cql *q, compressors_fn *fn, void *ctx, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < q->statement_count && r == 0; i++) {
		const struct cql_statement *s = &q->statements[i];
		char name[COMPRESSORS_CLASS_MAX + 1];

		if (s->kind != CQL_TABLE && s->kind != CQL_VIEW)
			continue;
		find_class(q, s, name);
		if (!is_own(name))
			r = fn(ctx, s, name, e);
	}
	return r;
}
