/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "tools/clusterapply.h"
#include "tools/clusterfiles.h"
#include "tools/commands.h"
#include "tools/names.h"
#include "tools/planfile.h"
#include "tools/schemaargs.h"

enum {
	OPT_PLAN = OPT_COMMAND,
	OPT_YES,
	OPT_PLAN_FILE,
	OPT_HOST_LIST,
	OPT_ONLY,
	OPT_RENAME,
	OPT_MAP_DC,
	OPT_LEAVE_OUT_DC,
	OPT_SCHEMA_OF,
	OPT_LOAD,
	OPT_KEEP_AUTH,
	OPT_ALL_REPLICAS,
	OPT_PARTIAL,
	OPT_PARALLEL,
	OPT_THROTTLE,
	OPT_RESTART,
	OPT_ABORT,
	OPT_FINISH,
	OPT_IN_PLACE,
	OPT_NO_STAGE,
	OPT_QUERY,
	OPT_ROWS,
	OPT_RESULT,
	OPT_WAIT,
	OPT_WITHOUT
};

#define PARALLEL 2 /* sstableloaders; hosts fetch all at once */
#define PARALLEL_MAX 64
#define HOSTS_MAX 16384
#define WAIT_S 600
#define WAIT_MAX_S 86400

struct arguments {
	struct common common;
	const char *backup, *host_list, *plan_file;
	struct schemaargs names;
	struct clusterplan_options options;
	uint64_t parallel, throttle; /* 0: not given */
	bool plan, yes, abort, finish, restart;
	struct clusterfiles files;
};

struct work {
	struct cli *cli;
	struct arguments *a;
	struct session session;
	struct found *found;
	struct planfile *file;
	struct targets targets;
	struct clusterplan *plan;
	char *url, *repository_id;
};

/* ---- arguments ---- */

static int throttle_option(struct arguments *a, const char *value, struct err *e)
{
	return util_parse_bytes(value, &a->throttle) == 0
		       ? 0
		       : err_set(e, ERR_USAGE, -EINVAL,
				 "--throttle '%s': bytes a second are wanted, such as 100M", value);
}

/* Of hosts that take files as they are. */
static int files_option(struct arguments *a, int option, const char *value, struct err *e)
{
	struct clusterfiles *f = &a->files;

	switch (option) {
	case OPT_IN_PLACE:
		f->in_place = a->options.in_place = true;
		return 0;
	case OPT_NO_STAGE:
		f->no_stage = true;
		return 0;
	case OPT_QUERY:
		f->query.query = value;
		return 0;
	case OPT_ROWS:
		return checkquery_rows(&f->query, "--check-rows", value, e);
	case OPT_RESULT:
		f->query.result = value;
		return 0;
	case OPT_WITHOUT:
		if (f->without_count == ARRAY_SIZE(f->without))
			return err_set(e, ERR_USAGE, -EINVAL, "too many --without");
		f->without[f->without_count++] = value;
		return 0;
	default:
		return cli_number("--wait", value, 1, WAIT_MAX_S, &f->wait_s, e);
	}
}

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_PLAN:
		a->plan = true;
		return 0;
	case OPT_YES:
		a->yes = true;
		return 0;
	case OPT_PLAN_FILE:
		a->plan_file = value;
		return 0;
	case OPT_HOST_LIST:
		a->host_list = value;
		return 0;
	case OPT_SCHEMA_OF:
		a->options.schema_of = value;
		return 0;
	case OPT_LOAD:
		a->options.load = true;
		return 0;
	case OPT_KEEP_AUTH:
		a->options.keep_auth = true;
		return 0;
	case OPT_ALL_REPLICAS:
		a->options.all_replicas = true;
		return 0;
	case OPT_PARTIAL:
		a->options.partial = true;
		return 0;
	case OPT_RESTART:
		a->restart = true;
		return 0;
	case OPT_ABORT:
		a->abort = true;
		return 0;
	case OPT_FINISH:
		a->finish = true;
		return 0;
	case OPT_MAP_DC:
	case OPT_LEAVE_OUT_DC:
		return schemaargs_dc(&a->names, &a->options.schema, option == OPT_LEAVE_OUT_DC,
				     value, e);
	case OPT_ONLY:
		return schemaargs_only(&a->names, &a->options.schema, value, e);
	case OPT_PARALLEL:
		return cli_number("--parallel", value, 1, HOSTS_MAX, &a->parallel, e);
	case OPT_THROTTLE:
		return throttle_option(a, value, e);
	case OPT_RENAME:
		return schemaargs_rename(&a->names, &a->options.schema, value, e);
	default:
		return files_option(a, option, value, e);
	}
}

