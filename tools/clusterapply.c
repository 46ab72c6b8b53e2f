/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterapply.h"

#include <stdio.h>
#include <string.h>
#include "base/digest.h"
#include "cassandra/schemacheck.h"
#include "tools/asknode.h"
#include "tools/clusterschema.h"
#include "tools/hooks.h"
#include "tools/nodecommand.h"
#include "tools/priority.h"

#define MADE \
	"made" /* in the journal, in place of files: the table is, or is about to be, made by this restore */
#define ID_HEX 32

struct work {
	struct clusterapply *a;
	struct asknode ask;
	struct cqlsh cqlsh;
	char *hosts;
	struct loader loader;
	struct loadjournal *journal;
	struct clusterschema schema;
};

static char *name_of(const char *keyspace, const char *table)
{
	return util_printf("%s.%s", keyspace, table);
}

/* ---- what can be seen without asking ---- */

/* "oa" and "da" came with 5.0. */
static const char *too_new(const struct record *rec)
{
	for (size_t i = 0; i < rec->sstable_version_count; i++)
		if (strchr("od", rec->sstable_versions[i][0]))
			return rec->sstable_versions[i];
	return NULL;
}

/* What is newer knows options of tables that the older refuses, when part of the schema is made already. */
static int check_release(const struct clusterplan *p, struct err *e)
{
	unsigned ours = facts_release(p->targets->version);

	for (size_t i = 0; ours && i < p->source_count; i++)
		if (facts_release(p->records[i]->cassandra_version) > ours)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"the backup of %s was made by Cassandra %s and the cluster runs %s, which does not know newer data and schemas: install %s",
				p->sources[i].name, p->records[i]->cassandra_version,
				p->targets->version, p->records[i]->cassandra_version);
	return 0;
}

int clusterapply_check(const struct clusterplan *p, struct err *e)
{
	const struct targets *t = p->targets;
	int r = check_release(p, e);

	if (r < 0)
		return r;
	if (strcmp(t->partitioner, RING_PARTITIONER) != 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the cluster has partitioner %s, the backup " RING_PARTITIONER,
			       t->partitioner);
	if (!*t->version || atoi(t->version) >= 5)
		return 0;
	for (size_t i = 0; i < p->source_count; i++)
		if (too_new(p->records[i]))
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"the backup of %s holds SSTables of format %s, which Cassandra %s cannot read",
				p->sources[i].name, too_new(p->records[i]), t->version);
	for (size_t i = 0; i < p->table_count; i++)
		if (strcmp(p->tables[i].table, p->tables[i].to_table) != 0)
			return err_set(
				e, ERR_USAGE, -ENOTSUP,
				"sstableloader of Cassandra %s cannot load %s.%s into a table of another name (--rename of a keyspace can be done)",
				t->version, p->tables[i].keyspace, p->tables[i].table);
	return 0;
}

/* ---- the cluster ---- */

/* Where CQL is asked, and two more: any of them tells the loader of all others. */
static char *list_hosts(const struct targets *t, const char *first)
{
	char *list = strdup(first);
	unsigned count = 1;

	for (size_t i = 0; list && i < t->count && count < 3; i++) {
		char *longer;

		if (strcmp(t->nodes[i].name, first) == 0)
			continue;
		longer = util_printf("%s,%s", list, t->nodes[i].name);
		free(list);
		list = longer;
		count++;
	}
	return list;
}

static int reach(struct work *w, struct err *e)
{
	const struct cli *cli = w->a->cli;
	const struct targets *t = w->a->plan->targets;
	const char *program = config_get(cli->config, "cassandra", "sstableloader");
	int r = asknode_init(&w->ask, cli, e);

	if (r < 0)
		return r;
	w->cqlsh = asknode_cqlsh(&w->ask, t->address);
	w->hosts = list_hosts(t, w->cqlsh.host);
	if (!w->hosts)
		return err_nomem(e);
	w->loader = (struct loader){ .program = program && *program ? program : "sstableloader",
				     .hosts = w->hosts,
				     .port = w->cqlsh.port,
				     .conf_path = w->ask.conf ? w->ask.yaml : NULL,
				     .throttle_mib = w->a->throttle_mib };
	return nodecommand_exists(w->loader.program)
		       ? 0
		       : err_set(e, ERR_USAGE, -ENOENT,
				 "%s is not found: [cassandra] sstableloader = says where it is",
				 w->loader.program);
}

/* ---- the journal ---- */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Host ids and addresses of the cluster, each in order. NULL: out of memory. */
static const char **sorted_nodes(const struct targets *t)
{
	const char **list = calloc(2 * t->count + 1, sizeof(*list));

	for (size_t i = 0; list && i < t->count; i++) {
		list[i] = t->nodes[i].host_id;
		list[t->count + i] = t->nodes[i].name;
	}
	if (list) {
		qsort(list, t->count, sizeof(*list), by_text);
		qsort(list + t->count, t->count, sizeof(*list), by_text);
	}
	return list;
}

