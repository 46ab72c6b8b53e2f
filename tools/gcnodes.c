/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/gcnodes.h"

#include <stdio.h>
#include <string.h>
#include "tools/age.h"
#include "tools/names.h"

#define NAMES_BYTES 512 /* of the clusters that an error lists */

void gcnodes_deinit(struct gcnodes *g)
{
	for (size_t i = 0; i < g->count; i++)
		collect_result_free(g->nodes[i].result);
	for (size_t i = 0; i < g->foreign_count; i++)
		free(g->foreign[i]);
	free(g->nodes);
	free(g->foreign);
	*g = (struct gcnodes){ .nodes = NULL };
}

int gcnodes_config(struct cli *cli, struct gcnodes_options *o, struct err *e)
{
	const char *text = config_get(cli->config, "gc", "fence_after");

	return text ? age_parse("configuration, [gc] fence_after", text, &o->fence_ms, e) : 0;
}

/* ---- which nodes ---- */

struct choice {
	struct cli *cli;
	struct session *s;
	const struct common *common;
	char cluster[FORMAT_NAME_BYTES + 1];
	char names[NAMES_BYTES]; /* of all clusters */
	size_t clusters;
	bool configured; /* the cluster of the configuration is one of them */
	struct gcnodes *g;
};

static int on_cluster(void *ctx, const char *name, struct err *e)
{
	struct choice *c = ctx;
	const char *configured = config_get(c->cli->config, "cassandra", "cluster");
	size_t used = strlen(c->names);

	if (used + strlen(name) + 3 < sizeof(c->names))
		snprintf(c->names + used, sizeof(c->names) - used, "%s%s", used ? ", " : "", name);
	c->clusters++;
	if (c->configured)
		return 0;
	c->configured = configured && strcmp(configured, name) == 0;
	snprintf(c->cluster, sizeof(c->cluster), "%s", name);
	return 0;
}

static int choose_cluster(struct choice *c, struct err *e)
{
	int r;

	if (c->common->cluster) {
		snprintf(c->cluster, sizeof(c->cluster), "%s", c->common->cluster);
		return 0;
	}
	r = repo_list_clusters(c->s->repo, on_cluster, c, &c->cli->cancel, e);
	if (r == 0 && c->clusters > 1 && !c->configured)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the repository has several clusters: name one with --cluster (%s)",
			       c->names);
	return r;
}

int gcnodes_cluster(struct cli *cli, struct session *s, const struct common *common,
		    char out[FORMAT_NAME_BYTES + 1], struct err *e)
{
	struct choice c = { .cli = cli, .s = s, .common = common };
	int r = choose_cluster(&c, e);

	if (r == 0)
		memcpy(out, c.cluster, sizeof(c.cluster));
	return r;
}

static int add_node(struct choice *c, const char *name, struct err *e)
{
	struct gcnodes *g = c->g;
	struct gcnodes_one *one;

	if (util_grow(&g->nodes, &g->cap, g->count + 1, sizeof(*g->nodes)) < 0)
		return err_nomem(e);
	one = &g->nodes[g->count++];
	*one = (struct gcnodes_one){ .result = NULL };
	snprintf(one->where.cluster, sizeof(one->where.cluster), "%s", c->cluster);
	snprintf(one->where.node, sizeof(one->where.node), "%s", name);
	return 0;
}

static int on_node(void *ctx, const char *name, struct err *e)
{
	struct choice *c = ctx;

	if (c->common->node && strcmp(c->common->node, name) != 0)
		return 0;
	return add_node(c, name, e);
}

/* Credentials that are confined to the node may list nothing above it. */
static int choose_named(struct choice *c, struct err *e)
{
	struct node_name n;
	int r;

	snprintf(n.cluster, sizeof(n.cluster), "%s", c->cluster);
	snprintf(n.node, sizeof(n.node), "%s", c->common->node);
	r = repo_has_node(c->s->repo, &n, &c->cli->cancel, e);
	return r == REPO_THERE ? add_node(c, n.node, e) : r;
}

static int choose(struct choice *c, struct err *e)
{
	int r = choose_cluster(c, e);

	if (r < 0)
		return r;
	if (c->common->cluster && c->common->node)
		r = choose_named(c, e);
	else if (c->cluster[0])
		r = repo_list_nodes(c->s->repo, c->cluster, on_node, c, &c->cli->cancel, e);
	if (r == 0 && c->g->count == 0 && (c->common->cluster || c->common->node))
		return names_no_scope(c->common->cluster, c->common->node, e);
	return r;
}

/* ---- what lies above the nodes ---- */

