/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "catalog/backup.h"
#include "catalog/claim.h"
#include "tools/commands.h"
#include "tools/digests.h"
#include "tools/follow.h"
#include "tools/hooks.h"
#include "tools/live.h"
#include "tools/metricsfile.h"
#include "tools/names.h"
#include "tools/priority.h"

enum {
	OPT_NAME = OPT_COMMAND,
	OPT_DATA_DIR,
	OPT_SNAPSHOT,
	OPT_ONLY,
	OPT_REREAD,
	OPT_TAKEOVER,
	OPT_DRY_RUN,
	OPT_METRICS_FILE,
	OPT_ONCE,
	OPT_COORDINATED
};

#define LIST_MAX 1024
#define MACHINE_ID_BYTES 1024 /* of /etc/machine-id, at most */

/* How backup-cluster leads it. */
enum { PREPARED = 1, SNAPSHOT_TAKEN }; /* how many steps then are */
static const struct follow_step follow_steps[] = {
	{ FOLLOW_WORD_PREPARE, FOLLOW_PREPARED, false },
	{ FOLLOW_WORD_SNAPSHOT, FOLLOW_TAKEN, false },
	{ FOLLOW_WORD_UPLOAD, NULL, false },
};
static const struct follow_task follow_task = { "the backup", follow_steps,
						ARRAY_SIZE(follow_steps) };

struct arguments {
	struct common common;
	const char *name, *snapshot;
	const char *data_dirs[LIST_MAX], *only[LIST_MAX];
	size_t data_dir_count, only_count;
	bool takeover, reread, dry_run, once, coordinated;
	struct follow *follow; /* NULL: not coordinated */
	struct metricsfile metrics;
	char cluster[FORMAT_NAME_BYTES + 1]; /* what common.cluster is where the node said it */
};

static int add(const char **list, size_t *count, const char *value, struct err *e)
{
	if (*count == LIST_MAX)
		return err_set(e, ERR_USAGE, -EINVAL, "too many of one option");
	list[(*count)++] = value;
	return 0;
}

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_NAME:
		a->name = value;
		return keys_check_name("backup", value, e);
	case OPT_DATA_DIR:
		return add(a->data_dirs, &a->data_dir_count, value, e);
	case OPT_SNAPSHOT:
		a->snapshot = value;
		return 0;
	case OPT_ONLY:
		return add(a->only, &a->only_count, value, e);
	case OPT_REREAD:
		a->reread = true;
		return 0;
	case OPT_TAKEOVER:
		a->takeover = true;
		return 0;
	case OPT_DRY_RUN:
		a->dry_run = true;
		return 0;
	case OPT_METRICS_FILE:
		a->metrics.path = value;
		return 0;
	case OPT_ONCE:
		a->once = true;
		return 0;
	case OPT_COORDINATED:
		a->coordinated = true;
		return 0;
	default:
		return 1;
	}
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, OPT_NAME },
		{ "data-dir", required_argument, NULL, OPT_DATA_DIR },
		{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "reread", no_argument, NULL, OPT_REREAD },
		{ "takeover", no_argument, NULL, OPT_TAKEOVER },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "metrics-file", required_argument, NULL, OPT_METRICS_FILE },
		{ "once", no_argument, NULL, OPT_ONCE },
		{ "coordinated", no_argument, NULL, OPT_COORDINATED },
		COMMON_NAMES,
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, NULL, 4, e);

	a->common.jobs = MAX_OF(a->common.jobs / 2, 1u);
	if (r == 0) {
		struct common configured;

		r = common_init(&configured, cli, "backup", 4, e);
		if (r == 0 && config_get(cli->config, "backup", "jobs"))
			a->common.jobs = configured.jobs;
		a->common.connections = configured.connections;
		a->common.memory_bytes = configured.memory_bytes;
		a->common.limit_rate = configured.limit_rate;
	}
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL, "backup takes no argument: '%s'",
			       argv[optind]);
	return r;
}

/* Whether Cassandra must be asked for something. */
static bool is_live(const struct arguments *a)
{
	return !a->snapshot || !a->common.cluster || a->data_dir_count == 0;
}

