/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "tools/clusterplan.h"

static const char *how_name(enum cover_how how)
{
	static const char *const names[] = { "none", "exact", "rack", "greedy", "all", "given" };

	return names[how];
}

/* What is on a target, in words for people. */
static const char *how_words(enum cover_how how)
{
	static const char *const words[] = {
		"nothing is loaded: each node has its own",
		"less is not possible",
		"one rack",
		"the best that was found",
		"every replica there is",
		"as the plan says",
	};

	return words[how];
}

/* ---- JSON ---- */

static json_t *targets_json(const struct clusterplan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->targets->count; i++) {
		uint32_t t = p->mapping.order[i];
		const struct mapping_node *n = &p->targets->nodes[t];
		const char *source = p->mapping.source_of ? p->sources[p->mapping.source_of[t]].name
							  : NULL;

		json_array_append_new(
			list, json_pack("{s:o, s:b, s:o, s:o, s:o, s:I, s:o}", "host",
					json_text(n->name), "seed", n->seed, "host_id",
					json_text(n->host_id), "dc", json_text(n->dc), "rack",
					json_text(n->rack), "tokens", (json_int_t)n->token_count,
					"source", source ? json_text(source) : json_null()));
	}
	return list;
}

static json_t *names_json(const struct clusterplan *p, const struct cover *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->node_count; i++)
		json_array_append_new(list, json_text(p->sources[c->nodes[i]].name));
	return list;
}

static json_t *keyspaces_json(const struct clusterplan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->keyspace_count; i++) {
		const struct clusterplan_keyspace *k = &p->keyspaces[i];

		json_array_append_new(
			list, json_pack("{s:o, s:s, s:f, s:o}", "keyspace", json_text(k->name),
					"choice", how_name(k->cover.how), "copies", k->cover.copies,
					"sources", names_json(p, &k->cover)));
	}
	return list;
}

static json_t *tables_json(const struct clusterplan *p)
{
	json_t *list = json_array();

	for (size_t i = 0; i < p->table_count; i++) {
		const struct clusterplan_table *t = &p->tables[i];

		json_array_append_new(
			list,
			json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "keyspace",
				  json_text(t->keyspace), "table", json_text(t->table), "source",
				  p->sources[t->source].name, "to_keyspace",
				  json_text(t->to_keyspace), "to_table", json_text(t->to_table),
				  "directory", json_text(t->directory), "files",
				  (json_int_t)t->files, "total_bytes", (json_int_t)t->bytes));
	}
	return list;
}

static json_t *name_json(const struct schema_name *n)
{
	return *n->table ? json_sprintf("%s.%s", n->keyspace, n->table) : json_text(n->keyspace);
}

static json_t *only_json(const struct schema_options *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->only_count; i++)
		json_array_append_new(list, name_json(&o->only[i]));
	return list;
}

static json_t *dcs_json(const struct schema_options *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->dc_count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "from", json_text(o->dcs[i].from), "to",
					*o->dcs[i].to ? json_text(o->dcs[i].to) : json_null()));
	return list;
}

static json_t *renames_json(const struct schema_options *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->rename_count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "from",
						      name_json(&o->renames[i].from), "to",
						      name_json(&o->renames[i].to)));
	return list;
}

json_t *clusterplan_json(const struct clusterplan *p)
{
	const struct schema_options *o = &p->options->schema;

	return json_pack(
		"{s:i, s:s, s:s, s:s, s:s, s:O, s:O, s:b, s:o, s:o, s:o, s:s?, s:o, s:o, s:o}",
		"format", CLUSTERPLAN_FORMAT, "cluster", p->records[0]->where.cluster, "name",
		p->records[0]->backup, "case", mapping_case_name(p->mapping.which), "reason",
		p->mapping.reason, "missing", p->missing, "incomplete", p->incomplete, "keep_auth",
		p->options->keep_auth, "only", only_json(o), "renames", renames_json(o), "dcs",
		dcs_json(o), "schema_of", p->options->schema_of, "targets", targets_json(p),
		"keyspaces", keyspaces_json(p), "tables", tables_json(p));
}

/* ---- for people ---- */

static int print_table(const struct clusterplan *p, const struct clusterplan_table *t,
		       struct err *e)
{
	bool renamed = strcmp(t->keyspace, t->to_keyspace) != 0 ||
		       strcmp(t->table, t->to_table) != 0;
	char size[32];