/* Whether something is asked for that takes nodes that are restored as they were. */
static bool takes_files(const struct arguments *a)
{
	const struct clusterfiles *f = &a->files;

	return f->no_stage || f->query.query || f->without_count > 0;
}

/* What is given with one way of restoring and means nothing with another. */
static int check_ways(const struct arguments *a, struct err *e)
{
	const struct clusterplan_options *o = &a->options;
	const struct clusterfiles *f = &a->files;

	if (a->plan_file &&
	    (a->host_list || o->schema.only_count || o->schema.rename_count || o->schema.dc_count ||
	     o->schema_of || o->load || o->keep_auth || o->all_replicas))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--plan-file says what --host-list, --only, --rename, --map-dc, --leave-out-dc, --schema-of, --load, --keep-auth and --all-replicas would");
	if (a->host_list && o->load)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--host-list says which node takes over which: nothing is to --load then");
	if (o->load && takes_files(a))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--load loads rows: --no-stage, --check-query and --without are for nodes that take files as they are");
	if (f->in_place && !a->host_list)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--in-place says of the hosts of a --host-list that each is the node that it gets");
	if (a->throttle && a->throttle < (a->parallel ? a->parallel : PARALLEL) * MIB)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--throttle: at least 1M for each of the %llu that run at once",
			       (unsigned long long)(a->parallel ? a->parallel : PARALLEL));
	return checkquery_is_whole(&f->query, e);
}

static int check(const struct arguments *a, int rest, struct err *e)
{
	if (rest != 1)
		return err_set(e, ERR_USAGE, -EINVAL, "restore-cluster needs one backup");
	if (a->common.node)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"restore-cluster means every node of the backup, so --node does not go with it: restore-node is for one of them, and --schema-of for the node whose schema is made where rows are loaded");
	if (a->plan + a->yes + a->abort + a->finish != 1)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"restore-cluster takes --plan to see what would be done, or --yes to do it (--abort or --finish for one that was begun)");
	if (a->plan && a->files.without_count > 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--plan asks every host: --without goes with --yes, --abort and --finish of a restore that was begun");
	return check_ways(a, e);
}