/* Its name is that of the other nodes, and its snapshot is taken when theirs are. */
static int check_coordinated(struct cli *cli, const struct arguments *a, struct err *e)
{
	if (!a->coordinated)
		return 0;
	if (!a->name || a->snapshot || a->dry_run)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--coordinated is how backup-cluster runs backup on a node: it takes --name, and neither --snapshot nor --dry-run");
	cli->json = cli->json_line = cli->progress_always = true;
	return 0;
}

/* Before anything is asked or taken. */
static int check_names(struct cli *cli, struct arguments *a, struct err *e)
{
	int r = 0;

	if (!a->common.cluster)
		a->common.cluster = config_get(cli->config, "cassandra", "cluster");
	if (!a->common.node)
		a->common.node = config_get(cli->config, "cassandra", "node");
	if (a->common.cluster)
		r = keys_check_name("cluster", a->common.cluster, e);
	if (r == 0 && a->common.node)
		r = keys_check_name("node", a->common.node, e);
	return r;
}

/* What was not named, as the node says it. */
static int complete(struct arguments *a, const struct facts *f, struct err *e)
{
	if (!a->common.cluster) {
		if (!*f->cluster)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"name the cluster with --cluster, or cluster = … under [cassandra] of the configuration");
		keys_clean_name(a->cluster, f->cluster);
		a->common.cluster = a->cluster;
	}
	if (a->data_dir_count > 0)
		return 0;
	for (size_t i = 0; i < f->data_dir_count; i++) {
		int r = add(a->data_dirs, &a->data_dir_count, f->data_dirs[i], e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* A new string; NULL: out of memory. */
static char *node_name(struct cli *cli, const struct arguments *a, const struct facts *f)
{
	_cleanup_free_ char *host = a->common.node ? strdup(a->common.node)
						   : session_default_node(cli);
	char clean[FORMAT_NAME_BYTES + 1];

	if (!host || a->common.node || !f || !*f->address || strcmp(host, "localhost") != 0)
		return steal_pointer(&host);
	free(host);
	host = strdup(f->address);
	for (char *c = host; c && *c; c++)
		*c = *c == ':' ? '-' : *c;
	if (host)
		keys_clean_name(clean, host);
	return host ? strdup(clean) : NULL;
}

/* Under which names the metrics of this run are kept: said as soon as they are known, as anything that follows may fail. */
static void note_where(struct cli *cli, struct arguments *a, const struct facts *f)
{
	_cleanup_free_ char *node = node_name(cli, a, f);

	if (!a->common.cluster || !node || keys_check_name("node", node, NULL) < 0)
		return;
	/* Another name than this one is found where Cassandra answers. */
	if (is_live(a) && !f && !a->common.node && strcmp(node, "localhost") == 0)
		return;
	strcpy(a->metrics.where.cluster, a->common.cluster);
	strcpy(a->metrics.where.node, node);
}

static struct record *template_record(struct cli *cli, const struct arguments *a,
				      const struct live *live, struct err *e)
{
	const struct facts *f = live ? live_facts(live) : NULL;
	_cleanup_(record_freep) struct record *rec = record_new();
	_cleanup_free_ char *node = node_name(cli, a, f);
	char name[CLOCK_RFC3339_BYTES];

	if (!rec || !node) {
		err_nomem(e);
		return NULL;
	}
	if (keys_check_name("node", node, e) < 0)
		return NULL;
	free(rec->backup);
	rec->backup = strdup(a->name ? a->name : clock_compact(name, clock_wall_ns(cli->clock)));
	if (!rec->backup) {
		err_nomem(e);
		return NULL;
	}
	strcpy(rec->where.cluster, a->common.cluster);
	strcpy(rec->where.node, node);
	return live && live_record(live, rec, e) < 0 ? NULL : steal_pointer(&rec);
}

static json_t *result_json(const struct backup_result *result, const char *state,
			   const struct trace_counts *t, double seconds)
{
	const struct record *rec = result->record;

	return json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:f, s:o, s:b, s:I}",
		"cluster", rec->where.cluster, "node", rec->where.node, "name", rec->backup,
		"state", state, "files", (json_int_t)rec->file_count, "total_bytes",
		(json_int_t)rec->total_bytes, "new_bytes", (json_int_t)rec->new_bytes,
		"reused_bytes", (json_int_t)rec->reused_bytes, "requests", "put",
		(json_int_t)t->put, "get", (json_int_t)t->get, "head", (json_int_t)t->head, "list",
		(json_int_t)t->list, "delete", (json_int_t)t->delete_many, "duration_seconds",
		seconds, "digests", digests_json(&rec->digests), "resumed", result->resumed,
		"resumed_bytes", (json_int_t)result->resumed_bytes);
}

