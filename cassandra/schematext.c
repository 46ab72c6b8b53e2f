/* SPDX-License-Identifier: Apache-2.0 */
/* A statement of a schema under the names that were asked for: its tokens, some of them replaced, and what is between them as it is. */
#include <string.h>
#include "cassandra/schema.h"

struct text {
	const struct schema *schema;
	const struct schema_item *item;
	uint32_t skip_from, skip_to; /* tokens that are left out */
	struct wbuf *out;
};

static void put(struct wbuf *out, const char *text)
{
	wbuf_put(out, text, strlen(text));
}

static void put_name(struct wbuf *out, const char *name)
{
	put(out, "\"");
	put(out, name);
	put(out, "\"");
}

/* WITH ID = … AND: the id of the table, behind all names. Where it is the only thing that is said, WITH goes too. */
static void leave_out_id(struct text *t)
{
	const struct cql *q = t->schema->cql;
	uint32_t end = t->item->statement->first + t->item->statement->count;

	for (uint32_t i = t->item->statement->table_token; i + 2 < end; i++) {
		if (!cql_is(q, i, "WITH") || !cql_is(q, i + 1, "ID") || !cql_is(q, i + 2, "="))
			continue;
		t->skip_from = i + 1;
		for (t->skip_to = i + 3; t->skip_to < end && !cql_is(q, t->skip_to, "AND");)
			t->skip_to++;
		if (t->skip_to == end)
			t->skip_from = i;
		else
			t->skip_to++; /* AND goes too */
		return;
	}
}

/* In the keyspace of the original its name is taken. */
static void leave_out_index_name(struct text *t)
{
	const struct cql_statement *s = t->item->statement;

	if (s->name_token != CQL_NONE && strcmp(t->item->keyspace, s->keyspace) == 0 &&
	    strcmp(t->item->table, s->table) != 0) {
		t->skip_from = s->name_token;
		t->skip_to = s->name_token + 1;
	}
}

/* What stands in place of the token; NULL: itself. */
static const char *replacement(const struct text *t, uint32_t token)
{
	const struct cql *q = t->schema->cql;
	const struct cql_statement *s = t->item->statement;
	char name[CQL_NAME_ROOM];

	if (s->kind == CQL_KEYSPACE)
		return token == s->name_token && strcmp(t->item->keyspace, s->keyspace) != 0
			       ? t->item->keyspace
			       : NULL;
	if (token == s->name_token)
		return strcmp(t->item->name, s->name) != 0 ? t->item->name : NULL;
	if (token == s->table_token)
		return strcmp(t->item->table, s->table) != 0 ? t->item->table : NULL;
	/* Before a dot stands nothing but a keyspace, and the digits of a number. */
	if (token + 1 < s->first + s->count && cql_is(q, token + 1, ".") &&
	    strcmp(t->item->keyspace, s->keyspace) != 0 && cql_name(q, token, name) &&
	    strcmp(name, s->keyspace) == 0)
		return t->item->keyspace;
	return NULL;
}

/* What is between two tokens. A quoted name needs nothing around it; what stands in its place may. */
static void put_gap(const struct text *t, size_t from, size_t to, bool needed)
{
	if (from == to && needed)
		put(t->out, " ");
	else
		wbuf_put(t->out, t->schema->cql->text + from, to - from);
}

/* The `}` of a map of strings whose `{` this is; CQL_NONE: it is no such map. */
static uint32_t map_end(const struct cql *q, uint32_t open, uint32_t end)
{
	uint32_t i = open + 1;

	while (i + 3 < end && q->tokens[i].kind == CQL_STRING && cql_is(q, i + 1, ":"))
		i += cql_is(q, i + 3, ",") ? 4 : 3;
	return i < end && cql_is(q, i, "}") ? i : CQL_NONE;
}

/* The `{` of a keyspace's replication, where data centres in it may change; else CQL_NONE. */
static uint32_t replication_map(const struct text *t)
{
	const struct cql *q = t->schema->cql;
	const struct cql_statement *s = t->item->statement;
	uint32_t end = s->first + s->count;

	if (s->kind == CQL_KEYSPACE && t->schema->dc_count > 0)
		for (uint32_t i = s->first; i + 2 < end; i++)
			if (cql_is(q, i, "REPLICATION") && cql_is(q, i + 1, "=") &&
			    cql_is(q, i + 2, "{") && map_end(q, i + 2, end) != CQL_NONE)
				return i + 2;
	return CQL_NONE;
}

