/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "catalog/wholefile.h"
#include "tools/clusterplan_parts.h"

#define SCHEMA_FILE "schema.cql"

/* ---- the schema ---- */

static bool is_named(const struct clusterplan *p, size_t source)
{
	const char *name = p->options->schema_of;

	return !name || strcmp(p->sources[source].name, name) == 0;
}

static int check_named(const struct clusterplan *p, struct err *e)
{
	for (size_t i = 0; i < p->source_count; i++)
		if (is_named(p, i))
			return 0;
	return err_set(e, ERR_NOT_FOUND, -ENOENT,
		       "--schema-of %s names no node that has finished this backup",
		       p->options->schema_of);
}

static int no_schema(const struct clusterplan *p, struct err *e)
{
	const char *name = p->options->schema_of;

	return err_set(
		e, ERR_CONFLICT, -ENOENT,
		"the backup of %s%s a " SCHEMA_FILE
		" (it is taken where cqlsh reaches the node), and no rows can be loaded without: the files of each node come back with restore-node",
		name ? name : "no node", name ? " does not hold" : " holds");
}

/* Nodes of a cluster have one schema. Who has none of it in the backup, as cqlsh failed, goes by the others; where it was changed meanwhile, somebody has to say which one is meant. */
static int find_schema(struct cli *cli, struct session *s, const struct clusterplan *p, size_t *ret,
		       struct err *e)
{
	struct id256 first = { 0 }, id;
	size_t found = p->source_count;
	int r = check_named(p, e);

	for (size_t i = 0; r >= 0 && i < p->source_count; i++) {
		if (!is_named(p, i))
			continue;
		r = wholefile_id(s->meta, p->records[i], SCHEMA_FILE, &id, &cli->cancel, e);
		if (r != 0)
			continue;
		if (found < p->source_count && memcmp(&first, &id, sizeof(id)) != 0)
			return err_set(
				e, ERR_CONFLICT, -EBUSY,
				"%s and %s do not have the same schema in this backup: --schema-of names the node whose schema is made",
				p->sources[found].name, p->sources[i].name);
		if (found == p->source_count)
			found = i;
		first = id;
	}
	if (r >= 0 && found == p->source_count)
		return no_schema(p, e);
	*ret = found;
	return r < 0 ? r : 0;
}

int clusterplan_read_schema(struct cli *cli, struct session *s, struct clusterplan *p,
			    struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len, from = 0;
	int r = find_schema(cli, s, p, &from, e);

	if (r == 0)
		r = wholefile_read(s->meta, s->source, p->records[from], SCHEMA_FILE, CQL_TEXT_MAX,
				   &text, &len, &cli->cancel, e);
	if (r == 0) {
		r = cql_read(text, len, &p->cql, e);
		if (r < 0)
			r = err_wrap(e, r, SCHEMA_FILE " of %s", p->sources[from].name);
	}
	return r < 0 ? r : schema_choose(p->cql, &p->options->schema, &p->schema, e);
}

/* ---- what is loaded ---- */

const struct schema_item *clusterplan_item(const struct clusterplan *p, size_t i)
{
	size_t first = p->schema->item_count;

	if (i < first)
		return &p->schema->items[i];
	return p->roles && i - first < p->roles->item_count ? &p->roles->items[i - first] : NULL;
}

int clusterplan_replication(const struct schema *schema, const struct schema_item *item,
			    struct replication *ret, struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_wbuf_ struct wbuf text;
	int r;

	wbuf_init(&text, 2 * CQL_TEXT_MAX);
	schema_print(schema, item, &text);
	if (wbuf_error(&text))
		return err_nomem(e);
	r = cql_read((char *)text.data, text.len, &q, e);
	return r < 0 ? r : replication_read(q, &q->statements[0], ret, e);
}

static bool leaves_out(const struct clusterplan *p)
{
	const struct schema_options *o = &p->options->schema;

	for (size_t i = 0; i < o->dc_count; i++)
		if (!*o->dcs[i].to)
			return true;
	return false;
}

const struct clusterplan_keyspace *clusterplan_keyspace(const struct clusterplan *p,
							const char *name)
{
	for (size_t i = 0; i < p->keyspace_count; i++)
		if (strcmp(p->keyspaces[i].name, name) == 0)
			return &p->keyspaces[i];
	return NULL;
}

/* By its own statement, whatever becomes of its name: what counts is how it was replicated. */
static const struct cql_statement *find_statement(const struct clusterplan *p, const char *keyspace)
{
	for (size_t i = 0; i < p->cql->statement_count; i++)
		if (p->cql->statements[i].kind == CQL_KEYSPACE &&
		    strcmp(p->cql->statements[i].name, keyspace) == 0)
			return &p->cql->statements[i];
	return NULL;
}

/* ---- what is not loaded, or not whole ---- */

int clusterplan_note(struct clusterplan *p, const char *keyspace, const char *table, bool loaded,
		     const char *reason, struct err *e)
{
	json_t *o = json_pack("{s:o, s:o, s:b, s:s}", "keyspace", json_text(keyspace), "table",
			      *table ? json_text(table) : json_null(), "loaded", loaded, "reason",
			      reason);

	return o && json_array_append_new(p->incomplete, o) == 0 ? 0 : err_nomem(e);
}

bool clusterplan_is_noted(const struct clusterplan *p, const char *keyspace, const char *table,
			  bool *ret_loaded)
{
	size_t i;
	json_t *o;

	json_array_foreach(p->incomplete, i, o) {
		const char *its = json_string_value(json_object_get(o, "table"));

		if (strcmp(json_string_value(json_object_get(o, "keyspace")), keyspace) != 0 ||
		    strcmp(its ? its : "", table) != 0)
			continue;
		*ret_loaded = json_is_true(json_object_get(o, "loaded"));
		return true;
	}
	return false;
}

