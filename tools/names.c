/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/names.h"

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
