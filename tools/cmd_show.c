/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/commands.h"
#include "tools/digests.h"
#include "tools/missing.h"
#include "tools/names.h"

/* What one node's backup holds, table by table: a callback for the walk over its trees. */
struct tables {
	struct cli *cli;
	json_t *list;
};

static int table_line(struct tables *t, const char *path, const struct tree *tree, struct err *e)
{
	char bytes[32];

	if (t->cli->json) {
		json_array_append_new(t->list,
				      json_pack("{s:o, s:I, s:I}", "table", json_text(path),
						"files", (json_int_t)tree->file_count,
						"total_bytes", (json_int_t)tree->total_bytes));
		return 0;
	}
	return cli_print_line(e, "    %-60s %8llu files %10s", path,
			      (unsigned long long)tree->file_count,
			      util_format_bytes(bytes, tree->total_bytes));
}

/* data/<keyspace>/<table>-<id>: directories with exactly two slashes. */
static int directory(void *ctx, const char *path, const struct child *self, const struct tree *tree,
		     struct err *e)
{
	const char *first = strchr(path, '/'), *second = first ? strchr(first + 1, '/') : NULL;

	(void)self;
	if (strncmp(path, "data/", 5) != 0 || !second || strchr(second + 1, '/'))
		return 0;
	return table_line(ctx, path + 5, tree, e);
}

/* Entries are not needed: no run is read. */
static int skip_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	(void)ctx, (void)path, (void)ref, (void)e;
	return 1;
}

static json_t *strings(char *const *list, size_t count)
{
	json_t *a = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(a, json_string(list[i]));
	return a;
}

static json_t *topology(const struct record *rec)
{
	json_t *a;

	if (!rec->peers_known)
		return json_null();
	a = json_array();
	for (size_t i = 0; i < rec->peer_count; i++)
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s}", "host_id",
						   rec->peers[i].host_id, "address",
						   rec->peers[i].address, "dc", rec->peers[i].dc,
						   "rack", rec->peers[i].rack));
	return a;
}

static json_t *record_json(const struct record *rec, json_t *tables)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "cluster",
			      rec->where.cluster, "node", rec->where.node, "name", rec->backup,
			      "state", names_state(rec->state), "host_id", rec->host_id, "address",
			      rec->address, "dc", rec->dc, "rack", rec->rack);

	json_object_set_new(o, "tokens", strings(rec->tokens, rec->token_count));
	json_object_set_new(o, "cassandra_version", json_string(rec->cassandra_version));
	json_object_set_new(o, "partitioner", json_string(rec->partitioner));
	json_object_set_new(o, "storage_compatibility_mode", json_string(rec->compatibility_mode));
	json_object_set_new(o, "sstable_versions",
			    strings(rec->sstable_versions, rec->sstable_version_count));
	json_object_set_new(o, "id_kinds", strings(rec->id_kinds, rec->id_kind_count));
	json_object_set_new(o, "topology", topology(rec));
	json_object_set_new(o, "started", names_json_time(rec->started_ns));
	json_object_set_new(o, "finished", names_json_time(rec->finished_ns));
	json_object_set_new(o, "files", json_integer((json_int_t)rec->file_count));
	json_object_set_new(o, "directories", json_integer((json_int_t)rec->dir_count));
	json_object_set_new(o, "total_bytes", json_integer((json_int_t)rec->total_bytes));
	json_object_set_new(o, "new_bytes", json_integer((json_int_t)rec->new_bytes));
	json_object_set_new(o, "reused_bytes", json_integer((json_int_t)rec->reused_bytes));
	json_object_set_new(o, "digests", digests_json(&rec->digests));
	json_object_set_new(o, "tables", tables);
	return o;
}

/* Versions and kinds are short words; what a record says beyond a line is left to --json. */
static int print_list(const char *what, char *const *list, size_t count, struct err *e)
{
	char words[512] = "";
	size_t len = 0;

	for (size_t i = 0; i < count && len < sizeof(words); i++)
		len += (size_t)snprintf(words + len, sizeof(words) - len, " %s", list[i]);
	return count > 0 ? cli_print_line(e, "  %s:%s", what, words) : 0;
}