static int on_foreign(void *ctx, const char *key, struct err *e)
{
	struct gcnodes *g = ctx;

	if (g->foreign_count == COLLECT_FOREIGN)
		return 1;
	if (util_grow(&g->foreign, &g->foreign_cap, g->foreign_count + 1, sizeof(*g->foreign)) < 0)
		return err_nomem(e);
	g->foreign[g->foreign_count] = strdup(key);
	return g->foreign[g->foreign_count++] ? 0 : err_nomem(e);
}

/* Who may not list there, collects all the same. */
static int look_above(struct choice *c, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = repo_list_foreign(c->s->repo, NULL, on_foreign, c->g, &c->cli->cancel, &mine);

	if (r == 0 && c->cluster[0])
		r = repo_list_foreign(c->s->repo, c->cluster, on_foreign, c->g, &c->cli->cancel,
				      &mine);
	if (r == 0 || r == -EACCES || mine.kind == ERR_CREDENTIALS)
		return 0;
	*e = mine;
	return r;
}

/* ---- the runs ---- */

static int collect_one(struct cli *cli, struct session *s, const struct common *common,
		       const struct gcnodes_options *o, struct gcnodes_one *one,
		       struct progress *progress, struct err *e)
{
	const struct collect_options co = { .repo = s->repo,
					    .meta = s->meta,
					    .kv = s->kv,
					    .server = s->url,
					    .where = &one->where,
					    .full = o->full,
					    .dry_run = o->dry_run,
					    .fence_ms = o->fence_ms,
					    .connections = common->connections,
					    .memory_bytes = common->memory_bytes,
					    .progress = progress,
					    .log = cli->log,
					    .cancel = &cli->cancel };
	int r = collect_run(&co, &one->result, e);

	return r < 0 ? err_wrap(e, r, "node %s", one->where.node) : 0;
}

/* What the store answered of one node, or what lies there, says nothing of the others. */
static bool concerns_one_node(const struct err *e)
{
	return e->kind == ERR_CORRUPT || (e->http_status >= 400 && e->http_status < 500);
}

/* Moves those that were done to the front. Returns the first failure; others are logged. */
static int collect_each(struct cli *cli, struct session *s, const struct common *common,
			const struct gcnodes_options *o, struct gcnodes *g,
			struct progress *progress, struct err *e)
{
	size_t done = 0;
	int first = 0;

	for (size_t i = 0; i < g->count; i++) {
		struct err mine = ERR_INIT;
		char text[1200];
		int r = collect_one(cli, s, common, o, &g->nodes[i], progress, &mine);

		if (r == 0)
			g->nodes[done++] = g->nodes[i];
		else if (first == 0)
			*e = mine;
		else
			log_write(cli->log, LOG_LEVEL_ERROR, "gc-failed", "%s",
				  err_describe(&mine, text, sizeof(text)));
		first = first ? first : r;
		if (r < 0 && !concerns_one_node(&mine))
			break;
	}
	g->count = done;
	return first;
}

int gcnodes_run(struct cli *cli, struct session *s, const struct common *common,
		const struct gcnodes_options *o, struct gcnodes *g, struct err *e)
{
	struct choice c = { .cli = cli, .s = s, .common = common, .g = g };
	struct progress progress = { 0 };
	struct progress_view *view;
	int r = choose(&c, e);

	if (r == 0 && o->full && !common->node)
		r = look_above(&c, e);
	if (r < 0) {
		g->count = 0;
		return r;
	}
	view = progress_view_start(cli, "gc", &progress);
	r = collect_each(cli, s, common, o, g, &progress, e);
	progress_view_stop(view);
	return r;
}

/* ---- what is told ---- */

int gcnodes_exit(const struct gcnodes *g)
{
	size_t found = 0;

	for (size_t i = 0; i < g->count; i++) {
		const struct collect_result *r = g->nodes[i].result;

		found += r->wait_count + r->unreadable_count + r->undeleted_count;
	}
	return found ? EXIT_FOUND : EXIT_DONE;
}

static void put(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void put_damage(json_t *list, const struct find_damage *d, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:o, s:o}", "key", json_text(d[i].key),
						      "reason", json_text(d[i].reason)));
}

static void put_waits(json_t *list, const struct gcnodes_one *one)
{
	char writer[ULID_TEXT];

	for (size_t i = 0; i < one->result->wait_count; i++) {
		const struct collect_wait *w = &one->result->waits[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:I}", "cluster", one->where.cluster,
					"node", one->where.node, "name", w->backup, "writer",
					ulid_format(writer, &w->writer), "renewed_seconds_ago",
					(json_int_t)w->renewed_ago_s));
	}
}

