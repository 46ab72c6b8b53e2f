/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "catalog/wholefile.h"
#include "tools/clusterplan_parts.h"

#define SCHEMA_FILE "schema.cql"

/* ---- the schema ---- */

/* That of the first node; where it was changed during the backup, somebody has to look. */
int clusterplan_read_schema(struct cli *cli, struct session *s, struct clusterplan *p,
			    const struct clusterplan_options *o, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct id256 first = { 0 }, id;
	size_t len;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->source_count; i++) {
		r = wholefile_id(s->meta, p->records[i], SCHEMA_FILE, &id, &cli->cancel, e);
		if (r == 0 && i == 0)
			first = id;
		if (r == 0 && memcmp(&first, &id, sizeof(id)) != 0)
			return err_set(e, ERR_CONFLICT, -EBUSY,
				       "%s and %s do not have the same schema in this backup",
				       p->sources[0].name, p->sources[i].name);
		if (r == WHOLEFILE_NONE)
			return err_set(e, ERR_CONFLICT, -ENOENT,
				       "the backup of %s holds no " SCHEMA_FILE,
				       p->sources[i].name);
	}
	if (r == 0)
		r = wholefile_read(s->meta, s->source, p->records[0], SCHEMA_FILE, CQL_TEXT_MAX,
				   &text, &len, &cli->cancel, e);
	if (r == 0)
		r = cql_read(text, len, &p->cql, e);
	return r < 0 ? r : schema_choose(p->cql, &o->schema, &p->schema, e);
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

/* How to do without a keyspace. */
static const char *way_out(const char *keyspace)
{
	return strcmp(keyspace, ROLES_KEYSPACE) == 0 ? "--keep-auth" : "--only";
}

/* With NetworkTopologyStrategy replicas of one data centre depend on its own tokens alone: the others may be missing in the ring. */
static int check_left_out(const struct clusterplan *p, const struct clusterplan_keyspace *k,
			  struct err *e)
{
	if (k->replication.class == REPLICATION_LOCAL || !leaves_out(p))
		return 0;
	if (k->replication.class == REPLICATION_NETWORK)
		return k->replication.dc_count > 0
			       ? 0
			       : err_set(e, ERR_CONFLICT, -EBUSY,
					 "keyspace %s is replicated in nothing but what is left out (%s)",
					 k->name, way_out(k->name));
	return err_set(
		e, ERR_CONFLICT, -EBUSY,
		"keyspace %s is not replicated by NetworkTopologyStrategy: without all data centres it is not whole (%s)",
		k->name, way_out(k->name));
}

static int cover_keyspace(struct clusterplan *p, const struct cql_statement *statement,
			  bool all_replicas, const bool *available, struct err *e)
{
	struct clusterplan_keyspace *k = &p->keyspaces[p->keyspace_count++];
	const struct schema_item item = { statement, statement->keyspace, statement->keyspace,
					  statement->keyspace };
	int r;

	k->name = statement->keyspace;
	r = clusterplan_replication(p->schema, &item, &k->replication, e);
	if (r == 0)
		r = check_left_out(p, k, e);
	if (r == 0)
		r = cover_choose(p->ring, &k->replication, available, all_replicas, &k->cover, e);
	if (r == 0 && k->cover.lost_ranges > 0)
		return err_set(e, ERR_CONFLICT, -EBUSY,
			       "keyspace %s: no node of the backup is a replica of %zu ranges",
			       k->name, k->cover.lost_ranges);
	return r;
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

int clusterplan_cover(struct clusterplan *p, bool all_replicas, struct err *e)
{
	_cleanup_free_ bool *available = calloc(p->source_count, sizeof(*available));
	const struct schema_item *item;
	int r = 0;

	/* One more for the roles. */
	p->keyspaces = calloc(p->schema->item_count + 1, sizeof(*p->keyspaces));
	if (!p->keyspaces || !available)
		return err_nomem(e);
	for (size_t i = 0; i < p->source_count; i++)
		available[i] = true;
	for (size_t i = 0; r == 0 && (item = clusterplan_item(p, i)); i++) {
		const struct cql_statement *table = item->statement, *keyspace;

		if (table->kind != CQL_TABLE || clusterplan_keyspace(p, table->keyspace))
			continue;
		keyspace = find_statement(p, table->keyspace);
		if (!keyspace)
			return err_set(e, ERR_CORRUPT, -EBADMSG,
				       SCHEMA_FILE " has tables of keyspace %s, and not itself",
				       table->keyspace);
		r = cover_keyspace(p, keyspace, all_replicas, available, e);
	}
	return r;
}
