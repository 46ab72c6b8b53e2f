/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/schemacheck.h"

#include <string.h>
#include <strings.h>

/* A run of tokens. */
struct span {
	const struct cql *cql;
	uint32_t first, end;
};

static uint32_t end_of(const struct cql_statement *s)
{
	return s->first + s->count;
}

/* From the token behind the name on: of an index, behind the name of its table. */
static struct span said_of(const struct cql *q, const struct cql_statement *s)
{
	return (struct span){ q, s->table_token == CQL_NONE ? s->first : s->table_token + 1,
			      end_of(s) };
}

/* The columns and the key of a table, the fields of a type: what is in the first parentheses. */
static struct span fields_of(const struct cql *q, const struct cql_statement *s)
{
	struct span span = said_of(q, s);
	uint32_t i = span.first;
	unsigned depth = 0;

	for (; i < span.end; i++) {
		depth += cql_is(q, i, "(");
		if (cql_is(q, i, ")") && --depth == 0)
			break;
	}
	span.end = MIN_OF(i + 1, span.end);
	return span;
}

static bool is_empty_type(const struct cql *q, uint32_t token)
{
	const struct cql_token *t = &q->tokens[token];

	return cql_is(q, token, "empty") ||
	       (t->len_bytes == strlen(SCHEMA_EMPTY_TYPE) &&
		memcmp(q->text + t->at, SCHEMA_EMPTY_TYPE, t->len_bytes) == 0);
}

static bool is_same_token(const struct cql *a, uint32_t i, const struct cql *b, uint32_t k)
{
	const struct cql_token *x = &a->tokens[i], *y = &b->tokens[k];
	char one[CQL_NAME_ROOM], two[CQL_NAME_ROOM];

	if (x->kind == y->kind && x->len_bytes == y->len_bytes &&
	    memcmp(a->text + x->at, b->text + y->at, x->len_bytes) == 0)
		return true;
	if (is_empty_type(a, i) && is_empty_type(b, k))
		return true;
	/* "id" and id are one name. */
	return cql_name(a, i, one) && cql_name(b, k, two) && strcmp(one, two) == 0;
}

static bool is_same(struct span x, struct span y)
{
	if (x.end - x.first != y.end - y.first)
		return false;
	for (uint32_t i = 0; i < x.end - x.first; i++)
		if (!is_same_token(x.cql, x.first + i, y.cql, y.first + i))
			return false;
	return true;
}

/* ---- columns, fields, arguments ---- */

/* Whether it is the name of an argument of a function: the first token in the parentheses, or behind a comma that is in no type. */
static bool is_argument_name(const struct cql *q, uint32_t token, unsigned angle)
{
	return angle == 0 && (cql_is(q, token - 1, "(") || cql_is(q, token - 1, ","));
}

/* Behind MASKED WITH ks.f(…), where the token begins it: who may see a column is no part of its type. */
static uint32_t behind_mask(struct span s, uint32_t i)
{
	unsigned depth = 0;

	if (i + 1 >= s.end || !cql_is(s.cql, i, "MASKED") || !cql_is(s.cql, i + 1, "WITH"))
		return i;
	for (; i < s.end; i++) {
		depth += cql_is(s.cql, i, "(");
		if (cql_is(s.cql, i, ")") && --depth == 0)
			return i + 1;
	}
	return i;
}

/* The first token from *at on that counts; s.end: there is none. */
static uint32_t next_field(struct span s, bool arguments, uint32_t at, unsigned *angle)
{
	for (at = behind_mask(s, at); at < s.end; at = behind_mask(s, at + 1)) {
		bool name = arguments && is_argument_name(s.cql, at, *angle);

		*angle += cql_is(s.cql, at, "<");
		*angle -= *angle > 0 && cql_is(s.cql, at, ">");
		if (!name || cql_is(s.cql, at, ")"))
			return at;
	}
	return s.end;
}

/* What is in the first parentheses: columns without their masks, fields; with `arguments`, those of a function without their names. */
static bool has_same_fields(struct span x, struct span y, bool arguments)
{
	unsigned in_x = 0, in_y = 0;
	uint32_t i = next_field(x, arguments, x.first, &in_x),
		 k = next_field(y, arguments, y.first, &in_y);

	while (i < x.end && k < y.end && is_same_token(x.cql, i, y.cql, k)) {
		i = next_field(x, arguments, i + 1, &in_x);
		k = next_field(y, arguments, k + 1, &in_y);
	}
	return i == x.end && k == y.end;
}

