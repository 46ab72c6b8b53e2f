/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "tools/clusterplan_parts.h"

#define OWN_TABLES "data/system/"

/* ---- the backup ---- */

static int by_node(const void *a, const void *b)
{
	const struct record *x = *(const struct record *const *)a,
			    *y = *(const struct record *const *)b;

	return strcmp(x->where.node, y->where.node);
}

/* Where its nodes are now; NULL: they are left out. */
static const char *dc_of(const struct clusterplan *p, const char *dc)
{
	return schema_dc(p->options->schema.dcs, p->options->schema.dc_count, dc);
}

/* Each data centre has all of its keyspaces' replicas in its own ring: in one of both, some would be looked for on nodes that never had them. */
static int check_apart(const struct clusterplan *p, struct err *e)
{
	for (size_t i = 0; i < p->source_count; i++)
		for (size_t k = 0; k < i; k++) {
			const char *one = p->records[k]->dc, *two = p->records[i]->dc;

			if (strcmp(one, two) != 0 && strcmp(dc_of(p, one), dc_of(p, two)) == 0)
				return err_set(
					e, ERR_USAGE, -EINVAL,
					"data centres %s and %s of the backup would both become %s: load one after the other, each time with --leave-out-dc of the other",
					one, two, dc_of(p, one));
		}
	return 0;
}

static int allocate(struct clusterplan *p, struct err *e)
{
	size_t room = p->found->count + 1;

	p->records = calloc(room, sizeof(*p->records));
	p->sources = calloc(room, sizeof(*p->sources));
	p->whole = calloc(room, sizeof(*p->whole));
	p->ring_nodes = calloc(room, sizeof(*p->ring_nodes));
	return p->records && p->sources && p->whole && p->ring_nodes ? 0 : err_nomem(e);
}

static int take_records(struct clusterplan *p, struct err *e)
{
	int r = allocate(p, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < p->found->count; i++)
		if (p->found->records[i]->state == RECORD_COMMITTED &&
		    dc_of(p, p->found->records[i]->dc))
			p->records[p->source_count++] = p->found->records[i];
	if (p->source_count == 0)
		return err_set(e, ERR_CONFLICT, -EBUSY, "no node has finished this backup%s",
			       p->options->schema.dc_count ? ", or all are left out" : "");
	qsort(p->records, p->source_count, sizeof(*p->records), by_node);
	for (size_t i = 0; i < p->source_count; i++) {
		const struct record *rec = p->records[i];

		p->sources[i] = (struct mapping_node){ .name = rec->where.node,
						       .host_id = rec->host_id,
						       .dc = dc_of(p, rec->dc),
						       .rack = rec->rack,
						       .token_count = rec->token_count };
		p->ring_nodes[i] = (struct ring_node){ .name = rec->where.node,
						       .dc = dc_of(p, rec->dc),
						       .rack = rec->rack,
						       .tokens = (const char *const *)rec->tokens,
						       .token_count = rec->token_count };
	}
	return check_apart(p, e);
}

static bool is_source(const struct clusterplan *p, const char *host_id)
{
	for (size_t i = 0; i < p->source_count; i++)
		if (strcmp(p->sources[i].host_id, host_id) == 0)
			return true;
	return false;
}

/* Every node that any of the nodes saw, and that has no finished backup, once. */
static int find_missing(struct clusterplan *p, bool partial, struct err *e)
{
	_cleanup_json_ json_t *seen = json_object();

	p->missing = json_array();
	if (!seen || !p->missing)
		return err_nomem(e);
	for (size_t i = 0; i < p->source_count; i++)
		for (size_t k = 0; k < p->records[i]->peer_count; k++) {
			const struct record_node *peer = &p->records[i]->peers[k];

			if (is_source(p, peer->host_id) || !dc_of(p, peer->dc) ||
			    json_object_get(seen, peer->host_id))
				continue;
			json_object_set_new(seen, peer->host_id, json_true());
			json_array_append_new(p->missing,
					      json_pack("{s:o, s:o, s:o}", "host_id",
							json_text(peer->host_id), "address",
							json_text(peer->address), "dc",
							json_text(peer->dc)));
		}
	if (json_array_size(p->missing) > 0 && !partial)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%zu nodes of the cluster have not finished this backup, %s the first (backup-cluster --retry-failed, or --partial)",
			json_array_size(p->missing),
			json_string_value(
				json_object_get(json_array_get(p->missing, 0), "address")));
	return 0;
}