	return cli_print_line(e, "  %-20s %-60s %8llu files %10s%s%s%s%s",
			      p->sources[t->source].name, t->directory,
			      (unsigned long long)t->files, util_format_bytes(size, t->bytes),
			      renamed ? " as " : "", renamed ? t->to_keyspace : "",
			      renamed ? "." : "", renamed ? t->to_table : "");
}

static int print_keyspace(const struct clusterplan *p, const struct clusterplan_keyspace *k,
			  struct err *e)
{
	int r = cli_print_line(e, "keyspace %s: each row is sent %.2f times; %s", k->name,
			       k->cover.copies, how_words(k->cover.how));

	for (size_t i = 0; r == 0 && i < p->table_count; i++)
		if (strcmp(p->tables[i].keyspace, k->name) == 0)
			r = print_table(p, &p->tables[i], e);
	return r;
}

int clusterplan_print_incomplete(const struct clusterplan *p, struct err *e)
{
	int r = 0;
	size_t i;
	json_t *o;

	json_array_foreach(p->incomplete, i, o) {
		const char *table = json_string_value(json_object_get(o, "table"));

		r = cli_print_line(e, "%s %s%s%s is %s: %s", table ? "table" : "keyspace",
				   json_string_value(json_object_get(o, "keyspace")),
				   table ? "." : "", table ? table : "",
				   json_is_true(json_object_get(o, "covered"))
					   ? "loaded from the replicas that are left"
				   : json_is_true(json_object_get(o, "loaded")) ? "loaded in part"
										: "not loaded",
				   json_string_value(json_object_get(o, "reason")));
		if (r < 0)
			break;
	}
	return r;
}

/* What becomes of keyspaces, where their data centres are others now. */
static int print_replication(const struct clusterplan *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && p->schema->dc_count && i < p->schema->item_count; i++) {
		_cleanup_wbuf_ struct wbuf text;

		if (p->schema->items[i].statement->kind != CQL_KEYSPACE)
			continue;
		wbuf_init(&text, 2 * CQL_TEXT_MAX);
		schema_print(p->schema, &p->schema->items[i], &text);
		wbuf_u8(&text, 0);
		r = wbuf_error(&text) ? err_nomem(e) : cli_print_line(e, "  %s", (char *)text.data);
	}
	return r;
}

/* Which of two passwords counts is not for this program to decide: it says what Cassandra does. */
static int print_roles(const struct clusterplan *p, struct err *e)
{
	const struct schema_options *o = &p->options->schema;
	int r;

	if (!clusterplan_has_roles(p))
		return cli_print_line(
			e, "roles, passwords and permissions stay those of the cluster%s",
			p->options->keep_auth || o->only_count ? "" : ": the plan has none");
	r = cli_print_line(
		e,
		"roles, passwords and permissions (" ROLES_KEYSPACE
		") come last, beside those of the cluster: where both have a role, superusers too, what was set later counts, so that passwords of the backup are valid afterwards, and a role that was dropped there is dropped here, such as cassandra (--keep-auth leaves all of it as it is)");
	if (r == 0 && o->rename_count)
		r = cli_print_line(
			e, "permissions are for the names in the backup: what is renamed has none");
	return r;
}

int clusterplan_print(const struct clusterplan *p, struct err *e)
{
	size_t missing = json_array_size(p->missing);
	int r = cli_print_line(e, "backup %s of cluster %s: %zu of %zu nodes",
			       p->records[0]->backup, p->records[0]->where.cluster, p->source_count,
			       p->source_count + missing);

	for (size_t i = 0; r == 0 && i < missing; i++)
		r = cli_print_line(e, "  missing: %s, and with it every row that only it has",
				   json_string_value(json_object_get(json_array_get(p->missing, i),
								     "address")));
	if (r == 0)
		r = cli_print_line(e, "to %zu nodes: %s", p->targets->count, p->mapping.reason);
	if (r == 0 && p->mapping.source_of)
		return 0;
	if (r == 0)
		r = cli_print_line(e, "schema: %zu statements (sstablefs schema %s)",
				   p->schema->item_count, p->records[0]->backup);
	if (r == 0)
		r = print_replication(p, e);
	for (size_t i = 0; r == 0 && i < p->keyspace_count; i++)
		r = print_keyspace(p, &p->keyspaces[i], e);
	if (r == 0)
		r = clusterplan_print_incomplete(p, e);
	if (r == 0)
		r = print_roles(p, e);
	if (r == 0 && !p->options->all_replicas)
		r = cli_print_line(
			e,
			"what the replicas that are read had missed is not loaded: --all-replicas, or a repair before the backup");
	return r;
}