/* What is said of the order of rows in a partition. *ret_reversed: one of the columns is not in its natural order, as all are where nothing is said. */
static struct span order_of(const struct cql *q, const struct cql_statement *s, bool *ret_reversed)
{
	struct span span = { q, s->table_token, end_of(s) };

	*ret_reversed = false;
	while (span.first + 2 < span.end &&
	       !(cql_is(q, span.first, "CLUSTERING") && cql_is(q, span.first + 1, "ORDER")))
		span.first++;
	for (uint32_t i = span.first; i < span.end; i++) {
		*ret_reversed |= cql_is(q, i, "DESC");
		if (cql_is(q, i, ")"))
			span.end = i;
	}
	return span;
}

static bool has_same_order(const struct cql *q, const struct cql_statement *wanted,
			   const struct cql *there, const struct cql_statement *s)
{
	bool one, two;
	struct span x = order_of(q, wanted, &one), y = order_of(there, s, &two);

	return (!one && !two) || is_same(x, y);
}

/* ---- one item ---- */

enum found { FOUND_NOT, FOUND_SAME, FOUND_OTHER };

/* A function is told by the types of its arguments, and no two can have the same ones. */
static enum found compare_function(const struct cql *q, const struct cql_statement *wanted,
				   const struct cql *there, const struct cql_statement *s)
{
	if (is_same(said_of(q, wanted), said_of(there, s)))
		return FOUND_SAME;
	return has_same_fields(fields_of(q, wanted), fields_of(there, s),
			       wanted->kind == CQL_FUNCTION)
		       ? FOUND_OTHER
		       : FOUND_NOT;
}

/* An index of the table is the same under another name; no two of a keyspace can have one name. */
static enum found compare_index(const struct cql *q, const struct cql_statement *wanted,
				const struct cql *there, const struct cql_statement *s)
{
	if (strcmp(s->table, wanted->table) == 0 && is_same(said_of(q, wanted), said_of(there, s)))
		return FOUND_SAME;
	return *wanted->name && strcmp(s->name, wanted->name) == 0 ? FOUND_OTHER : FOUND_NOT;
}

/* How a statement of the cluster stands to one that is wanted. */
static enum found compare(const struct cql *q, const struct cql_statement *wanted,
			  const struct cql *there, const struct cql_statement *s)
{
	if (s->kind != wanted->kind || strcmp(s->keyspace, wanted->keyspace) != 0)
		return FOUND_NOT;
	if (wanted->kind == CQL_INDEX)
		return compare_index(q, wanted, there, s);
	if (strcmp(s->name, wanted->name) != 0)
		return FOUND_NOT;
	switch (wanted->kind) {
	case CQL_KEYSPACE:
		return FOUND_SAME;
	case CQL_VIEW:
		return strcmp(s->table, wanted->table) == 0 ? FOUND_SAME : FOUND_OTHER;
	case CQL_TABLE:
	case CQL_TYPE:
		return has_same_fields(fields_of(q, wanted), fields_of(there, s), false) &&
				       has_same_order(q, wanted, there, s)
			       ? FOUND_SAME
			       : FOUND_OTHER;
	case CQL_FUNCTION:
	case CQL_AGGREGATE:
		return compare_function(q, wanted, there, s);
	default:
		return is_same(said_of(q, wanted), said_of(there, s)) ? FOUND_SAME : FOUND_NOT;
	}
}

static const char *what_it_is(enum cql_kind kind)
{
	return kind == CQL_TABLE       ? "table"
	       : kind == CQL_TYPE      ? "type"
	       : kind == CQL_VIEW      ? "view"
	       : kind == CQL_INDEX     ? "index"
	       : kind == CQL_AGGREGATE ? "aggregate"
				       : "function";
}

static const char *how_it_differs(enum cql_kind kind)
{
	return kind == CQL_TABLE  ? "other columns, or another CLUSTERING ORDER,"
	       : kind == CQL_TYPE ? "other fields"
	       : kind == CQL_VIEW ? "another table behind it"
				  : "another definition";
}