/* ---- what is loaded ---- */

struct collect {
	struct clusterplan *plan;
	uint32_t source;
};

static bool is_loaded_from(const struct clusterplan *p, const char *keyspace, uint32_t source)
{
	const struct clusterplan_keyspace *k = clusterplan_keyspace(p, keyspace);

	for (size_t i = 0; k && i < k->cover.node_count; i++)
		if (k->cover.nodes[i] == source)
			return true;
	return false;
}

/* Views are made by what is loaded into their tables; indexes lie in their tables' directories. */
static const struct schema_item *find_table(const struct clusterplan *p, const char *keyspace,
					    const char *table)
{
	const struct schema_item *item;

	for (size_t i = 0; (item = clusterplan_item(p, i)); i++) {
		const struct cql_statement *s = item->statement;

		if (s->kind == CQL_TABLE && strcmp(s->keyspace, keyspace) == 0 &&
		    strcmp(s->name, table) == 0)
			return item;
	}
	return NULL;
}

static bool is_wanted(const struct schema_options *o, const char *keyspace, const char *table)
{
	for (size_t i = 0; i < o->only_count; i++)
		if (strcmp(o->only[i].keyspace, keyspace) == 0 &&
		    (!*o->only[i].table || strcmp(o->only[i].table, table) == 0))
			return true;
	return o->only_count == 0;
}

static bool is_in_schema(const struct clusterplan *p, const char *keyspace, const char *table)
{
	for (size_t i = 0; i < p->cql->statement_count; i++) {
		const struct cql_statement *s = &p->cql->statements[i];

		if ((s->kind == CQL_TABLE || s->kind == CQL_VIEW) &&
		    strcmp(s->keyspace, keyspace) == 0 && strcmp(s->name, table) == 0)
			return true;
	}
	return false;
}

/* What nobody can make: it was dropped, or made, between the snapshot and the schema. */
static int note_unknown(struct clusterplan *p, const char *keyspace, const char *table,
			struct err *e)
{
	bool loaded;

	if (schema_is_system(keyspace) || !is_wanted(&p->options->schema, keyspace, table) ||
	    is_in_schema(p, keyspace, table) || clusterplan_is_noted(p, keyspace, table, &loaded))
		return 0;
	if (!p->options->partial)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"the backup holds table %s.%s, and its schema.cql has no CREATE for it, or has it in a comment, as of COMPACT STORAGE (--partial leaves it out; --schema-of names another node's schema)",
			keyspace, table);
	return clusterplan_note(
		p, keyspace, table, false,
		"schema.cql has no CREATE for it, or has it in a comment, as of COMPACT STORAGE",
		e);
}

/* data/<keyspace>/<table>-<id>: directories with exactly two slashes. */
static int directory(void *ctx, const char *path, const struct child *self, const struct tree *tree,
		     struct err *e)
{
	struct collect *c = ctx;
	struct clusterplan *p = c->plan;
	const char *first = strchr(path, '/'), *second = first ? strchr(first + 1, '/') : NULL;
	const char *dash = second ? strrchr(second, '-') : NULL;
	_cleanup_free_ char *keyspace = NULL, *table = NULL, *copy = NULL;
	const struct schema_item *item;

