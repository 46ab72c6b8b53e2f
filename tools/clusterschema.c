/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterschema.h"

#include <string.h>
#include "cassandra/schemacheck.h"

int clusterschema_look(struct clusterschema *c, const struct cqlsh *cqlsh,
		       const struct schema *schema, struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	int r;

	*c = (struct clusterschema){ .cqlsh = cqlsh, .schema = schema };
	c->missing = calloc(schema->item_count + 1, sizeof(*c->missing));
	if (!c->missing)
		return err_nomem(e);
	wbuf_init(&text, CQLSH_SCHEMA_MAX);
	r = cqlsh_schema(cqlsh, &text, e);
	if (r == 0)
		r = cql_read((char *)text.data, text.len, &c->there, e);
	if (r < 0)
		return err_wrap(e, r, "the schema of the cluster");
	return schemacheck_missing(schema, c->there, c->missing, e);
}

void clusterschema_deinit(struct clusterschema *c)
{
	if (c->there)
		cql_free(c->there);
	free(c->missing);
	*c = (struct clusterschema){ .there = NULL };
}

bool clusterschema_lacks(const struct clusterschema *c, const char *keyspace, const char *table)
{
	for (size_t i = 0; i < c->schema->item_count; i++) {
		const struct schema_item *item = &c->schema->items[i];

		if (c->missing[i] && item->statement->kind == CQL_TABLE &&
		    strcmp(item->keyspace, keyspace) == 0 && strcmp(item->name, table) == 0)
			return true;
	}
	return false;
}

static int make(struct clusterschema *c, size_t i, struct err *e)
{
	const struct schema_item *item = &c->schema->items[i];
	_cleanup_wbuf_ struct wbuf text;
	int r;

	wbuf_init(&text, 2 * CQL_TEXT_MAX);
	schema_print(c->schema, item, &text);
	wbuf_u8(&text, 0);
	if (wbuf_error(&text))
		return err_nomem(e);
	r = cqlsh_execute(c->cqlsh, (char *)text.data, e);
	if (r < 0)
		return err_wrap(e, r, "%s %s.%s", cql_kind_name(item->statement->kind),
				item->keyspace, item->name);
	c->missing[i] = false;
	c->made++;
	return 0;
}

static bool is_late(const struct schema_item *item)
{
	return item->statement->kind >= CQL_INDEX;
}

static int make_all(struct clusterschema *c, bool late, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->schema->item_count; i++)
		if (c->missing[i] && is_late(&c->schema->items[i]) == late)
			r = make(c, i, e);
	return r;
}

int clusterschema_make_tables(struct clusterschema *c, struct err *e)
{
	return make_all(c, false, e);
}

int clusterschema_make_indexes(struct clusterschema *c, struct err *e)
{
	return make_all(c, true, e);
}