static int check(const struct cql *q, const struct cql *there, bool *ret_missing, struct err *e)
{
	const struct cql_statement *wanted = &q->statements[0];
	bool other = false;

	*ret_missing = true;
	for (size_t i = 0; i < there->statement_count; i++) {
		enum found found = compare(q, wanted, there, &there->statements[i]);

		other |= found == FOUND_OTHER;
		if (found == FOUND_SAME)
			*ret_missing = false;
	}
	return !other || !*ret_missing
		       ? 0
		       : err_set(e, ERR_CONFLICT, -EEXIST,
				 "the cluster has %s %s %s.%s with %s than the backup's: nothing is dropped here (--rename, or drop it yourself)",
				 wanted->kind == CQL_INDEX || wanted->kind == CQL_AGGREGATE ? "an"
											    : "a",
				 what_it_is(wanted->kind), wanted->keyspace, wanted->name,
				 how_it_differs(wanted->kind));
}

/* Compared is what would be run, under the names that were asked for. */
static int check_item(const struct schema *s, const struct schema_item *item,
		      const struct cql *there, bool *ret_missing, struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_wbuf_ struct wbuf text;
	int r;

	wbuf_init(&text, 2 * CQL_TEXT_MAX);
	schema_print(s, item, &text);
	if (wbuf_error(&text))
		return err_nomem(e);
	r = cql_read((char *)text.data, text.len, &q, e);
	return r < 0 ? r : check(q, there, ret_missing, e);
}

int schemacheck_missing(const struct schema *s, const struct cql *there, bool *ret_missing,
			struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->item_count; i++)
		r = check_item(s, &s->items[i], there, &ret_missing[i], e);
	return r;
}

/* ---- ids ---- */

/* What stands behind WITH ID =, of which AND is no part; nothing where it is not said. */
static struct span id_of(const struct cql *q, const struct cql_statement *s)
{
	struct span span = { q, s->table_token, end_of(s) };

	while (span.first + 2 < end_of(s) &&
	       !(cql_is(q, span.first, "WITH") && cql_is(q, span.first + 1, "ID")))
		span.first++;
	span.first = MIN_OF(span.first + 3, end_of(s));
	for (span.end = span.first; span.end < end_of(s) && !cql_is(q, span.end, "AND");)
		span.end++;
	return span;
}

bool schemacheck_has_id(const struct cql *there, const struct cql *q,
			const struct cql_statement *wanted)
{
	struct span id = id_of(q, wanted);

	for (size_t i = 0; i < there->statement_count; i++) {
		const struct cql_statement *s = &there->statements[i];

		if (s->kind == CQL_TABLE && strcmp(s->keyspace, wanted->keyspace) == 0 &&
		    strcmp(s->name, wanted->name) == 0)
			return id.first < id.end && is_same(id, id_of(there, s));
	}
	return false;
}

/* ---- indexes ---- */

/* 'sai', 'StorageAttachedIndex', with or without its package, in any case. */
static bool names_sai(const struct cql *q, uint32_t token)
{
	static const char *const names[] = { "sai", "storageattachedindex" };
	const struct cql_token *t = &q->tokens[token];
	const char *text = q->text + t->at + 1;
	size_t len = t->len_bytes - 2;

	if (t->kind != CQL_STRING)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t want = strlen(names[i]);

		if (len >= want && strncasecmp(text + len - want, names[i], want) == 0 &&
		    (len == want || text[len - want - 1] == '.'))
			return true;
	}
	return false;
}

bool schemacheck_has_sai(const struct cql *there, const char *keyspace, const char *table)
{
	for (size_t i = 0; i < there->statement_count; i++) {
		const struct cql_statement *s = &there->statements[i];

		if (s->kind != CQL_INDEX || strcmp(s->keyspace, keyspace) != 0 ||
		    strcmp(s->table, table) != 0)
			continue;
		for (uint32_t k = s->first; k + 1 < end_of(s); k++)
			if (cql_is(there, k, "USING") && names_sai(there, k + 1))
				return true;
	}
	return false;
}