	(void)self;
	if (strncmp(path, "data/", 5) != 0 || !dash || strchr(second + 1, '/') ||
	    tree->file_count == 0)
		return 0;
	/* Every node has tables of its own there. */
	if (strncmp(path, OWN_TABLES, strlen(OWN_TABLES)) == 0)
		p->whole[c->source] = true;
	keyspace = strndup(first + 1, (size_t)(second - first - 1));
	table = strndup(second + 1, (size_t)(dash - second - 1));
	copy = strdup(path);
	if (!keyspace || !table || !copy)
		return err_nomem(e);
	item = is_loaded_from(p, keyspace, c->source) ? find_table(p, keyspace, table) : NULL;
	if (!item)
		return note_unknown(p, keyspace, table, e);
	if (util_grow(&p->tables, &p->table_cap, p->table_count + 1, sizeof(*p->tables)) < 0)
		return err_nomem(e);
	p->tables[p->table_count++] =
		(struct clusterplan_table){ .source = c->source,
					    .keyspace = item->statement->keyspace,
					    .table = item->statement->name,
					    .to_keyspace = item->keyspace,
					    .to_table = item->name,
					    .directory = steal_pointer(&copy),
					    .bytes = tree->total_bytes,
					    .files = tree->file_count };
	return 0;
}

/* Entries are not needed: no run is read. */
static int skip_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	(void)ctx, (void)path, (void)ref, (void)e;
	return 1;
}

static int by_table(const void *a, const void *b)
{
	const struct clusterplan_table *x = a, *y = b;
	int r = strcmp(x->keyspace, y->keyspace);

	if (r == 0)
		r = strcmp(x->table, y->table);
	return r ? r : (x->source > y->source) - (x->source < y->source);
}

static int collect_tables(struct cli *cli, struct session *s, struct clusterplan *p, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < p->source_count; i++) {
		struct collect c = { p, i };
		const struct meta_walk walk = { .directory = directory,
						.run = skip_run,
						.ctx = &c };

		r = meta_walk(s->meta, &p->records[i]->where, &p->records[i]->root, &walk,
			      &cli->cancel, e);
	}
	if (p->table_count > 1)
		qsort(p->tables, p->table_count, sizeof(*p->tables), by_table);
	return r;
}

/* ---- what the sources know ---- */

bool clusterplan_is_roles(const struct clusterplan_table *t)
{
	return strcmp(t->keyspace, ROLES_KEYSPACE) == 0;
}

bool clusterplan_has_roles(const struct clusterplan *p)
{
	for (size_t i = 0; i < p->table_count; i++)
		if (clusterplan_is_roles(&p->tables[i]))
			return true;
	return false;
}

bool clusterplan_knows(const struct clusterplan *p, uint32_t source, const char *keyspace,
		       const char *table)
{
	const struct clusterplan_table key = { .source = source,
					       .keyspace = keyspace,
					       .table = table };

	return p->whole[source] || (p->table_count > 0 && bsearch(&key, p->tables, p->table_count,
								  sizeof(key), by_table));
}

/* The first table that it may have had, and not backed up. */
static const struct cql_statement *find_unknown(const struct clusterplan *p, uint32_t source)
{
	const struct schema_item *item;

	for (size_t i = 0; (item = clusterplan_item(p, i)); i++) {
		const struct cql_statement *s = item->statement;

		if (s->kind == CQL_TABLE && is_loaded_from(p, s->keyspace, source) &&
		    !clusterplan_knows(p, source, s->keyspace, s->name))
			return s;
	}
	return NULL;
}

/* A source without a directory of a table had no rows of it, unless its backup was made of some tables only. */
static int check_known(const struct clusterplan *p, struct err *e)
{
	_cleanup_free_ char *names = strdup("");
	const struct cql_statement *first = NULL;

	for (uint32_t i = 0; names && i < p->source_count; i++) {
		const struct cql_statement *s = find_unknown(p, i);
		char *longer;

		if (!s)
			continue;
		first = first ? first : s;
		longer = util_printf("%s%s%s", names, *names ? ", " : "", p->sources[i].name);
		free(names);
		names = longer;
	}
	if (!names)
		return err_nomem(e);
	return !first ? 0
		      : err_set(e, ERR_CONFLICT, -EBUSY,
				"the backup of %s was made with --only: table %s.%s and its rows may be missing (%s; --partial loads what is there)",
				names, first->keyspace, first->name,
				strcmp(first->keyspace, ROLES_KEYSPACE) == 0
					? "--keep-auth leaves the roles of the cluster as they are"
					: "--only names what is to be loaded of what it has");
}

