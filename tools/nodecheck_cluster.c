/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base/json.h"
#include "catalog/keys.h"
#include "catalog/wholefile.h"
#include "tools/nodecheck_state.h"

/* What Cassandra runs with where cassandra.yaml has none. */
#define DEFAULT_NAME "Test Cluster"

/* A new string; "": the backup does not say it. NULL: out of memory. */
static char *own_name(struct nodechecking *c, struct session *s)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *o = NULL;
	const struct record *rec = c->rec;
	const char *name = "";
	struct err why = ERR_INIT;
	size_t len;
	int r;

	if (!keys_is_alias(rec->cluster_original, rec->where.cluster))
		return strdup(rec->cluster_original);
	/* Older programs kept the name that was given by hand in the record, and Cassandra's own in the topology alone. */
	r = wholefile_read(s->meta, s->source, rec, "topology.json", FACTS_TEXT_MAX, &text, &len,
			   &c->cli->cancel, &why);
	if (r == 0)
		r = json_parse("topology.json", text, len, FACTS_TEXT_MAX, &o, &why);
	if (r == 0)
		r = json_get_string(o, "cluster", FACTS_WORD_MAX, &name, &why);
	if (r < 0)
		nodecheck_note(c, "the backup's topology cannot be read: %s", why.message);
	return strdup(name);
}

static void refuse(struct nodechecking *c, const char *own, const char *name)
{
	if (c->wish->only_count > 0)
		nodecheck_refuse(
			c,
			"the backup is of cluster '%s' and this node is of '%s': --only is for a node's own backup; load another cluster's tables with sstableloader",
			own, name);
	else
		nodecheck_refuse(
			c,
			"the backup is of cluster '%s' and cluster_name in %s is '%s': Cassandra would not start; take the node's own backup, correct the name, or take the backup's tokens over with --remote",
			own, c->ask->yaml, name);
}

/* Whether the backup may well be of the cluster that is called so: it is kept as that one would be, or as somebody said that it is. */
static bool is_expected(const struct nodechecking *c, const char *name)
{
	const char *kept = c->rec->where.cluster;
	const char *configured = config_get(c->cli->config, "cassandra", "cluster");
	char clean[FORMAT_NAME_BYTES + 1];

	keys_clean_name(clean, name);
	return c->wish->cluster || strcmp(clean, kept) == 0 ||
	       (configured && strcmp(configured, kept) == 0);
}

/* Of one made without Cassandra. What is in the way has a way past it: the name may have been given by hand. */
static void judge_unknown(struct nodechecking *c, const char *name)
{
	const char *kept = c->rec->where.cluster;

	if (is_expected(c, name))
		nodecheck_note(
			c,
			"the backup, kept as cluster %s, does not say what Cassandra called its cluster: cluster_name '%s' in %s is not compared; where the backup's was another one, Cassandra does not start",
			kept, name, c->ask->yaml);
	else
		nodecheck_refuse(
			c,
			"the backup, kept as cluster %s, does not say what Cassandra called its cluster, and cluster_name in %s is '%s': of another cluster Cassandra would not start; take the node's own backup, or, where this is its cluster, say --cluster %s",
			kept, c->ask->yaml, name, kept);
}

void nodecheck_cluster(struct nodechecking *c, struct session *s)
{
	const char *name = *c->conf->cluster ? c->conf->cluster : DEFAULT_NAME;
	const char *kept = c->rec->where.cluster;
	_cleanup_free_ char *own = own_name(c, s);

	/* A name that nobody had to clean is most likely the node's; the others cannot be told from one given by hand. */
	if (!own || strcmp(*own ? own : kept, name) == 0)
		return;
	if (c->wish->remote)
		nodecheck_note(
			c,
			"the backup is of cluster '%s' and this node is of '%s', which it stays in",
			*own ? own : kept, name);
	else if (*own)
		refuse(c, own, name);
	else
		judge_unknown(c, name);
}