/* Whether something is asked for that takes loading rows. */
static bool loads(const struct arguments *a)
{
	const struct clusterplan_options *o = &a->options;

	return o->schema.only_count || o->schema.rename_count || o->schema.dc_count || o->load ||
	       o->schema_of || o->all_replicas || a->throttle || a->restart;
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "plan", no_argument, NULL, OPT_PLAN },
		{ "yes", no_argument, NULL, OPT_YES },
		{ "plan-file", required_argument, NULL, OPT_PLAN_FILE },
		{ "host-list", required_argument, NULL, OPT_HOST_LIST },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "rename", required_argument, NULL, OPT_RENAME },
		{ "map-dc", required_argument, NULL, OPT_MAP_DC },
		{ "leave-out-dc", required_argument, NULL, OPT_LEAVE_OUT_DC },
		{ "schema-of", required_argument, NULL, OPT_SCHEMA_OF },
		{ "load", no_argument, NULL, OPT_LOAD },
		{ "keep-auth", no_argument, NULL, OPT_KEEP_AUTH },
		{ "all-replicas", no_argument, NULL, OPT_ALL_REPLICAS },
		{ "partial", no_argument, NULL, OPT_PARTIAL },
		{ "parallel", required_argument, NULL, OPT_PARALLEL },
		{ "throttle", required_argument, NULL, OPT_THROTTLE },
		{ "restart", no_argument, NULL, OPT_RESTART },
		{ "abort", no_argument, NULL, OPT_ABORT },
		{ "finish", no_argument, NULL, OPT_FINISH },
		{ "in-place", no_argument, NULL, OPT_IN_PLACE },
		{ "no-stage", no_argument, NULL, OPT_NO_STAGE },
		{ "check-query", required_argument, NULL, OPT_QUERY },
		{ "check-rows", required_argument, NULL, OPT_ROWS },
		{ "check-result", required_argument, NULL, OPT_RESULT },
		{ "wait", required_argument, NULL, OPT_WAIT },
		{ "without", required_argument, NULL, OPT_WITHOUT },
		COMMON_NAMES,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, "restore", 16, e);

	a->files.wait_s = WAIT_S;
	schemaargs_init(&a->names, &a->options.schema);
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	if (r == 0)
		r = check(a, argc - optind, e);
	if (r == 0)
		a->backup = argv[optind];
	return r == 0 ? keys_check_name("backup", a->backup, e) : r;
}

/* ---- the plan ---- */

static int find(struct work *w, struct err *e)
{
	const struct arguments *a = w->a;
	const struct find_options fo = { .cluster = a->common.cluster, .backup = a->backup };
	struct session *s = &w->session;
	struct session_options open = { .access = REPO_READ, .common = &a->common };
	int r = session_open(w->cli, &open, s, e);

	if (r == 0)
		r = find_records(s->meta, s->repo, &fo, &w->found, &w->cli->cancel, e);
	if (r == 0)
		r = names_one_cluster(w->found, a->common.cluster, a->backup, e);
	if (r < 0)
		return r;
	w->url = strdup(s->url);
	w->repository_id = strdup(repo_id(s->repo));
	return w->url && w->repository_id ? 0 : err_nomem(e);
}

/* The plan file decides what the options would have. */
static int take_file(struct work *w, struct err *e)
{
	int r = planfile_read(w->a->plan_file, &w->file, e);

	if (r == 0)
		r = planfile_check(w->file, w->found->records[0]->where.cluster, w->a->backup, e);
	if (r == 0)
		r = planfile_pair(w->file, &w->targets, e);
	if (r == 0)
		planfile_options(w->file, &w->a->options);
	return r;
}

static int plan(struct work *w, struct err *e)
{
	struct arguments *a = w->a;
	int r = find(w, e);

	if (r == 0)
		r = a->host_list ? targets_read(&w->targets, a->host_list, e)
				 : targets_ask(&w->targets, w->cli, e);
	if (r == 0 && a->plan_file)
		r = take_file(w, e);
	if (r == 0)
		r = clusterplan_make(w->cli, &w->session, w->found, &w->targets, &a->options,
				     &w->plan, e);
	if (r == 0 && w->file)
		r = planfile_apply(w->file, w->plan, a->options.partial, e);
	if (r == 0 && w->plan->mapping.which == MAPPING_LOADED)
		r = clusterapply_check(w->plan, e);
	session_close(&w->session);
	return r;
}

/* Of rows that would be loaded. */
static int show(const struct work *w, struct err *e)
{
	json_t *document;

	if (!w->cli->json)
		return clusterplan_print(w->plan, e);
	document = clusterplan_json(w->plan);
	return document ? cli_print_json(w->cli, document) : err_nomem(e);
}

/* ---- doing it ---- */

/* Of each loader. One that is not slow enough is better than one without a throttle. */
static uint64_t throttle_mib(const struct arguments *a, uint64_t parallel)
{
	uint64_t rate = a->throttle ? a->throttle : a->common.limit_rate;

	return rate ? MAX_OF(rate / parallel / MIB, (uint64_t)1) : 0;
}