static int report(struct cli *cli, const struct arguments *a, struct session *s,
		  const struct backup_result *result, int64_t begun_ms, size_t left_out)
{
	const struct record *rec = result->record;
	double seconds = (double)(clock_elapsed_ms(cli->clock) - begun_ms) / 1000;
	char total[32], fresh[32], before[32];
	struct trace_counts counts;
	bool damaged = digests_warn(cli, &rec->digests);
	int code = left_out > 0 || damaged ? EXIT_FOUND : EXIT_DONE, r = EXIT_DONE;

	trace_store_counts(s->trace, &counts);
	if (cli->json)
		r = cli_print_json(cli, result_json(result, a->dry_run ? "dry-run" : "committed",
						    &counts, seconds));
	else if (!cli->quiet)
		printf("%s %s of %s/%s: %llu files, %s, %s new%s%s%s, in %.1f s\n",
		       a->dry_run ? "would store" : "stored", rec->backup, rec->where.cluster,
		       rec->where.node, (unsigned long long)rec->file_count,
		       util_format_bytes(total, rec->total_bytes),
		       util_format_bytes(fresh, rec->new_bytes), result->resumed ? " (" : "",
		       result->resumed ? util_format_bytes(before, result->resumed_bytes) : "",
		       result->resumed ? " of them before it was interrupted)" : "", seconds);
	return r ? r : code;
}

/* --once, and the backup is there: a run that was repeated, and no failure. */
static int report_existing(struct cli *cli, const struct arguments *a)
{
	if (cli->json)
		return cli_print_json(cli, json_pack("{s:s, s:s, s:s, s:s}", "cluster",
						     a->metrics.where.cluster, "node",
						     a->metrics.where.node, "name", a->name,
						     "state", "exists"));
	if (!cli->quiet)
		printf("backup %s of %s/%s is there already\n", a->name, a->metrics.where.cluster,
		       a->metrics.where.node);
	return EXIT_DONE;
}

static struct hooks_about about(const struct arguments *a, const char *phase, const char *backup)
{
	return (struct hooks_about){ phase, a->metrics.where.cluster, a->metrics.where.node,
				     backup ? backup : "" };
}

/* A snapshot that is there already is no phase of ours. What takes its time comes before the others of a cluster are waited for, so that all are taken at once. */
static int take_snapshot(struct cli *cli, const struct arguments *a, struct live *live,
			 const char **ret_tag, struct err *e)
{
	const struct hooks_about hook = about(a, "snapshot", a->name);
	int r = a->snapshot ? 0 : hooks_before(cli, &hook, e);

	if (r < 0)
		return r;
	r = live_prepare(live, e);
	if (r == 0)
		r = follow_pass(a->follow, PREPARED, e);
	if (r == 0)
		r = live_snapshot(live, ret_tag, e);
	return a->snapshot ? r : hooks_after(cli, &hook, r, e);
}

/* The files of the snapshot, which is taken for it where none was named, and the record that says what is known of the node. */
static int gather(struct cli *cli, struct arguments *a, struct live *live, struct snapshot **ret,
		  struct record **ret_record, struct err *e)
{
	struct snapshot_options so = { a->data_dirs, a->data_dir_count, a->snapshot, a->only,
				       a->only_count };
	_cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
	struct record *record = NULL;
	int r = follow_pass(a->follow, 0, e);