static bool has_rows(const struct clusterplan *p, const struct cql_statement *s)
{
	for (size_t i = 0; i < p->table_count; i++)
		if (strcmp(p->tables[i].keyspace, s->keyspace) == 0 &&
		    strcmp(p->tables[i].table, s->name) == 0)
			return true;
	return false;
}

/* The first source of a table that may have had rows of it, and not backed them up. */
static const char *find_unknowing(const struct clusterplan *p, const struct cql_statement *s)
{
	for (uint32_t i = 0; i < p->source_count; i++)
		if (is_loaded_from(p, s->keyspace, i) &&
		    !clusterplan_knows(p, i, s->keyspace, s->name))
			return p->sources[i].name;
	return NULL;
}

/* The same where it is permitted: what may be missing is said. */
static int note_unknowing(struct clusterplan *p, struct err *e)
{
	const struct schema_item *item;
	int r = 0;

	for (size_t i = 0; r == 0 && (item = clusterplan_item(p, i)); i++) {
		const struct cql_statement *s = item->statement;
		const char *who = s->kind == CQL_TABLE ? find_unknowing(p, s) : NULL;
		_cleanup_free_ char *reason = NULL;

		if (!who)
			continue;
		reason = util_printf(
			"the backup of %s was made with --only, and has not this table", who);
		r = reason ? clusterplan_note(p, s->keyspace, s->name, has_rows(p, s), reason, e)
			   : err_nomem(e);
	}
	return r;
}

/* Of a data centre as it is called now; NULL: of all. */
static size_t count_missing(const struct clusterplan *p, const char *dc)
{
	size_t i, count = 0;
	json_t *o;

	json_array_foreach(p->missing, i, o)
		count += !dc ||
			 strcmp(dc_of(p, json_string_value(json_object_get(o, "dc"))), dc) == 0;
	return count;
}

static bool has_source(const struct clusterplan *p, const char *dc)
{
	for (size_t i = 0; i < p->source_count; i++)
		if (strcmp(p->sources[i].dc, dc) == 0)
			return true;
	return false;
}

static bool is_known(const struct clusterplan *p, const char *keyspace)
{
	const struct schema_item *item;

	for (size_t i = 0; (item = clusterplan_item(p, i)); i++)
		if (item->statement->kind == CQL_TABLE &&
		    strcmp(item->statement->keyspace, keyspace) == 0 &&
		    find_unknowing(p, item->statement))
			return false;
	return true;
}

/*
 * Whether each row has a replica on a source, wherever the tokens of the missing were: replicas are on as many nodes as the factor says, or on all that there are, and fewer are missing.
 */
static bool is_covered(const struct clusterplan *p, const struct clusterplan_keyspace *k)
{
	const struct replication *how = &k->replication;

	if (p->options->given || !is_known(p, k->name))
		return false;
	if (how->class == REPLICATION_SIMPLE)
		return count_missing(p, NULL) < how->factor;
	for (size_t i = 0; i < how->dc_count; i++)
		if (has_source(p, how->dcs[i].dc) &&
		    count_missing(p, how->dcs[i].dc) < how->dcs[i].factor)
			return true;
	return false;
}

static int note_one(struct clusterplan *p, const struct clusterplan_keyspace *k, struct err *e)
{
	const char *first =
		json_string_value(json_object_get(json_array_get(p->missing, 0), "address"));
	bool covered = is_covered(p, k);
	_cleanup_free_ char *reason = util_printf(
		"%zu nodes are missing in the backup, %s the first, %s",
		json_array_size(p->missing), first ? first : "",
		covered ? "fewer than each row has replicas: only what had not reached the others, as no repair took it there, is not loaded"
			: "and rows may be on them alone");
	int r = reason ? clusterplan_note(p, k->name, "", true, reason, e) : err_nomem(e);

	if (r == 0)
		json_object_set_new(json_array_get(p->incomplete,
						   json_array_size(p->incomplete) - 1),
				    "covered", json_boolean(covered));
	return r;
}

