/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/commands.h"
#include "tools/names.h"

enum { OPT_CACHED = OPT_COMMAND };

/* One backup of a cluster, over its nodes. */
struct summary {
	const char *cluster, *name;
	size_t first, count; /* in the sorted records */
	size_t finished, expected;
	bool topology;
	int64_t started_ns, finished_ns;
	uint64_t total_bytes, new_bytes;
};

static int by_name(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int r = strcmp(x->where.cluster, y->where.cluster);

	if (r == 0)
		r = strcmp(x->backup, y->backup);
	return r ? r : strcmp(x->where.node, y->where.node);
}

static int newest_first(const void *a, const void *b)
{
	const struct summary *x = a, *y = b;

	if (x->started_ns != y->started_ns)
		return x->started_ns < y->started_ns ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void add_record(struct summary *s, const struct record *rec)
{
	int64_t started = rec->store_time_ns ? rec->store_time_ns : rec->started_ns;

	s->count++;
	if (rec->state == RECORD_COMMITTED)
		s->finished++;
	if (rec->peers_known) {
		s->topology = true;
		s->expected = MAX_OF(s->expected, rec->peer_count);
	}
	if (s->started_ns == 0 || started < s->started_ns)
		s->started_ns = started;
	s->finished_ns = MAX_OF(s->finished_ns, rec->finished_ns);
	s->total_bytes += rec->total_bytes;
	s->new_bytes += rec->new_bytes;
}

static bool complete(const struct summary *s)
{
	return s->finished == s->count && (!s->topology || s->finished >= s->expected);
}

/* Sorted newest first; newly allocated. NULL: out of memory. */
static struct summary *summarize(struct found *f, size_t *ret_count)
{
	struct summary *list = calloc(f->count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return NULL;
	if (f->count > 0)
		qsort(f->records, f->count, sizeof(struct record *), by_name);
	for (size_t i = 0; i < f->count; i++) {
		const struct record *rec = f->records[i];

		if (n == 0 || strcmp(list[n - 1].cluster, rec->where.cluster) != 0 || strcmp(list[n - 1].name, rec->backup) != 0)
			list[n++] = (struct summary){ .cluster = rec->where.cluster, .name = rec->backup, .first = i };
		add_record(&list[n - 1], rec);
	}
	if (n > 0)
		qsort(list, n, sizeof(*list), newest_first);
	*ret_count = n;
	return list;
}

static json_t *summary_json(const struct found *f, const struct summary *s)
{
	json_t *nodes = json_array();

	for (size_t i = s->first; i < s->first + s->count; i++) {
		const struct record *rec = f->records[i];

		json_array_append_new(nodes, json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:I}", "node", rec->where.node, "state",
						       record_state_name(rec->state), "started", names_json_time(rec->started_ns), "finished",
						       names_json_time(rec->finished_ns), "files", (json_int_t)rec->file_count, "total_bytes",
						       (json_int_t)rec->total_bytes, "new_bytes", (json_int_t)rec->new_bytes));
	}
	return json_pack("{s:s, s:s, s:I, s:o, s:b, s:o, s:o, s:I, s:I, s:o}", "cluster", s->cluster, "name", s->name, "nodes_finished",
			 (json_int_t)s->finished, "nodes_expected", s->topology ? json_integer((json_int_t)s->expected) : json_null(), "complete",
			 complete(s), "started", names_json_time(s->started_ns), "finished", names_json_time(complete(s) ? s->finished_ns : 0),
			 "total_bytes", (json_int_t)s->total_bytes, "new_bytes", (json_int_t)s->new_bytes, "nodes", nodes);
}

static void print_summary(const struct summary *s, int width, int cluster_width)
{
	char time[CLOCK_RFC3339_BYTES] = "-", nodes[48], total[32], fresh[32];

	if (s->started_ns)
		clock_rfc3339(time, s->started_ns, 0);
	if (s->topology)
		snprintf(nodes, sizeof(nodes), "%zu of %zu", s->finished, s->expected);
	else
		snprintf(nodes, sizeof(nodes), s->finished == s->count ? "%zu" : "%zu of %zu", s->finished, s->count);
	printf("%-*s  %-*s  %-20s  %-9s  %10s  %10s%s\n", width, s->name, cluster_width, s->cluster, time, nodes, util_format_bytes(total, s->total_bytes),
	       util_format_bytes(fresh, s->new_bytes), complete(s) ? "" : "  incomplete");
}

static int report(struct cli *cli, struct found *f)
{
	size_t count, width = 6, cluster_width = 7;
	_cleanup_free_ struct summary *list = summarize(f, &count);
	json_t *backups;

	if (!list) {
		struct err e = ERR_INIT;

		err_nomem(&e);
		return cli_fail(cli, &e);
	}
	if (cli->json) {
		backups = json_array();
		for (size_t i = 0; i < count; i++)
			json_array_append_new(backups, summary_json(f, &list[i]));
		return cli_print_json(cli, json_pack("{s:o}", "backups", backups));
	}
	for (size_t i = 0; i < count; i++) {
		width = MAX_OF(width, strlen(list[i].name));
		cluster_width = MAX_OF(cluster_width, strlen(list[i].cluster));
	}
	if (count > 0 && !cli->quiet)
		printf("%-*s  %-*s  %-20s  %-9s  %10s  %10s\n", (int)width, "BACKUP", (int)cluster_width, "CLUSTER", "STARTED", "NODES", "SIZE", "NEW");
	for (size_t i = 0; i < count; i++)
		print_summary(&list[i], (int)width, (int)cluster_width);
	if (count == 0 && !cli->quiet)
		printf("no backups\n");
	return EXIT_DONE;
}

static int parse(struct cli *cli, int argc, char **argv, struct common *common, struct err *e)
{
	static const struct option options[] = { { "cached", no_argument, NULL, OPT_CACHED }, COMMON_NAMES, COMMON_HELP, { NULL, 0, NULL, 0 } };
	int c, r = common_init(common, cli, NULL, 16, e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		if (c == OPT_CACHED)
			return err_set(e, ERR_USAGE, -ENOTSUP, "--cached is not in this version: list asks the store (only records that changed are fetched)");
		r = common_option(common, c, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL, "list takes no argument: '%s' (show BACKUP shows one)", argv[optind]);
	return r;
}

int cmd_list(struct cli *cli, int argc, char **argv)
{
	_cleanup_(found_freep) struct found *f = NULL;
	struct session s = { .store = NULL };
	struct session_options open = { .access = REPO_READ };
	struct find_options fo = { .keep_damaged = true };
	struct err e = ERR_INIT;
	struct common common;
	int r = parse(cli, argc, argv, &common, &e);

	open.common = &common;
	fo.cluster = common.cluster;
	fo.node = common.node;
	if (r == 0)
		r = session_open(cli, &open, &s, &e);
	if (r == 0)
		r = find_records(s.meta, s.repo, &fo, &f, &cli->cancel, &e);
	if (r < 0) {
		r = cli_fail(cli, &e);
	} else {
		r = report(cli, f);
		for (size_t i = 0; i < f->damaged_count; i++)
			fprintf(stderr, "sstablefs: list: a record cannot be read: %s: %s\n", f->damaged[i].key, f->damaged[i].reason);
		if (r == EXIT_DONE && f->damaged_count > 0)
			r = EXIT_FOUND;
	}
	session_close(&s);
	return r;
}