	if (r == 0 && live)
		r = take_snapshot(cli, a, live, &so.tag, e);
	if (r == 0)
		r = follow_tell(a->follow, SNAPSHOT_TAKEN, e);
	if (r == 0)
		r = snapshot_scan(&so, &cli->cancel, &snapshot, e);
	if (r == 0 && live)
		r = live_describe(live, snapshot, e);
	if (r == 0)
		record = template_record(cli, a, live, e);
	if (r < 0 || !record)
		return r < 0 ? r : e->code;
	*ret = steal_pointer(&snapshot);
	*ret_record = record;
	return 0;
}

/* NULL: out of memory, and every file is read. */
static struct hints *hints_of(struct cli *cli, const struct arguments *a, const struct session *s,
			      const struct record *template)
{
	_cleanup_free_ char *base = session_cache_dir(), *machine = NULL;
	_cleanup_free_ char *directory = base ? util_printf("%s/%s-hints", base, repo_id(s->repo))
					      : NULL;
	struct hints_options o = { .directory = directory,
				   .repository_id = repo_id(s->repo),
				   .where = &template->where,
				   .host_id = template->host_id,
				   .data_dirs = a->data_dirs,
				   .data_dir_count = a->data_dir_count,
				   .only = a->only,
				   .only_count = a->only_count,
				   .reread = a->reread,
				   .clock = cli->clock,
				   .log = cli->log };
	size_t len;

	if (!directory)
		return NULL;
	if (io_read_file(AT_FDCWD, "/etc/machine-id", MACHINE_ID_BYTES, &machine, &len) < 0)
		machine = NULL;
	o.machine = machine ? machine : "";
	return hints_new(&o);
}

static int store(struct cli *cli, struct arguments *a, struct session *s, struct snapshot *snapshot,
		 struct record *template, struct err *e)
{
	_cleanup_free_ char *cache = session_cache_dir();
	_cleanup_free_ char *alive_dir =
		cache ? util_printf("%s/%s-backups", cache, repo_id(s->repo)) : NULL;
	struct progress progress = { 0 };
	_cleanup_(hints_freep) struct hints *hints = hints_of(cli, a, s, template);
	struct backup_result result = { .record = NULL };
	struct backup_options bo = {
		.repo = s->repo,
		.server = s->url,
		.record = template,
		.snapshot = snapshot,
		.kv = s->kv,
		.hints = hints,
		.jobs = a->common.jobs,
		.connections = a->common.connections,
		.memory_bytes = a->common.memory_bytes,
		.takeover = a->takeover,
		/* What a backup of some tables is called is no name for another one. */
		.any_name = !a->name && a->only_count == 0,
		.alive_dir = alive_dir,
		.dry_run = a->dry_run,
		.progress = &progress,
		.log = cli->log,
		.cancel = &cli->cancel
	};
	const struct hooks_about hook = about(a, "upload", template->backup);
	struct err hook_error = ERR_INIT;
	struct progress_view *view;
	int64_t begun_ms = clock_elapsed_ms(cli->clock);
	int hooked = 0, r;

	for (size_t i = 0; i < snapshot->left_out_count; i++)
		fprintf(stderr, "sstablefs: backup: left out: %s\n", snapshot->left_out[i]);
	r = a->dry_run ? 0 : hooks_before(cli, &hook, e);
	if (r < 0)
		return r;
	view = progress_view_start(cli, "backup", &progress);
	r = backup_run(&bo, &result, e);
	progress_view_stop(view);
	if (!a->dry_run)
		hooked = hooks_after(cli, &hook, r, &hook_error);
	if (r < 0)
		return r;
	metricsfile_note(&a->metrics, result.record);
	if (hooked < 0)
		fprintf(stderr, "sstablefs: backup: the backup is made, but %s\n",
			hook_error.message);
	r = report(cli, a, s, &result, begun_ms, snapshot->left_out_count);
	record_free(result.record);
	return r == EXIT_DONE && hooked < 0 ? EXIT_FOUND : r;
}

/* A node that runs is left alone where the store cannot be reached. */
static int open_live(struct cli *cli, struct arguments *a, const struct session_options *open,
		     struct session *s, struct live **ret, struct err *e)
{
	struct live_options lo = { a->snapshot, a->data_dirs, a->data_dir_count, a->only,
				   a->only_count };
	int r = session_open(cli, open, s, e);

	if (r == 0)
		r = live_open(cli, &lo, ret, e);
	return r == 0 ? complete(a, live_facts(*ret), e) : r;
}

