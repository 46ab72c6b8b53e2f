/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/commands.h"
#include "tools/fleet.h"
#include "tools/missing.h"
#include "tools/names.h"

enum { OPT_CACHED = OPT_COMMAND };

#define NODES_LOOKED_AT 256 /* of a cluster whose newest backup is not complete: a request each */

/* What is missing of a backup, by its place in the survey; NULL: was not looked at. */
struct gaps {
	json_t **missing;
	size_t count;
};

static void gaps_deinit(struct gaps *g)
{
	for (size_t i = 0; i < g->count; i++)
		json_decref(g->missing[i]);
	free(g->missing);
}

/*
 * The document is printed as it is made, without building it: a fleet's would not fit into memory, and takes ten times as long. Names
 * are such that JSON needs no escapes for them (keys_check_name).
 */
static const char *json_time(char out[CLOCK_RFC3339_BYTES + 2], int64_t wall_ns)
{
	if (!wall_ns)
		return "null";
	out[0] = '"';
	clock_rfc3339(out + 1, wall_ns, 1);
	return strcat(out, "\"");
}

static bool print_node_json(const struct survey *s, const struct survey_entry *x)
{
	char started[CLOCK_RFC3339_BYTES + 2], finished[CLOCK_RFC3339_BYTES + 2];

	return printf("\n    {\"node\": \"%s\", \"state\": \"%s\", \"started\": %s, \"finished\": %s, "
		      "\"files\": %llu, \"total_bytes\": %llu, \"new_bytes\": %llu}",
		      survey_node(s, x)->node, names_state(x->state),
		      json_time(started, x->started_ns), json_time(finished, x->finished_ns),
		      (unsigned long long)x->file_count, (unsigned long long)x->total_bytes,
		      (unsigned long long)x->new_bytes) >= 0;
}

static bool print_backup_json(const struct survey *s, const struct survey_backup *b,
			      const json_t *missing)
{
	char started[CLOCK_RFC3339_BYTES + 2], finished[CLOCK_RFC3339_BYTES + 2], expected[16];
	const struct survey_entry *x = &s->entries[b->first];
	bool complete = survey_is_complete(b), ok;

	strcpy(expected, "null");
	if (b->topology)
		snprintf(expected, sizeof(expected), "%u", b->expected);
	ok = printf("\n  {\"cluster\": \"%s\", \"name\": \"%s\", \"nodes_finished\": %u, \"nodes_expected\": %s, "
		    "\"complete\": %s, \"started\": %s, \"finished\": %s, \"total_bytes\": %llu, "
		    "\"new_bytes\": %llu, \"nodes\": [",
		    survey_node(s, x)->cluster, survey_name(s, x), b->finished, expected,
		    complete ? "true" : "false", json_time(started, b->started_ns),
		    json_time(finished, complete ? b->finished_ns : 0),
		    (unsigned long long)b->total_bytes, (unsigned long long)b->new_bytes) >= 0;
	for (size_t i = 0; ok && i < b->count; i++)
		ok = (i == 0 || putchar(',') != EOF) && print_node_json(s, &x[i]);
	ok = ok && putchar(']') != EOF;
	if (ok && missing)
		ok = fputs(", \"missing\": ", stdout) >= 0 &&
		     json_dumpf(missing, stdout,
				JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY) == 0;
	return ok && putchar('}') != EOF;
}

/* as_of NULL: none. */
static int print_json(const struct survey *s, const struct gaps *g, const char *as_of,
		      struct err *e)
{
	bool ok = fputs("{\"backups\": [", stdout) >= 0;

	for (size_t i = 0; ok && i < s->backup_count; i++)
		ok = (i == 0 || putchar(',') != EOF) &&
		     print_backup_json(s, &s->backups[i], g ? g->missing[i] : NULL);
	if (ok && as_of)
		ok = printf("],\n\"as_of\": \"%s\"}\n", as_of) >= 0;
	else if (ok)
		ok = fputs("]}\n", stdout) >= 0;
	return ok && fflush(stdout) == 0 ? 0 : err_errno(e, -errno, "cannot write the result");
}

static void print_backup(const struct survey *s, const struct survey_backup *b,
			 const json_t *missing, int width, int cluster_width)
{
	char nodes[48], total[32], fresh[32], started[CLOCK_RFC3339_BYTES] = "-";
	const struct survey_entry *x = &s->entries[b->first];
	uint32_t known = b->topology ? b->expected : b->nodes;
	bool complete = survey_is_complete(b);
	_cleanup_free_ char *words = missing ? missing_words(missing) : NULL;

	if (b->started_ns)
		clock_rfc3339(started, b->started_ns, 1);
	if (b->finished == known && complete)
		snprintf(nodes, sizeof(nodes), "%u", b->finished);
	else
		snprintf(nodes, sizeof(nodes), "%u of %u", b->finished, known);
	printf("%-*s  %-*s  %-24s  %-9s  %10s  %10s%s\n", width, survey_name(s, x), cluster_width,
	       survey_node(s, x)->cluster, started, nodes, util_format_bytes(total, b->total_bytes),
	       util_format_bytes(fresh, b->new_bytes), complete ? "" : "  incomplete");
	if (words)
		cli_print_line(NULL, "  missing: %s", words);
}

