/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/schema.h"

#include <ctype.h>
#include <string.h>

/* ---- what was asked for ---- */

/* Up to `end`; letters, digits and _, as Cassandra has it for keyspaces and tables. */
static bool copy_name(char out[CQL_NAME_MAX + 1], const char *from, size_t len)
{
	if (len == 0 || len > CQL_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)from[i]) && from[i] != '_')
			return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

static bool parse_name(const char *text, size_t len, struct schema_name *ret)
{
	const char *dot = memchr(text, '.', len);
	size_t keyspace = dot ? (size_t)(dot - text) : len;

	*ret = (struct schema_name){ .table = "" };
	return copy_name(ret->keyspace, text, keyspace) &&
	       (!dot || copy_name(ret->table, dot + 1, len - keyspace - 1));
}

int schema_parse_name(const char *text, struct schema_name *ret)
{
	return parse_name(text, strlen(text), ret) ? 0 : -EINVAL;
}

int schema_parse_rename(const char *text, struct schema_rename *ret)
{
	const char *equals = strchr(text, '=');

	return equals && parse_name(text, (size_t)(equals - text), &ret->from) &&
			       parse_name(equals + 1, strlen(equals + 1), &ret->to) &&
			       !*ret->from.table == !*ret->to.table
		       ? 0
		       : -EINVAL;
}

/* What stands between quotes in CQL, without any that would end it. */
static bool copy_dc(char out[SCHEMA_DC_MAX + 1], const char *from, size_t len)
{
	if (len == 0 || len > SCHEMA_DC_MAX || memchr(from, '\'', len))
		return false;
	memcpy(out, from, len);
	out[len] = '\0';
	return true;
}

int schema_parse_dc(const char *text, bool leave_out, struct schema_dc *ret)
{
	const char *equals = leave_out ? NULL : strchr(text, '=');
	size_t len = equals ? (size_t)(equals - text) : strlen(text);

	*ret = (struct schema_dc){ .to = "" };
	return copy_dc(ret->from, text, len) &&
			       (leave_out ||
				(equals && copy_dc(ret->to, equals + 1, strlen(equals + 1))))
		       ? 0
		       : -EINVAL;
}

const char *schema_dc(const struct schema_dc *dcs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(dcs[i].from, name) == 0)
			return *dcs[i].to ? dcs[i].to : NULL;
	return name;
}

bool schema_is_system(const char *keyspace)
{
	static const char *const names[] = {
		"system",	 "system_schema", "system_auth",	   "system_distributed",
		"system_traces", "system_views",  "system_virtual_schema",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(keyspace, names[i]) == 0)
			return true;
	return false;
}

static bool of_table(const struct cql_statement *s)
{
	return s->kind >= CQL_TABLE;
}

static bool name_fits(const struct schema_name *n, const struct cql_statement *s)
{
	return strcmp(n->keyspace, s->keyspace) == 0 &&
	       (!*n->table || (of_table(s) && strcmp(n->table, s->table) == 0));
}

static bool is_chosen(const struct schema_options *o, const struct cql_statement *s)
{
	for (size_t i = 0; i < o->only_count; i++)
		if (name_fits(&o->only[i], s))
			return true;
	return o->only_count == 0;
}

/* A rename of a table goes before one of its keyspace. `table` "": of the keyspace alone. NULL: keeps its name. */
static const struct schema_rename *find_rename(const struct schema_options *o, const char *keyspace,
					       const char *table)
{
	const struct schema_rename *found = NULL;

	for (size_t i = 0; i < o->rename_count; i++) {
		const struct schema_rename *r = &o->renames[i];

		if (strcmp(r->from.keyspace, keyspace) != 0)
			continue;
		if (*table && strcmp(r->from.table, table) == 0)
			return r;
		if (!*r->from.table)
			found = r;
	}
	return found;
}

static const char *new_table(const struct schema_options *o, const char *keyspace,
			     const char *table)
{
	const struct schema_rename *r = find_rename(o, keyspace, table);

	return r && *r->to.table ? r->to.table : table;
}

/* What belongs to a table is made where the table is. */
static const char *new_keyspace(const struct schema_options *o, const struct cql_statement *s)
{
	const struct schema_rename *r = find_rename(o, s->keyspace, of_table(s) ? s->table : "");

	return r ? r->to.keyspace : s->keyspace;
}