static int apply(struct work *w)
{
	const struct arguments *a = w->a;
	uint64_t parallel = a->parallel ? a->parallel : PARALLEL;
	struct clusterapply apply = { .cli = w->cli,
				      .plan = w->plan,
				      .url = w->url,
				      .repository_id = w->repository_id,
				      .parallel = (unsigned)parallel,
				      .throttle_mib = throttle_mib(a, parallel),
				      .restart = a->restart };
	struct err e = ERR_INIT;
	int r = clusterapply_run(&apply, &e);

	if (r < 0)
		r = cli_fail_with(w->cli, &e, clusterapply_json(&apply));
	else if (w->cli->json)
		r = cli_print_json(w->cli, clusterapply_json(&apply));
	else if (!w->cli->quiet && clusterapply_print(&apply, &e) < 0)
		r = cli_fail(w->cli, &e);
	clusterapply_deinit(&apply);
	return r == EXIT_DONE && (apply.hook_failed || json_array_size(w->plan->incomplete) > 0)
		       ? EXIT_FOUND
		       : r;
}

/* What was begun is gone on with; else everything is planned now. */
static int find_or_plan(struct work *w, struct err *e)
{
	struct arguments *a = w->a;
	struct clusterfiles *f = &a->files;
	int r = clusterfiles_find(f, e);

	if (r < 0 || f->plan)
		return r;
	r = plan(w, e);
	if (r < 0)
		return r;
	if (w->plan->mapping.which != MAPPING_LOADED)
		return clusterfiles_begin(f, w->plan, w->repository_id, e);
	if (takes_files(a))
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s, so rows are loaded: --no-stage, --check-query and --without are for nodes that take files as they are",
			w->plan->mapping.reason);
	return a->parallel <= PARALLEL_MAX
		       ? 0
		       : err_set(e, ERR_USAGE, -EINVAL,
				 "--parallel: at most %d sstableloaders at once", PARALLEL_MAX);
}

static void fill_files(struct work *w)
{
	const struct arguments *a = w->a;
	struct clusterfiles *f = &w->a->files;

	f->cli = w->cli;
	f->what = a->abort ? FILESRUN_ABORT : a->finish ? FILESRUN_FINISH : FILESRUN_RESTORE;
	f->backup = a->backup;
	f->cluster = a->common.cluster;
	f->plan_only = a->plan;
	f->keep_auth = a->options.keep_auth;
	f->parallel = (unsigned)a->parallel;
	f->host_list = a->host_list;
	f->plan_file = a->plan_file;
	f->loads = loads(a);
}

static int run(struct work *w)
{
	const struct clusterfiles *f = &w->a->files;
	struct err e = ERR_INIT;
	int r;

	fill_files(w);
	r = find_or_plan(w, &e);
	if (r == 0 && f->plan)
		r = clusterfiles_run(&w->a->files, &e);
	else if (r == 0 && w->a->yes)
		return apply(w);
	else if (r == 0)
		r = show(w, &e);
	return r < 0 ? cli_fail(w->cli, &e) : r;
}

static void release(struct work *w)
{
	if (w->plan)
		clusterplan_free(w->plan);
	targets_deinit(&w->targets);
	if (w->file)
		planfile_free(w->file);
	if (w->found)
		found_free(w->found);
	session_close(&w->session);
	free(w->url);
	free(w->repository_id);
}

int cmd_restore_cluster(struct cli *cli, int argc, char **argv)
{
	struct arguments *a = calloc(1, sizeof(*a));
	struct work w = { .cli = cli, .a = a };
	struct err e = ERR_INIT;
	int r = a ? parse(cli, argc, argv, a, &e) : err_nomem(&e);

	r = r < 0 ? cli_fail(cli, &e) : run(&w);
	release(&w);
	if (a)
		clusterfiles_deinit(&a->files);
	free(a);
	return r;
}