/*
 * What is loaded where: another backup or another set of nodes has a journal of its own. Clusters that were made of the same images have the same name and the same host ids, and not the same addresses.
 */
static int journal_id(const struct clusterapply *a, char ret[2 * SHA256_BYTES + 1], struct err *e)
{
	const struct clusterplan *p = a->plan;
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	const char *texts[] = { a->repository_id, p->records[0]->where.cluster,
				p->records[0]->backup, p->targets->cluster };
	_cleanup_free_ const char **nodes = sorted_nodes(p->targets);
	struct id256 id;

	if (!h || !nodes)
		return err_nomem(e);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		sha256_update(h, texts[i], strlen(texts[i]) + 1);
	for (size_t i = 0; i < 2 * p->targets->count; i++)
		sha256_update(h, nodes[i], strlen(nodes[i]) + 1);
	id = sha256_final(h);
	util_hex(ret, id.b, SHA256_BYTES);
	ret[ID_HEX] = '\0';
	return 0;
}

static int open_journal(struct work *w, struct err *e)
{
	_cleanup_free_ char *cache = session_cache_dir();
	char id[2 * SHA256_BYTES + 1];
	int r = cache ? journal_id(w->a, id, e) : err_nomem(e);

	if (r == 0)
		r = loadjournal_open(cache, id, &w->journal, e);
	if (r == 0)
		r = clusterload_clear(w->a->cli, w->journal, e);
	return r == 0 && w->a->restart ? loadjournal_forget(w->journal, NULL, e) : r;
}

static bool is_loaded(const struct work *w, const struct clusterplan_table *t)
{
	_cleanup_free_ char *name = name_of(t->to_keyspace, t->to_table);
	_cleanup_free_ char *from = clusterload_from(w->a->plan, t);

	return name && from && loadjournal_has(w->journal, name, from);
}

/* ---- the schema ---- */

/* Whether the table is the one that the backup's statement makes: somebody may have made another one of its name since a run before noted that it is about to. One with another name has no id to be told by. */
static bool is_the_backups(const struct work *w, const struct schema_item *alter)
{
	const struct schema *s = w->a->plan->schema;
	const struct cql_statement *of = alter->statement;

	if (strcmp(alter->keyspace, of->keyspace) != 0 || strcmp(alter->name, of->name) != 0)
		return false;
	for (size_t i = 0; i < s->item_count; i++) {
		const struct cql_statement *table = s->items[i].statement;

		if (table->kind == CQL_TABLE && strcmp(table->keyspace, of->keyspace) == 0 &&
		    strcmp(table->name, of->name) == 0)
			return schemacheck_has_id(w->schema.there, s->cql, table);
	}
	return false;
}

/* Columns of a table that was there before are not dropped; those of one that a run before has made, and not finished, are. */
static int check_alter(const struct work *w, const struct schema_item *item, struct err *e)
{
	_cleanup_free_ char *name = name_of(item->keyspace, item->name);

	if (!name)
		return err_nomem(e);
	if (clusterschema_lacks(&w->schema, item->keyspace, item->name) ||
	    (loadjournal_has(w->journal, name, MADE) && is_the_backups(w, item)))
		return 0;
	return err_set(
		e, ERR_CONFLICT, -EEXIST,
		"the cluster has a table %s in which columns are alive that the backup's had dropped: nothing is dropped here (--rename, or drop it yourself)",
		name);
}

static bool has_dc(const struct targets *t, const char *dc)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->nodes[i].dc, dc) == 0)
			return true;
	return false;
}

/* Cassandra would refuse it, or put replicas nowhere. */
static int check_keyspace(const struct work *w, const struct schema_item *item, struct err *e)
{
	struct replication how;
	int r = clusterplan_replication(w->a->plan->schema, item, &how, e);

	for (size_t i = 0; r == 0 && i < how.dc_count; i++)
		if (how.class == REPLICATION_NETWORK && !has_dc(w->a->plan->targets, how.dcs[i].dc))
			return err_set(
				e, ERR_CONFLICT, -EEXIST,
				"keyspace %s is replicated in data centre %s, which the cluster has not (--map-dc %s=…, --leave-out-dc %s, or make the keyspace before)",
				item->keyspace, how.dcs[i].dc, how.dcs[i].dc, how.dcs[i].dc);
	return r;
}

static bool is_wanted(const struct clusterplan *p, const struct schema_item *item)
{
	for (size_t i = 0; i < p->table_count; i++)
		if (clusterplan_is_roles(&p->tables[i]) &&
		    strcmp(p->tables[i].table, item->name) == 0)
			return true;
	return false;
}