static void print_table(const struct cli *cli, const struct survey *s, const struct gaps *g)
{
	size_t width = 6, cluster_width = 7;

	for (size_t i = 0; i < s->backup_count; i++) {
		const struct survey_entry *x = &s->entries[s->backups[i].first];

		width = MAX_OF(width, strlen(survey_name(s, x)));
		cluster_width = MAX_OF(cluster_width, strlen(survey_node(s, x)->cluster));
	}
	if (s->backup_count > 0 && !cli->quiet)
		printf("%-*s  %-*s  %-24s  %-9s  %10s  %10s\n", (int)width, "BACKUP",
		       (int)cluster_width, "CLUSTER", "STARTED", "NODES", "SIZE", "NEW");
	for (size_t i = 0; i < s->backup_count; i++)
		print_backup(s, &s->backups[i], g ? g->missing[i] : NULL, (int)width,
			     (int)cluster_width);
	if (s->backup_count == 0 && !cli->quiet)
		printf("no backups\n");
}

static int report(const struct cli *cli, const struct survey *s, const struct gaps *g,
		  const char *as_of, struct err *e)
{
	if (cli->json)
		return print_json(s, g, as_of, e);
	print_table(cli, s, g);
	return 0;
}

/* What the last whole list saw. */
static int show_cached(struct cli *cli, const struct common *common, struct err *e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_(survey_freep) struct survey *s = NULL;
	char as_of[CLOCK_RFC3339_BYTES];
	int64_t as_of_ns;
	int r;

	if (common->node)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--cached shows whole clusters: leave --node out");
	path = fleet_path(cli, e);
	if (!path)
		return e->code;
	r = survey_load(path, common->cluster, &s, &as_of_ns, e);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "there is no local view yet: run list once without --cached");
	if (r < 0)
		return r;
	clock_rfc3339(as_of, as_of_ns, 0);
	if (!cli->json)
		printf("as of %s, %lld s ago\n", as_of,
		       (long long)((clock_wall_ns(cli->clock) - as_of_ns) / 1000000000));
	return report(cli, s, NULL, as_of, e);
}

static int parse(struct cli *cli, int argc, char **argv, struct common *common, bool *ret_cached,
		 struct err *e)
{
	static const struct option options[] = { { "cached", no_argument, NULL, OPT_CACHED },
						 COMMON_NAMES,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(common, cli, NULL, 16, e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		if (c == OPT_CACHED)
			*ret_cached = true;
		else
			r = common_option(common, c, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "list takes no argument: '%s' (show BACKUP shows one)",
			       argv[optind]);
	return r;
}

/* Whether another backup of its cluster is newer. */
static bool is_old(const struct survey *s, size_t i)
{
	const char *cluster = survey_node(s, &s->entries[s->backups[i].first])->cluster;

	for (size_t k = 0; k < i; k++)
		if (strcmp(survey_node(s, &s->entries[s->backups[k].first])->cluster, cluster) == 0)
			return true;
	return false;
}

/* The survey knows how many nodes a cluster has and not which: of each cluster's newest backup, where it is not complete, the records are read. */
static int find_gaps(struct cli *cli, struct session *session, const struct survey *s,
		     struct gaps *g, struct err *e)
{
	g->missing = calloc(s->backup_count + 1, sizeof(json_t *));
	if (!g->missing)
		return err_nomem(e);
	g->count = s->backup_count;
	for (size_t i = 0; i < s->backup_count; i++) {
		const struct survey_backup *b = &s->backups[i];
		const struct survey_entry *x = &s->entries[b->first];
		const struct find_options o = { .cluster = survey_node(s, x)->cluster,
						.backup = survey_name(s, x),
						.keep_damaged = true };
		_cleanup_(found_freep) struct found *f = NULL;
		int r;

		if (!b->topology || survey_is_complete(b) || b->count > NODES_LOOKED_AT ||
		    is_old(s, i))
			continue;
		r = find_records(session->meta, session->repo, &o, &f, &cli->cancel, e);
		if (r < 0)
			return r;
		g->missing[i] = missing_nodes(f->records, f->count);
		if (!g->missing[i])
			return err_nomem(e);
	}
	return 0;
}

static int run(struct cli *cli, const struct common *common, struct session *session, struct err *e)
{
	_cleanup_(gaps_deinit) struct gaps gaps = { .missing = NULL };
	_cleanup_(survey_freep) struct survey *s = NULL;
	struct session_options open = { .access = REPO_READ, .common = common, .no_cache = true };
	int r = session_open(cli, &open, session, e);

	if (r == 0)
		r = fleet_read(cli, session, common->cluster, common->node, &s, e);
	/* Of one node alone nothing can be missing. */
	if (r == 0 && !common->node)
		r = find_gaps(cli, session, s, &gaps, e);
	if (r == 0)
		r = report(cli, s, gaps.missing ? &gaps : NULL, NULL, e);
	if (r < 0)
		return r;
	return fleet_tell_damage(cli, s) > 0 ? EXIT_FOUND : EXIT_DONE;
}

int cmd_list(struct cli *cli, int argc, char **argv)
{
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	struct common common;
	bool cached = false;
	int r = parse(cli, argc, argv, &common, &cached, &e);

	if (r == 0)
		r = cached ? show_cached(cli, &common, &e) : run(cli, &common, &s, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	session_close(&s);
	return r;
}
