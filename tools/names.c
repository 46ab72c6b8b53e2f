/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/names.h"

#include <stdio.h>
#include <string.h>

const char *names_state(enum record_state s)
{
	static const char *const words[] = { "open", "committed", "aborted", "deleted" };

	return words[s];
}

json_t *names_json_time(int64_t wall_ns)
{
	char text[CLOCK_RFC3339_BYTES];

	return wall_ns ? json_string(clock_rfc3339(text, wall_ns, 1)) : json_null();
}

int names_one_cluster(const struct found *f, const char *cluster, const char *backup, struct err *e)
{
	if (f->count == 0)
		return err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "there is no backup %s%s%s (sstablefs list shows what there is)",
			       backup, cluster ? " of cluster " : "", cluster ? cluster : "");
	for (size_t i = 1; !cluster && i < f->count; i++) {
		const char *a = f->records[0]->where.cluster, *b = f->records[i]->where.cluster;

		if (strcmp(a, b) != 0)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"backup %s exists in clusters %s and %s: name one with --cluster",
				backup, a, b);
	}
	return 0;
}

/* ---- what was named by options ---- */

struct scope {
	struct repo *repo;
	const char *node; /* NULL: any */
	const struct cancel *cancel;
	bool found;
};

static int on_any_node(void *ctx, const char *name, struct err *e)
{
	struct scope *s = ctx;

	s->found = true;
	return 1;
}

static int look_in_cluster(void *ctx, const char *name, struct err *e)
{
	struct scope *s = ctx;
	struct node_name n = { .cluster = "" };
	int r;

	if (!s->node)
		return repo_list_nodes(s->repo, name, on_any_node, s, s->cancel, e);
	snprintf(n.cluster, sizeof(n.cluster), "%s", name);
	snprintf(n.node, sizeof(n.node), "%s", s->node);
	r = repo_has_node(s->repo, &n, s->cancel, e);
	s->found = s->found || r == REPO_THERE;
	return r;
}

int names_no_scope(const char *cluster, const char *node, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, -ENOENT, "the repository has no %s%s%s%s",
		       node ? "node " : "cluster ", node ? node : cluster,
		       node && cluster ? " of cluster " : "", node && cluster ? cluster : "");
}

int names_check_scope(struct cli *cli, struct session *s, const struct common *c, struct err *e)
{
	struct scope scope = { .repo = s->repo, .node = c->node, .cancel = &cli->cancel };
	int r;

	if (!c->cluster && !c->node)
		return 0;
	r = c->cluster ? look_in_cluster(&scope, c->cluster, e)
		       : repo_list_clusters(s->repo, look_in_cluster, &scope, &cli->cancel, e);
	return r < 0 ? r : scope.found ? 0 : names_no_scope(c->cluster, c->node, e);
}

int names_find_one(struct cli *cli, struct session *s, const struct common *c, const char *backup,
		   struct record **ret, struct err *e)
{
	_cleanup_free_ char *node = session_default_node(cli);
	const char *cluster = c->cluster ? c->cluster
					 : config_get(cli->config, "cassandra", "cluster");
	int r = keys_check_name("backup", backup, e);

	if (r < 0)
		return r;
	if (!node)
		return err_nomem(e);
	return find_one(s->meta, s->repo, cluster, c->node, backup, node, ret, &cli->cancel, e);
}

int names_check_config(const struct cli *cli, struct err *e)
{
	const char *cluster = config_get(cli->config, "cassandra", "cluster");
	const char *node = config_get(cli->config, "cassandra", "node");
	int r = cluster ? keys_check_name("cluster", cluster, e) : 0;

	if (r == 0 && node)
		r = keys_check_name("node", node, e);
	return r < 0 ? err_wrap(e, r, "configuration, [cassandra]") : 0;
}