static int print_source(const struct record *rec, struct err *e)
{
	int r = 0;

	if (*rec->host_id || *rec->address)
		r = cli_print_line(e, "  host:     %s %s %s %s", rec->host_id, rec->address,
				   rec->dc, rec->rack);
	if (r == 0 && rec->token_count > 0)
		r = cli_print_line(e, "  tokens:   %zu", rec->token_count);
	if (r == 0 && *rec->cassandra_version)
		r = cli_print_line(e, "  version:  %s", rec->cassandra_version);
	if (r == 0)
		r = print_list("formats", rec->sstable_versions, rec->sstable_version_count, e);
	return r ? r : print_list("ids", rec->id_kinds, rec->id_kind_count, e);
}

static int print_record(const struct record *rec, struct err *e)
{
	char time[CLOCK_RFC3339_BYTES], total[32], fresh[32];
	int r = cli_print_line(e, "%s/%s %s: %s", rec->where.cluster, rec->where.node, rec->backup,
			       names_state(rec->state));

	if (r == 0 && rec->started_ns)
		r = cli_print_line(e, "  started:  %s", clock_rfc3339(time, rec->started_ns, 0));
	if (r == 0 && rec->finished_ns)
		r = cli_print_line(e, "  finished: %s", clock_rfc3339(time, rec->finished_ns, 0));
	if (r == 0)
		r = print_source(rec, e);
	if (r == 0)
		r = cli_print_line(e, "  size:     %llu files, %s, %s new",
				   (unsigned long long)rec->file_count,
				   util_format_bytes(total, rec->total_bytes),
				   util_format_bytes(fresh, rec->new_bytes));
	if (r == 0)
		r = digests_print(&rec->digests, e);
	if (r == 0 && rec->peers_known)
		r = cli_print_line(e, "  cluster:  %zu nodes", rec->peer_count);
	return r;
}

static int show_one(struct cli *cli, struct session *s, const struct record *rec, json_t *nodes,
		    struct err *e)
{
	struct tables t = { cli, cli->json ? json_array() : NULL };
	struct meta_walk walk = { .directory = directory, .run = skip_run, .ctx = &t };
	int r = 0;

	if (!cli->json)
		r = print_record(rec, e);
	if (r == 0 && rec->has_root)
		r = meta_walk(s->meta, &rec->where, &rec->root, &walk, &cli->cancel, e);
	if (cli->json && r == 0)
		json_array_append_new(nodes, record_json(rec, json_incref(t.list)));
	json_decref(t.list);
	return r;
}

/* With --node the others were not looked at. */
static int show_missing(struct cli *cli, const struct found *f, const char *node, json_t **ret,
			struct err *e)
{
	_cleanup_json_ json_t *missing = node ? json_null() : missing_nodes(f->records, f->count);
	_cleanup_free_ char *words = NULL;
	int r = 0;

	if (!missing)
		return err_nomem(e);
	words = missing_words(missing);
	if (words && !cli->json)
		r = cli_print_line(e, "missing: %s", words);
	*ret = steal_pointer(&missing);
	return r;
}

int cmd_show(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { COMMON_NAMES, COMMON_HELP, { NULL, 0, NULL, 0 } };
	_cleanup_(found_freep) struct found *f = NULL;
	_cleanup_json_ json_t *nodes = json_array(), *missing = NULL;
	struct session s = { .store = NULL };
	struct find_options fo = { .cluster = NULL };
	struct session_options open = { .access = REPO_READ };
	struct err e = ERR_INIT;
	struct common common;
	int c, r = common_init(&common, cli, NULL, 16, &e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, &e)) >= 0)
		r = c == '?' ? e.code : common_option(&common, c, optarg, &e);
	if (r == 0 && argc - optind != 1)
		r = err_set(&e, ERR_USAGE, -EINVAL, "show needs one backup");
	if (r == 0)
		r = keys_check_name("backup", argv[optind], &e);
	open.common = &common;
	if (r == 0)
		r = session_open(cli, &open, &s, &e);
	if (r == 0) {
		fo = (struct find_options){ .cluster = common.cluster,
					    .node = common.node,
					    .backup = argv[optind] };
		r = find_records(s.meta, s.repo, &fo, &f, &cli->cancel, &e);
	}
	if (r == 0)
		r = names_one_cluster(f, common.cluster, argv[optind], &e);
	for (size_t i = 0; r == 0 && i < f->count; i++)
		r = show_one(cli, &s, f->records[i], nodes, &e);
	if (r == 0)
		r = show_missing(cli, f, common.node, &missing, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	else if (cli->json)
		r = cli_print_json(cli, json_pack("{s:s, s:s, s:O, s:O}", "cluster",
						  f->records[0]->where.cluster, "name",
						  f->records[0]->backup, "nodes", nodes, "missing",
						  missing));
	session_close(&s);
	return r;
}