void gcnodes_json(const struct gcnodes *g, json_t *document)
{
	json_t *waiting = json_array(), *unreadable = json_array(), *undeleted = json_array(),
	       *foreign = json_array();
	struct collect_result sum = { 0 };

	for (size_t i = 0; i < g->count; i++) {
		const struct collect_result *r = g->nodes[i].result;

		sum.condemned_objects += r->condemned_objects;
		sum.condemned_bytes += r->condemned_bytes;
		sum.deleted_objects += r->deleted_objects;
		sum.deleted_bytes += r->deleted_bytes;
		sum.awaiting_objects += r->awaiting_objects;
		sum.removed_records += r->removed_records;
		put_waits(waiting, &g->nodes[i]);
		put_damage(unreadable, r->unreadable, r->unreadable_count);
		put_damage(undeleted, r->undeleted, r->undeleted_count);
		for (size_t k = 0; k < r->foreign_count; k++)
			json_array_append_new(foreign, json_text(r->foreign[k]));
	}
	for (size_t i = 0; i < g->foreign_count; i++)
		json_array_append_new(foreign, json_text(g->foreign[i]));
	put(document, "condemned_objects", sum.condemned_objects);
	put(document, "condemned_bytes", sum.condemned_bytes);
	put(document, "deleted_objects", sum.deleted_objects);
	put(document, "deleted_bytes", sum.deleted_bytes);
	put(document, "awaiting_objects", sum.awaiting_objects);
	put(document, "removed_records", sum.removed_records);
	json_object_set_new(document, "waiting_for", waiting);
	json_object_set_new(document, "unreadable", unreadable);
	json_object_set_new(document, "undeleted", undeleted);
	json_object_set_new(document, "foreign", foreign);
}

static int print_findings(const struct gcnodes_one *one, struct err *e)
{
	const struct collect_result *c = one->result;
	int r = 0;

	for (size_t i = 0; i < c->unreadable_count && r == 0; i++)
		r = cli_print_line(e, "cannot be read: %s: %s", c->unreadable[i].key,
				   c->unreadable[i].reason);
	if (c->blocked && r == 0)
		r = cli_print_line(
			e,
			"node %s: what cannot be read may reach anything, so nothing is deleted that it could need (sstablefs verify tells more)",
			one->where.node);
	for (size_t i = 0; i < c->undeleted_count && r == 0; i++)
		r = cli_print_line(e, "not deleted: %s: %s", c->undeleted[i].key,
				   c->undeleted[i].reason);
	for (size_t i = 0; i < c->foreign_count && r == 0; i++)
		r = cli_print_line(e, "not ours, left alone: %s", c->foreign[i]);
	return r;
}

static int print_waits(const struct gcnodes_one *one, struct err *e)
{
	char age[32];
	int r = 0;

	for (size_t i = 0; i < one->result->wait_count && r == 0; i++)
		r = cli_print_line(e, "waiting for backup %s on %s, renewed %s ago",
				   one->result->waits[i].backup, one->where.node,
				   age_format(age, one->result->waits[i].renewed_ago_s));
	return r;
}

static int print_sums(const struct gcnodes_one *one, bool dry_run, struct err *e)
{
	const struct collect_result *c = one->result;
	char condemned[32], deleted[32];

	util_format_bytes(condemned, c->condemned_bytes);
	util_format_bytes(deleted, c->deleted_bytes);
	if (dry_run)
		return cli_print_line(e, "node %s: %llu objects (%s) would be condemned, %llu wait",
				      one->where.node, (unsigned long long)c->condemned_objects,
				      condemned, (unsigned long long)c->awaiting_objects);
	return cli_print_line(e,
			      "node %s: %llu objects (%s) condemned, %llu (%s) deleted, %llu wait",
			      one->where.node, (unsigned long long)c->condemned_objects, condemned,
			      (unsigned long long)c->deleted_objects, deleted,
			      (unsigned long long)c->awaiting_objects);
}

int gcnodes_print(struct cli *cli, const struct gcnodes *g, const struct gcnodes_options *o,
		  struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < g->count && r == 0; i++) {
		r = print_findings(&g->nodes[i], e);
		if (r == 0)
			r = print_waits(&g->nodes[i], e);
		if (r == 0 && !cli->quiet)
			r = print_sums(&g->nodes[i], o->dry_run, e);
	}
	for (size_t i = 0; i < g->foreign_count && r == 0; i++)
		r = cli_print_line(e, "not ours, left alone: %s", g->foreign[i]);
	return r;
}