/* Each Cassandra makes its own tables for them. */
static int check_roles(const struct work *w, struct err *e)
{
	const struct clusterplan *p = w->a->plan;
	const struct schema *roles = p->roles;
	_cleanup_free_ bool *missing = NULL;
	struct err why = ERR_INIT;
	int r;

	if (!clusterplan_has_roles(p))
		return 0;
	missing = calloc(roles->item_count, sizeof(*missing));
	r = missing ? schemacheck_missing(roles, w->schema.there, missing, &why) : -ENOMEM;
	for (size_t i = 0; r == 0 && i < roles->item_count; i++)
		if (missing[i] && is_wanted(p, &roles->items[i]))
			r = err_set(&why, ERR_CONFLICT, -ENOENT, "the cluster has no %s",
				    roles->items[i].name);
	if (r == -ENOMEM)
		return err_nomem(e);
	return r == 0 ? 0
		      : err_set(e, ERR_CONFLICT, r,
				"roles of the backup cannot be loaded into " ROLES_KEYSPACE
				" of this cluster: --keep-auth leaves them out (%s)",
				why.message);
}

static int check_schema(const struct work *w, struct err *e)
{
	const struct clusterplan *p = w->a->plan;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->schema->item_count; i++)
		if (w->schema.missing[i] && p->schema->items[i].statement->kind == CQL_KEYSPACE)
			r = check_keyspace(w, &p->schema->items[i], e);

	for (size_t i = 0; r == 0 && i < p->schema->item_count; i++)
		if (w->schema.missing[i] && p->schema->items[i].statement->kind == CQL_ALTER)
			r = check_alter(w, &p->schema->items[i], e);
	for (size_t i = 0; r == 0 && i < p->table_count; i++) {
		const struct clusterplan_table *t = &p->tables[i];

		if (schemacheck_has_sai(w->schema.there, t->to_keyspace, t->to_table) &&
		    !is_loaded(w, t))
			return err_set(
				e, ERR_CONFLICT, -EEXIST,
				"table %s.%s of the cluster has a storage-attached index, and sstableloader cannot load into such a table: drop the index and make it again afterwards",
				t->to_keyspace, t->to_table);
	}
	return r;
}

/* A table that has to be made holds nothing, whatever the journal says of one that had its name. */
static int note_tables(struct work *w, struct err *e)
{
	const struct schema *s = w->a->plan->schema;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->item_count; i++) {
		_cleanup_free_ char *name = name_of(s->items[i].keyspace, s->items[i].name);

		if (!w->schema.missing[i] || s->items[i].statement->kind != CQL_TABLE)
			continue;
		r = name ? loadjournal_forget(w->journal, name, e) : err_nomem(e);
		if (r == 0)
			r = loadjournal_add(w->journal, name, MADE, e);
	}
	return r;
}

/* ---- what a run before has loaded ---- */

static int forget_if_empty(struct work *w, const struct clusterplan_table *t, struct err *e)
{
	_cleanup_free_ char *name = name_of(t->to_keyspace, t->to_table);
	_cleanup_free_ char *query =
		util_printf("SELECT * FROM \"%s\".\"%s\" LIMIT 1", t->to_keyspace, t->to_table);
	uint64_t rows = 0;
	int r = name && query ? cqlsh_rows(&w->cqlsh, query, &rows, e) : err_nomem(e);

	if (r < 0)
		return err_wrap(e, r, "whether %s still holds rows (--restart does not ask)",
				t->to_table);
	return rows > 0 ? 0 : loadjournal_forget(w->journal, name, e);
}

/* A table without a row was truncated or made anew since it was loaded, and is loaded again. So is one that holds nothing in the backup: nobody can tell them apart. */
static int check_kept(struct work *w, struct err *e)
{
	const struct clusterplan *p = w->a->plan;
	const struct clusterplan_table *asked = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->table_count; i++) {
		const struct clusterplan_table *t = &p->tables[i];

		if ((asked && asked->keyspace == t->keyspace && asked->table == t->table) ||
		    !is_loaded(w, t))
			continue;
		asked = t;
		r = forget_if_empty(w, t, e);
	}
	return r;
}

/* ---- the run ---- */

static int prepare(struct work *w, struct err *e)
{
	int r = reach(w, e);

	if (r == 0)
		r = open_journal(w, e);
	if (r == 0)
		r = clusterschema_look(&w->schema, &w->cqlsh, w->a->plan->schema, e);
	if (r == 0)
		r = check_schema(w, e);
	return r == 0 ? check_roles(w, e) : r;
}