static struct schema_item item_of(const struct schema_options *o, const struct cql_statement *s)
{
	return (struct schema_item){
		.statement = s,
		.keyspace = new_keyspace(o, s),
		.name = of_table(s) && s->kind != CQL_INDEX ? new_table(o, s->keyspace, s->name)
							    : s->name,
		.table = of_table(s) ? new_table(o, s->keyspace, s->table) : s->table,
	};
}

/* ---- what a table needs ---- */

struct choice {
	struct schema *schema;
	size_t cap;
	const struct cql_statement **named; /* types and functions, by keyspace and name */
	size_t named_count;
	const struct cql_statement **keyspaces; /* CREATE KEYSPACE, by name */
	size_t keyspace_count;
};

static int by_name(const void *a, const void *b)
{
	const struct cql_statement *x = *(const struct cql_statement *const *)a,
				   *y = *(const struct cql_statement *const *)b;
	int r = strcmp(x->keyspace, y->keyspace);

	if (r == 0)
		r = strcmp(x->name, y->name);
	return r ? r : (x > y) - (x < y);
}

static int add_item(struct choice *c, struct schema_item item, struct err *e)
{
	struct schema *s = c->schema;

	if (util_grow(&s->items, &c->cap, s->item_count + 1, sizeof(*s->items)) < 0)
		return err_nomem(e);
	s->items[s->item_count++] = item;
	return 0;
}

/* The first in `list`, sorted by name, of that keyspace and name; list_count: none. */
static size_t first_named(const struct cql_statement *const *list, size_t list_count,
			  const char *keyspace, const char *name)
{
	size_t low = 0, high = list_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = strcmp(list[middle]->keyspace, keyspace);

		if (r == 0)
			r = strcmp(list[middle]->name, name);
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list_count && strcmp(list[low]->keyspace, keyspace) == 0 &&
			       strcmp(list[low]->name, name) == 0
		       ? low
		       : list_count;
}

/* Walks a statement by its tokens: where a name of a type or of a function may stand. */
struct places {
	const struct cql *cql;
	enum cql_kind kind;
	unsigned round, angle; /* parentheses, and < >, that are open */
	bool over;
};

/*
 * Whether the token may be one: no name of a column, a field or an argument, which come first in the parentheses and behind commas, and no option of a table: each has a `comment`, and a type may have
 * that name too. Arguments of aggregates have no names.
 */
static bool may_name(struct places *p, uint32_t token)
{
	bool first = p->angle == 0 && p->kind != CQL_AGGREGATE &&
		     (cql_is(p->cql, token - 1, "(") || cql_is(p->cql, token - 1, ","));

	if (p->over)
		return false;
	p->round += cql_is(p->cql, token, "(");
	p->angle += cql_is(p->cql, token, "<");
	p->angle -= p->angle > 0 && cql_is(p->cql, token, ">");
	if (p->round > 0 && cql_is(p->cql, token, ")"))
		p->over = --p->round == 0 && p->kind == CQL_TABLE;
	return !first;
}

/* All types and functions of the item's keyspace that its tokens name. */
static int add_named(struct choice *c, const struct schema_item *item, const char **marks,
		     struct err *e)
{
	const struct cql_statement *s = item->statement;
	struct places places = { .cql = c->schema->cql, .kind = s->kind };
	const char *keyspace = item->keyspace;
	char name[CQL_NAME_ROOM];
	int r = 0;

	for (uint32_t t = s->name_token + 1; r == 0 && t < s->first + s->count; t++) {
		if (!may_name(&places, t) || !cql_name(c->schema->cql, t, name))
			continue;
		for (size_t i = first_named(c->named, c->named_count, s->keyspace, name);
		     r == 0 && i < c->named_count && strcmp(c->named[i]->name, name) == 0 &&
		     strcmp(c->named[i]->keyspace, s->keyspace) == 0;
		     i++) {
			if (marks[i] && strcmp(marks[i], keyspace) == 0)
				continue;
			marks[i] = keyspace;
			r = add_item(c,
				     (struct schema_item){ c->named[i], keyspace, c->named[i]->name,
							   c->named[i]->table },
				     e);
		}
	}
	return r;
}