/* What becomes of a key of the map: `key` itself, another name, or NULL. No data centre has the name of one of the other keys. */
static const char *new_key(const struct text *t, uint32_t token, char key[SCHEMA_DC_MAX + 1])
{
	const struct cql_token *k = &t->schema->cql->tokens[token];
	const char *text = t->schema->cql->text + k->at;
	size_t len = k->len_bytes < 2 ? 0 : k->len_bytes - 2;

	*key = '\0';
	if (*text != '\'' || len > SCHEMA_DC_MAX)
		return key;
	memcpy(key, text + 1, len);
	key[len] = '\0';
	return schema_dc(t->schema->dcs, t->schema->dc_count, key);
}

static void put_raw(const struct text *t, uint32_t token)
{
	const struct cql_token *k = &t->schema->cql->tokens[token];

	wbuf_put(t->out, t->schema->cql->text + k->at, k->len_bytes);
}

static void put_key(const struct text *t, uint32_t token, const char *name, const char *key)
{
	if (name == key) {
		put_raw(t, token);
		return;
	}
	put(t->out, "'");
	put(t->out, name);
	put(t->out, "'");
}

/* The map anew, from its `{` to its `}`, which is the result. */
static uint32_t put_map(const struct text *t, uint32_t open)
{
	const struct cql *q = t->schema->cql;
	uint32_t close = map_end(q, open, t->item->statement->first + t->item->statement->count);
	const char *between = "{";

	for (uint32_t i = open + 1; i < close; i += cql_is(q, i + 3, ",") ? 4 : 3) {
		char key[SCHEMA_DC_MAX + 1];
		const char *name = new_key(t, i, key);

		if (!name)
			continue;
		put(t->out, between);
		put_key(t, i, name, key);
		put(t->out, ": ");
		put_raw(t, i + 2);
		between = ", ";
	}
	put(t->out, *between == '{' ? "{}" : "}");
	return close;
}

/* DESCRIBE says `empty`, which CREATE does not know: the type of a column that tables of COMPACT STORAGE had beside their key. A type that somebody made may have that name. */
static bool is_empty_type(const struct text *t, uint32_t i)
{
	const struct cql *q = t->schema->cql;
	const struct cql_statement *s = t->item->statement;

	if (s->kind != CQL_TABLE || i < s->name_token + 3 || !cql_is(q, i, "empty") ||
	    !(cql_is(q, i - 2, "(") || cql_is(q, i - 2, ",")))
		return false;
	for (size_t k = 0; k < q->statement_count; k++)
		if (q->statements[k].kind == CQL_TYPE &&
		    strcmp(q->statements[k].keyspace, s->keyspace) == 0 &&
		    strcmp(q->statements[k].name, "empty") == 0)
			return false;
	return true;
}

/* The token, and what is between it and the one before, which ended at `end`. */
static void put_token(const struct text *t, uint32_t i, size_t end)
{
	const struct cql *q = t->schema->cql;
	const struct cql_statement *s = t->item->statement;
	const struct cql_token *token = &q->tokens[i];
	const char *other = replacement(t, i);
	bool names_keyspace = s->kind == CQL_KEYSPACE && i == s->name_token &&
			      !cql_is(q, i - 1, "EXISTS");

	if (i >= t->skip_from && i < t->skip_to)
		return;
	put_gap(t, end, token->at, names_keyspace || (i > s->first && i == t->skip_to));
	if (names_keyspace)
		put(t->out, "IF NOT EXISTS ");
	if (other)
		put_name(t->out, other);
	else if (is_empty_type(t, i))
		put(t->out, SCHEMA_EMPTY_TYPE);
	else
		put_raw(t, i);
}

static void put_tokens(const struct text *t)
{
	const struct cql *q = t->schema->cql;
	const struct cql_statement *s = t->item->statement;
	uint32_t map = replication_map(t);
	size_t end = q->tokens[s->first].at;

	for (uint32_t i = s->first; i < s->first + s->count; i++) {
		if (i == map) {
			put_gap(t, end, q->tokens[i].at, false);
			i = put_map(t, i);
		} else {
			put_token(t, i, end);
		}
		end = q->tokens[i].at + q->tokens[i].len_bytes;
	}
}

void schema_print(const struct schema *s, const struct schema_item *item, struct wbuf *out)
{
	const struct cql_statement *is = item->statement;
	struct text t = { .schema = s, .item = item, .out = out };

	if (is->kind == CQL_TABLE || is->kind == CQL_VIEW) {
		if (strcmp(item->keyspace, is->keyspace) != 0 || strcmp(item->name, is->name) != 0)
			leave_out_id(&t);
	} else if (is->kind == CQL_INDEX) {
		leave_out_index_name(&t);
	}
	put_tokens(&t);
	put(out, ";");
}