static int load(struct work *w, enum clusterload_part part, struct err *e)
{
	struct clusterload *l = &w->a->load;
	size_t failed;
	int r;

	l->cli = w->a->cli;
	l->plan = w->a->plan;
	l->url = w->a->url;
	l->loader = &w->loader;
	l->journal = w->journal;
	l->parallel = w->a->parallel;
	l->part = part;
	r = clusterload_run(l, e);
	if (r < 0)
		return r;
	failed = json_array_size(l->failed);
	return failed == 0
		       ? 0
		       : err_set(e, ERR_IO, -EIO,
				 "%zu of %zu tables are not loaded: the same command goes on with them%s",
				 failed, w->a->plan->table_count,
				 part == CLUSTERLOAD_LOGINS
					 ? ", if need be with a role of the backup: its passwords count already where a part of the roles is there"
					 : "");
}

static int load_all(struct work *w, struct err *e)
{
	int r = note_tables(w, e);

	if (r == 0)
		r = clusterschema_make_tables(&w->schema, e);
	if (r == 0)
		r = check_kept(w, e);
	if (r == 0)
		r = load(w, CLUSTERLOAD_ROWS, e);
	if (r == 0)
		r = clusterschema_make_indexes(&w->schema, e);
	if (r == 0 && clusterplan_has_roles(w->a->plan))
		r = load(w, CLUSTERLOAD_PERMISSIONS, e);
	if (r == 0 && clusterplan_has_roles(w->a->plan))
		r = load(w, CLUSTERLOAD_LOGINS, e);
	return r == 0 ? loadjournal_end(w->journal, e) : r;
}

static int load_with_hooks(struct work *w, struct err *e)
{
	struct cli *cli = w->a->cli;
	const struct record *rec = w->a->plan->records[0];
	const struct hooks_about about = { "load", rec->where.cluster, "", rec->backup };
	struct err why = ERR_INIT;
	int r = hooks_before(cli, &about, e);

	if (r < 0)
		return r;
	r = load_all(w, e);
	if (r < 0)
		return hooks_after(cli, &about, r, e);
	w->a->hook_failed = hooks_after(cli, &about, r, &why) < 0;
	if (w->a->hook_failed)
		fprintf(stderr, "sstablefs: %s: all is loaded, but %s\n", cli->command,
			why.message);
	return 0;
}

/* What the loaders are started with, their priority too, is this thread's. */
static int do_it(struct work *w, struct err *e)
{
	static const char *const phases[] = { "load", NULL };
	int r = hooks_check(w->a->cli, phases, e);

	if (r == 0)
		r = prepare(w, e);
	if (r == 0)
		r = priority_step_back(w->a->cli, "restore", e);
	return r == 0 ? load_with_hooks(w, e) : r;
}

int clusterapply_run(struct clusterapply *a, struct err *e)
{
	int64_t begun_ms = clock_elapsed_ms(a->cli->clock);
	struct work w = { .a = a };
	int r = do_it(&w, e);

	a->statements = w.schema.made;
	a->took_ms = clock_elapsed_ms(a->cli->clock) - begun_ms;
	clusterschema_deinit(&w.schema);
	if (w.journal)
		loadjournal_free(w.journal);
	asknode_deinit(&w.ask);
	free(w.hosts);
	return r;
}

void clusterapply_deinit(struct clusterapply *a)
{
	clusterload_deinit(&a->load);
}

/* ---- what was done ---- */

json_t *clusterapply_json(const struct clusterapply *a)
{
	const struct record *rec = a->plan->records[0];

	return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:O*, s:O, s:f}", "cluster",
			 rec->where.cluster, "name", rec->backup, "case",
			 mapping_case_name(a->plan->mapping.which), "statements",
			 (json_int_t)a->statements, "loaded", (json_int_t)a->load.loaded,
			 "loaded_before", (json_int_t)a->load.kept, "loaded_bytes",
			 (json_int_t)a->load.loaded_bytes, "failed", a->load.failed, "incomplete",
			 a->plan->incomplete, "duration_seconds", (double)a->took_ms / 1000);
}

int clusterapply_print(const struct clusterapply *a, struct err *e)
{
	char size[32];

	int r = clusterplan_print_incomplete(a->plan, e);

	return r < 0 ? r
		     : cli_print_line(
			       e,
			       "%s: %llu statements of the schema run, %llu tables loaded (%s)%s in %.1f s%s",
			       a->plan->records[0]->backup, (unsigned long long)a->statements,
			       (unsigned long long)a->load.loaded,
			       util_format_bytes(size, a->load.loaded_bytes),
			       a->load.kept ? ", the others before," : "",
			       (double)a->took_ms / 1000,
			       clusterplan_has_roles(a->plan)
				       ? "; roles and passwords of the backup count now"
				       : "");
}