/* The item's, and what these need, which comes behind them in the list. All of it is for one keyspace: marks stop it. */
static int add_needed_by(struct choice *c, size_t item, const char **marks, struct err *e)
{
	size_t next = c->schema->item_count;
	struct schema_item of = c->schema->items[item];
	int r = add_named(c, &of, marks, e);

	while (r == 0 && next < c->schema->item_count) {
		of = c->schema->items[next++];
		r = add_named(c, &of, marks, e);
	}
	return r;
}

static int add_needed(struct choice *c, struct err *e)
{
	_cleanup_free_ const char **marks = calloc(c->named_count + 1, sizeof(*marks));
	size_t count = c->schema->item_count;
	int r = marks ? 0 : err_nomem(e);

	for (size_t i = 0; r == 0 && i < count; i++) {
		enum cql_kind kind = c->schema->items[i].statement->kind;

		if (kind <= CQL_ALTER && kind != CQL_KEYSPACE)
			r = add_needed_by(c, i, marks, e);
	}
	return r;
}

/* A keyspace that is in the backup under the new name has its own statement, else that from which it is renamed. */
static int add_keyspaces(struct choice *c, struct err *e)
{
	size_t count = c->schema->item_count;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct schema_item item = c->schema->items[i];
		size_t at =
			first_named(c->keyspaces, c->keyspace_count, item.keyspace, item.keyspace);

		if (item.statement->kind == CQL_KEYSPACE)
			continue;
		if (at == c->keyspace_count)
			at = first_named(c->keyspaces, c->keyspace_count, item.statement->keyspace,
					 item.statement->keyspace);
		if (at < c->keyspace_count)
			r = add_item(c,
				     (struct schema_item){ c->keyspaces[at], item.keyspace,
							   item.keyspace, item.keyspace },
				     e);
	}
	return r;
}

/* ---- all together ---- */

static int by_turn(const void *a, const void *b)
{
	const struct schema_item *x = a, *y = b;
	int r = (x->statement->kind > y->statement->kind) -
		(x->statement->kind < y->statement->kind);

	/* One statement for each keyspace, wherever it comes from. */
	if (r == 0 && x->statement->kind == CQL_KEYSPACE)
		r = strcmp(x->keyspace, y->keyspace);
	if (r == 0)
		r = (x->statement > y->statement) - (x->statement < y->statement);
	return r ? r : strcmp(x->keyspace, y->keyspace);
}

static bool is_same(const struct schema_item *x, const struct schema_item *y)
{
	return (x->statement == y->statement ||
		(x->statement->kind == CQL_KEYSPACE && y->statement->kind == CQL_KEYSPACE)) &&
	       strcmp(x->keyspace, y->keyspace) == 0;
}

static void sort_items(struct schema *s)
{
	size_t kept = 0;

	if (s->item_count > 1)
		qsort(s->items, s->item_count, sizeof(*s->items), by_turn);
	for (size_t i = 0; i < s->item_count; i++)
		if (kept == 0 || !is_same(&s->items[kept - 1], &s->items[i]))
			s->items[kept++] = s->items[i];
	s->item_count = kept;
}

/* Where two of these have one name, one of them would not be made. */
static int space_of(const struct schema_item *i)
{
	return i->statement->kind == CQL_TYPE					   ? 1
	       : i->statement->kind == CQL_TABLE || i->statement->kind == CQL_VIEW ? 2
										   : 0;
}

static int by_new_name(const void *a, const void *b)
{
	const struct schema_item *x = *(const struct schema_item *const *)a,
				 *y = *(const struct schema_item *const *)b;
	int r = space_of(x) - space_of(y);

	if (r == 0)
		r = strcmp(x->keyspace, y->keyspace);
	return r ? r : strcmp(x->name, y->name);
}

static int check_names(const struct schema *s, struct err *e)
{
	_cleanup_free_ const struct schema_item **list = calloc(s->item_count + 1, sizeof(*list));

	if (!list)
		return err_nomem(e);
	for (size_t i = 0; i < s->item_count; i++)
		list[i] = &s->items[i];
	qsort(list, s->item_count, sizeof(*list), by_new_name);
	for (size_t i = 1; i < s->item_count; i++)
		if (space_of(list[i]) && by_new_name(&list[i - 1], &list[i]) == 0)
			return err_set(e, ERR_USAGE, -EEXIST, "%s.%s and %s.%s would both be %s.%s",
				       list[i - 1]->statement->keyspace,
				       list[i - 1]->statement->name, list[i]->statement->keyspace,
				       list[i]->statement->name, list[i]->keyspace, list[i]->name);
	return 0;
}

