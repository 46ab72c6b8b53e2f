/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as schema.cql: what is made of it under other names is a schema again, of as many statements. */
#include "base/util.h"
#include "cassandra/ring.h"
#include "cassandra/schemacheck.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void choose(const struct cql *q, const struct schema_options *o)
{
	_cleanup_(schema_freep) struct schema *s = NULL;
	_cleanup_(cql_freep) struct cql *again = NULL;
	_cleanup_free_ bool *missing = NULL;
	_cleanup_wbuf_ struct wbuf out;
	struct err e = ERR_INIT;

	wbuf_init(&out, 4 * CQL_TEXT_MAX);
	if (schema_choose(q, o, &s, &e) < 0)
		return;
	for (size_t i = 0; i < s->item_count; i++)
		schema_print(s, &s->items[i], &out);
	if (wbuf_error(&out) || out.len > CQL_TEXT_MAX)
		return;
	if (cql_read((char *)out.data, out.len, &again, &e) < 0 ||
	    again->statement_count != s->item_count)
		abort();
	for (size_t i = 0; i < s->item_count; i++)
		if (again->statements[i].kind != s->items[i].statement->kind ||
		    strcmp(again->statements[i].keyspace, s->items[i].keyspace) != 0)
			abort();
	missing = calloc(s->item_count + 1, sizeof(*missing));
	if (missing)
		(void)schemacheck_missing(s, q, missing, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct schema_rename renames[] = { { { "a", "t" }, { "b", "u" } },
							{ { "a", "" }, { "c", "" } } };
	static const struct schema_name only[] = { { "a", "t" } };
	static const struct schema_dc dcs[] = { { "a", "b" }, { "b", "" } };
	const struct schema_options
		all = { .only = NULL },
		renamed = { .renames = renames, .rename_count = 2, .dcs = dcs, .dc_count = 2 },
		table = { .only = only, .only_count = 1, .renames = renames, .rename_count = 1 };
	_cleanup_free_ char *text = text_of(data, size);
	_cleanup_(cql_freep) struct cql *q = NULL;
	struct replication how;
	struct err e = ERR_INIT;

	if (cql_read(text, size, &q, &e) < 0)
		return 0;
	for (size_t i = 0; i < q->statement_count; i++)
		if (q->statements[i].kind == CQL_KEYSPACE)
			(void)replication_read(q, &q->statements[i], &how, &e);
	choose(q, &all);
	choose(q, &renamed);
	choose(q, &table);
	return 0;
}