/* --once: CLAIM_EXISTS before a snapshot is taken or anything written. */
static int check_once(struct cli *cli, const struct arguments *a, struct session *s, struct err *e)
{
	return (a->once || a->follow) && a->name
		       ? claim_exists(s->repo, &a->metrics.where, a->name, &cli->cancel, e)
		       : 0;
}

/* [host id, address] of every node that can be backed up. NULL: out of memory. */
static json_t *members(const struct facts *facts)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < facts->member_count; i++) {
		const struct facts_member *m = &facts->members[i];

		if (m->state != 'J' &&
		    json_array_append_new(list, json_pack("[o, o]", json_text(m->host_id),
							  json_text(m->address))) < 0)
			return NULL;
	}
	return steal_pointer(&list);
}

/* Tells the coordinator that this node can begin, or why it need not. */
static int tell_ready(const struct arguments *a, const struct session *s, const struct facts *facts,
		      bool exists, struct err *e)
{
	const struct follow_ready ready = { .cluster = a->metrics.where.cluster,
					    .node = a->metrics.where.node,
					    .host_id = facts->host_id,
					    .dc = facts->dc,
					    .rack = facts->rack,
					    .repository = repo_id(s->repo) };

	if (exists && !a->once)
		return err_set(
			e, ERR_CONFLICT, -EEXIST,
			"this node has a backup %s already (--retry-failed leaves such a node alone)",
			a->name);
	return follow_ready(
		&ready, json_pack("{s:b, s:o}", "exists", exists, "members", members(facts)), e);
}

static int run(struct cli *cli, struct arguments *a, struct session *s, struct err *e)
{
	struct session_options open = { .access = REPO_READ | REPO_WRITE, .common = &a->common };
	_cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;
	_cleanup_(record_freep) struct record *template = NULL;
	struct live *live = NULL;
	bool ask = is_live(a);
	int r;

	note_where(cli, a, NULL);
	r = ask ? open_live(cli, a, &open, s, &live, e) : 0;
	if (r == 0)
		note_where(cli, a, live ? live_facts(live) : NULL);
	if (r == 0 && ask)
		r = check_once(cli, a, s, e);
	if (r >= 0 && a->follow) {
		int told = tell_ready(a, s, live_facts(live), r == CLAIM_EXISTS, e);

		r = told < 0 ? told : r;
	}
	if (r == 0)
		r = gather(cli, a, live, &snapshot, &template, e);
	if (r == 0 && !ask)
		r = session_open(cli, &open, s, e);
	if (r == 0 && !ask)
		r = check_once(cli, a, s, e);
	if (r == 0)
		r = follow_pass(a->follow, SNAPSHOT_TAKEN, e);
	if (r == 0)
		r = store(cli, a, s, snapshot, template, e);
	else if (r == CLAIM_EXISTS)
		r = report_existing(cli, a);
	/* Whatever happened, the snapshot goes. */
	if (live && live_close(live) && r == EXIT_DONE)
		r = EXIT_FOUND;
	return r;
}

int cmd_backup(struct cli *cli, int argc, char **argv)
{
	static const char *const phases[] = { "snapshot", "upload", NULL };
	struct arguments *a = calloc(1, sizeof(*a));
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	int r = a ? parse(cli, argc, argv, a, &e) : err_nomem(&e);
	int64_t begun_ms = clock_elapsed_ms(cli->clock);

	if (r == 0)
		r = check_coordinated(cli, a, &e);
	if (r == 0)
		r = check_names(cli, a, &e);
	if (r == 0)
		r = hooks_check(cli, phases, &e);
	if (r == 0)
		r = priority_step_back(cli, "backup", &e);
	if (r == 0 && a->coordinated)
		r = follow_start(cli, &follow_task, &a->follow, &e);
	if (r == 0)
		r = run(cli, a, &s, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	session_close(&s);
	if (a && a->follow)
		follow_stop(a->follow);
	if (a && !a->dry_run) {
		a->metrics.begun_ms = begun_ms;
		r = metricsfile_write(&a->metrics, cli, r);
	}
	free(a);
	return r;
}