/* A view may be renamed too, by its own name. */
static bool renames_view(const struct schema_name *from, const struct cql_statement *s)
{
	return s->kind == CQL_VIEW && strcmp(from->keyspace, s->keyspace) == 0 &&
	       strcmp(from->table, s->name) == 0;
}

static int check_only(const struct schema *s, const struct schema_name *only, struct err *e)
{
	for (size_t i = 0; i < s->item_count; i++)
		if (name_fits(only, s->items[i].statement))
			return 0;
	return err_set(e, ERR_NOT_FOUND, -ENOENT,
		       "%s%s%s names no table or keyspace of the schema that has to be made",
		       only->keyspace, *only->table ? "." : "", only->table);
}

static int check_rename(const struct schema *s, const struct schema_rename *r, struct err *e)
{
	bool found = false;

	for (size_t i = 0; i < s->item_count; i++) {
		bool view = renames_view(&r->from, s->items[i].statement);

		found |= view || name_fits(&r->from, s->items[i].statement);
		if (view && strcmp(r->to.keyspace, s->items[i].keyspace) != 0)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "the view %s.%s is made where its table is, in %s",
				       r->from.keyspace, r->from.table, s->items[i].keyspace);
	}
	return found ? 0
		     : err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "%s%s%s, which is to be renamed, is not among what is chosen",
			       r->from.keyspace, *r->from.table ? "." : "", r->from.table);
}

static int check_asked(const struct schema *s, const struct schema_options *o, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->only_count; i++)
		r = check_only(s, &o->only[i], e);
	for (size_t i = 0; r == 0 && i < o->rename_count; i++)
		r = check_rename(s, &o->renames[i], e);
	return r;
}

static int index_statements(struct choice *c, const struct cql *q, struct err *e)
{
	c->named = calloc(q->statement_count + 1, sizeof(*c->named));
	c->keyspaces = calloc(q->statement_count + 1, sizeof(*c->keyspaces));
	if (!c->named || !c->keyspaces)
		return err_nomem(e);
	for (size_t i = 0; i < q->statement_count; i++) {
		const struct cql_statement *s = &q->statements[i];

		if (s->kind == CQL_KEYSPACE)
			c->keyspaces[c->keyspace_count++] = s;
		else if (s->kind == CQL_TYPE || s->kind == CQL_FUNCTION)
			c->named[c->named_count++] = s;
	}
	qsort(c->named, c->named_count, sizeof(*c->named), by_name);
	qsort(c->keyspaces, c->keyspace_count, sizeof(*c->keyspaces), by_name);
	return 0;
}

static int choose(struct choice *c, const struct cql *q, const struct schema_options *o,
		  struct err *e)
{
	int r = index_statements(c, q, e);

	for (size_t i = 0; r == 0 && i < q->statement_count; i++)
		if (!schema_is_system(q->statements[i].keyspace) && is_chosen(o, &q->statements[i]))
			r = add_item(c, item_of(o, &q->statements[i]), e);
	if (r == 0)
		r = add_needed(c, e);
	if (r == 0)
		r = add_keyspaces(c, e);
	if (r < 0)
		return r;
	sort_items(c->schema);
	r = check_asked(c->schema, o, e);
	return r < 0 ? r : check_names(c->schema, e);
}

int schema_choose(const struct cql *q, const struct schema_options *o, struct schema **ret,
		  struct err *e)
{
	_cleanup_(schema_freep) struct schema *s = calloc(1, sizeof(*s));
	struct choice c = { .schema = s };
	int r;

	if (!s)
		return err_nomem(e);
	s->cql = q;
	s->dcs = o->dcs;
	s->dc_count = o->dc_count;
	r = choose(&c, q, o, e);
	free(c.named);
	free(c.keyspaces);
	if (r == 0)
		*ret = steal_pointer(&s);
	return r;
}

void schema_free(struct schema *s)
{
	free(s->items);
	free(s);
}