/* How to do without a keyspace. */
static const char *way_out(const char *keyspace)
{
	return strcmp(keyspace, ROLES_KEYSPACE) == 0 ? "--keep-auth" : "--only";
}

static bool is_dropped(const struct clusterplan *p, const char *keyspace)
{
	bool loaded = true;

	return clusterplan_is_noted(p, keyspace, "", &loaded) && !loaded;
}

/* Nothing of a keyspace that is not loaded is made. */
static void drop_items(const struct clusterplan *p, struct schema *s)
{
	size_t kept = 0;

	for (size_t i = 0; s && i < s->item_count; i++)
		if (!is_dropped(p, s->items[i].statement->keyspace))
			s->items[kept++] = s->items[i];
	if (s)
		s->item_count = kept;
}

/* ---- keyspaces ---- */

struct covering {
	struct clusterplan *plan;
	bool all_replicas;
	bool *available;
};

/* Whoever leaves out a data centre leaves out what is only there. */
static bool is_only_there(const struct clusterplan *p, const struct replication *how)
{
	return how->class == REPLICATION_NETWORK && how->dc_count == 0 && leaves_out(p);
}

/* With NetworkTopologyStrategy replicas of one data centre depend on its own tokens alone: the others may be missing in the ring. With another one nobody can say who held what. */
static int check_left_out(const struct covering *c, const struct clusterplan_keyspace *k,
			  struct err *e)
{
	if (k->replication.class == REPLICATION_LOCAL ||
	    k->replication.class == REPLICATION_NETWORK || !leaves_out(c->plan))
		return 0;
	if (!c->plan->options->partial)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"keyspace %s is not replicated by NetworkTopologyStrategy: without all data centres it is not whole (%s, or --partial loads what is there)",
			k->name, way_out(k->name));
	return clusterplan_note(
		c->plan, k->name, "", true,
		"it is not replicated by NetworkTopologyStrategy, and rows of it may be in what is left out alone",
		e);
}

static int cover_keyspace(struct covering *c, const char *name, const struct replication *how,
			  struct err *e)
{
	struct clusterplan *p = c->plan;
	struct clusterplan_keyspace *k = &p->keyspaces[p->keyspace_count++];
	bool all = c->all_replicas, part = false;
	int r;

	*k = (struct clusterplan_keyspace){ .name = name, .replication = *how };
	r = check_left_out(c, k, e);
	if (r == 0)
		r = cover_choose(p->ring, how, c->available,
				 all || clusterplan_is_noted(p, name, "", &part), &k->cover, e);
	if (r < 0 || k->cover.lost_ranges == 0)
		return r;
	if (!p->options->partial)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"keyspace %s: no node of the backup is a replica of %zu ranges (%s, or --partial leaves it out)",
			name, k->cover.lost_ranges, way_out(name));
	cover_deinit(&k->cover);
	p->keyspace_count--;
	return clusterplan_note(p, name, "", false, "no node of the backup is a replica of it", e);
}

static int look_at(struct covering *c, const struct schema_item *item, struct err *e)
{
	const struct cql_statement *keyspace = find_statement(c->plan, item->statement->keyspace);
	const char *name = item->statement->keyspace;
	struct replication how;
	int r;

	if (!keyspace)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       SCHEMA_FILE " has tables of keyspace %s, and not itself", name);
	r = clusterplan_replication(c->plan->schema,
				    &(struct schema_item){ keyspace, name, name, name }, &how, e);
	if (r < 0)
		return r;
	if (is_only_there(c->plan, &how))
		return clusterplan_note(c->plan, name, "", false,
					"it is replicated in nothing but what is left out", e);
	return item->statement->kind == CQL_TABLE ? cover_keyspace(c, name, &how, e) : 0;
}

static int check_rest(const struct clusterplan *p, struct err *e)
{
	const json_t *o = json_array_get(p->incomplete, 0);

	if (!o || p->schema->item_count > 0 || (p->roles && p->roles->item_count > 0))
		return 0;
	return err_set(e, ERR_CONFLICT, -EBUSY, "nothing is left to be loaded: keyspace %s, %s",
		       json_string_value(json_object_get(o, "keyspace")),
		       json_string_value(json_object_get(o, "reason")));
}

int clusterplan_cover(struct clusterplan *p, bool all_replicas, struct err *e)
{
	_cleanup_free_ bool *available = calloc(p->source_count, sizeof(*available));
	struct covering c = { p, all_replicas, available };
	const struct schema_item *item;
	int r = 0;

	/* One more for the roles. */
	p->keyspaces = calloc(p->schema->item_count + 1, sizeof(*p->keyspaces));
	if (!p->keyspaces || !available)
		return err_nomem(e);
	for (size_t i = 0; i < p->source_count; i++)
		available[i] = true;
	for (size_t i = 0; r == 0 && (item = clusterplan_item(p, i)); i++) {
		const struct cql_statement *s = item->statement;

		if ((s->kind == CQL_TABLE || s->kind == CQL_KEYSPACE) &&
		    !clusterplan_keyspace(p, s->keyspace) && !is_dropped(p, s->keyspace))
			r = look_at(&c, item, e);
	}
	drop_items(p, p->schema);
	drop_items(p, p->roles);
	return r < 0 ? r : check_rest(p, e);
}