/* Each node holds all of a keyspace that is everywhere, and nothing is loaded of one that is local. */
static int note_missing(struct clusterplan *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && json_array_size(p->missing) > 0 && i < p->keyspace_count;
	     i++) {
		const struct clusterplan_keyspace *k = &p->keyspaces[i];
		bool loaded;

		if (k->replication.class != REPLICATION_LOCAL &&
		    k->replication.class != REPLICATION_EVERYWHERE &&
		    !clusterplan_is_noted(p, k->name, "", &loaded))
			r = note_one(p, k, e);
	}
	return r;
}

/* ---- the plan ---- */

static int check_partitioner(const struct clusterplan *p, struct err *e)
{
	for (size_t i = 0; i < p->source_count; i++)
		if (strcmp(p->records[i]->partitioner, RING_PARTITIONER) != 0)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"%s has partitioner '%s': loading can be planned for " RING_PARTITIONER
				" only",
				p->sources[i].name, p->records[i]->partitioner);
	return 0;
}

/*
 * Where a node is missing, its tokens are missing too: the ring is not the one that there was, and nobody can say who holds what. Then everything there is gets loaded.
 */
static int plan_loading(struct cli *cli, struct session *s, struct clusterplan *p,
			const struct clusterplan_options *o, struct err *e)
{
	bool all = o->all_replicas || json_array_size(p->missing) > 0;
	int r = check_partitioner(p, e);

	if (r == 0)
		r = clusterplan_read_schema(cli, s, p, e);
	/* Who names tables means these alone. */
	if (r == 0 && !o->keep_auth && o->schema.only_count == 0)
		r = roles_choose(p->cql, &p->roles, e);
	if (r == 0)
		r = ring_new(p->ring_nodes, p->source_count, &p->ring, e);
	if (r == 0)
		r = clusterplan_cover(p, all, e);
	if (r == 0)
		r = collect_tables(cli, s, p, e);
	if (r == 0)
		r = note_missing(p, e);
	if (r < 0 || o->given)
		return r;
	return o->partial ? note_unknowing(p, e) : check_known(p, e);
}

static int make(struct cli *cli, struct session *s, struct clusterplan *p,
		const struct clusterplan_options *o, struct err *e)
{
	int r = take_records(p, e);

	if (r == 0)
		r = find_missing(p, o->partial, e);
	if (r == 0)
		r = mapping_decide(p->sources, p->source_count, p->targets->nodes,
				   p->targets->count, &p->mapping, e);
	if (r == 0 && o->load)
		mapping_load(&p->mapping);
	if (r == 0 && o->in_place)
		mapping_in_place(&p->mapping);
	if (r == 0 && p->mapping.which == MAPPING_LOADED)
		r = plan_loading(cli, s, p, o, e);
	return r;
}

int clusterplan_make(struct cli *cli, struct session *s, const struct found *f,
		     const struct targets *targets, const struct clusterplan_options *o,
		     struct clusterplan **ret, struct err *e)
{
	_cleanup_(clusterplan_freep) struct clusterplan *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_nomem(e);
	p->found = f;
	p->targets = targets;
	p->options = o;
	p->incomplete = json_array();
	if (!p->incomplete)
		return err_nomem(e);
	r = make(cli, s, p, o, e);
	if (r == 0)
		*ret = steal_pointer(&p);
	return r;
}

void clusterplan_free(struct clusterplan *p)
{
	for (size_t i = 0; i < p->table_count; i++)
		free(p->tables[i].directory);
	for (size_t i = 0; i < p->keyspace_count; i++)
		cover_deinit(&p->keyspaces[i].cover);
	free(p->tables);
	free(p->keyspaces);
	if (p->schema)
		schema_free(p->schema);
	if (p->roles)
		schema_free(p->roles);
	if (p->cql)
		cql_free(p->cql);
	if (p->ring)
		ring_free(p->ring);
	mapping_deinit(&p->mapping);
	json_decref(p->missing);
	json_decref(p->incomplete);
	free(p->ring_nodes);
	free(p->whole);
	free(p->sources);
	free(p->records);
	free(p);
}
