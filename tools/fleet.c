/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fleet.h"

#include <stdio.h>
#include <string.h>

char *fleet_path(struct cli *cli, struct err *e)
{
	_cleanup_free_ char *dir = session_cache_dir();
	char *path, hex[SHA256_HEX];
	struct id256 digest;
	const char *url;

	if (session_url(cli, &url, e) < 0)
		return NULL;
	digest = digest_sha256(url, strlen(url));
	util_hex(hex, digest.b, sizeof(digest.b));
	path = dir ? util_printf("%s/survey-%s", dir, hex) : NULL;
	if (!path)
		err_nomem(e);
	return path;
}

/* The survey remembers what it needs; the local store of whole records is left to others. */
int fleet_read(struct cli *cli, struct session *s, const char *cluster, const char *node,
	       struct survey **ret, struct err *e)
{
	const struct meta_options mo = { .repo = s->repo, .source = s->source };
	_cleanup_(meta_freep) struct meta *m = meta_new(&mo);
	_cleanup_free_ char *path = fleet_path(cli, e);
	const struct survey_options o = { .cluster = cluster, .node = node, .path = path };

	struct trace_counts counts;
	int r;

	if (!path)
		return e->code;
	r = m ? survey_read(m, s->repo, &o, ret, &cli->cancel, e) : err_nomem(e);
	if (r < 0)
		return r;
	trace_store_counts(s->trace, &counts);
	log_write(cli->log, LOG_LEVEL_DEBUG, "survey",
		  "%zu records, of which %llu had to be read; so far %llu lists, %llu gets",
		  (*ret)->count, (unsigned long long)(*ret)->fetched,
		  (unsigned long long)counts.list, (unsigned long long)counts.get);
	return 0;
}

int fleet_look(struct cli *cli, struct session *s, const char *cluster, const char *node,
	       struct survey **ret, struct err *e)
{
	int r = fleet_read(cli, s, cluster, NULL, ret, e);

	if (r == 0 || e->kind != ERR_CREDENTIALS || !cluster || !node)
		return r;
	*e = ERR_INIT;
	r = fleet_read(cli, s, cluster, node, ret, e);
	if (r == 0 && !cli->quiet)
		fprintf(stderr,
			"sstablefs: %s: these credentials show node %s only: what other nodes have of its backups is not considered\n",
			cli->command, node);
	return r;
}

size_t fleet_tell_damage(const struct cli *cli, const struct survey *s)
{
	for (size_t i = 0; i < s->damaged_count; i++)
		fprintf(stderr, "sstablefs: %s: a record cannot be read: %s: %s\n", cli->command,
			s->damaged[i].key, s->damaged[i].reason);
	return s->damaged_count;
}
