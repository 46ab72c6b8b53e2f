/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cassandra/walkdir.h"
#include "catalog/repair.h"
#include "catalog/verify.h"
#include "tools/commands.h"
#include "tools/live.h"
#include "tools/names.h"
#include "tools/verifyreport.h"

#define DATA_DIRS 1024

enum { OPT_SAMPLE = OPT_COMMAND, OPT_REPAIR, OPT_DATA_DIR };

struct arguments {
	struct common common;
	double sample;
	bool repair;
	const char *data_dirs[DATA_DIRS];
	size_t data_dir_count;
	char **names;
	size_t name_count;
};

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	char *end;

	if (option == OPT_REPAIR) {
		a->repair = true;
		return 0;
	}
	if (option == OPT_DATA_DIR) {
		if (a->data_dir_count == DATA_DIRS)
			return err_set(e, ERR_USAGE, -E2BIG, "at most %d data directories",
				       DATA_DIRS);
		a->data_dirs[a->data_dir_count++] = value;
		return 0;
	}
	a->sample = strtod(value, &end);
	if (*end || end == value || !(a->sample >= 100.0 / VERIFY_SLICES_MAX && a->sample <= 100))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--sample '%s': a percentage of at least %g, up to 100, is wanted",
			       value, 100.0 / VERIFY_SLICES_MAX);
	return 0;
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = { { "sample", required_argument, NULL, OPT_SAMPLE },
						 { "repair", no_argument, NULL, OPT_REPAIR },
						 { "data-dir", required_argument, NULL,
						   OPT_DATA_DIR },
						 COMMON_NAMES,
						 COMMON_LIMITS,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(&a->common, cli, "verify", 16, e);

	a->sample = 100;
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	a->names = argv + optind;
	a->name_count = (size_t)(argc - optind);
	if (r == 0 && a->data_dir_count > 0 && !a->repair)
		return err_set(e, ERR_USAGE, -EINVAL, "--data-dir is of use with --repair only");
	return r;
}

/* The COMMITTED records that are meant, appended to list. */
static int add_backup(struct cli *cli, struct session *s, const struct arguments *a,
		      const char *name, struct found **ret, struct err *e)
{
	struct find_options fo = { .cluster = a->common.cluster,
				   .node = a->common.node,
				   .backup = name,
				   .keep_damaged = true,
				   .roots_only = true };
	int r = name ? keys_check_name("backup", name, e) : 0;

	if (r == 0)
		r = find_records(s->meta, s->repo, &fo, ret, &cli->cancel, e);
	return r == 0 && name && (*ret)->damaged_count == 0
		       ? names_one_cluster(*ret, a->common.cluster, name, e)
		       : r;
}

struct chosen {
	struct record **records;
	size_t count, cap;
	struct find_damage *damaged; /* records that cannot be read */
	size_t damaged_count, damaged_cap;
};

static int take_damaged(struct found *f, struct chosen *all, struct err *e)
{
	if (util_grow(&all->damaged, &all->damaged_cap, all->damaged_count + f->damaged_count,
		      sizeof(*all->damaged)) < 0)
		return err_nomem(e);
	for (size_t i = 0; i < f->damaged_count; i++) {
		all->damaged[all->damaged_count++] = f->damaged[i];
		f->damaged[i] = (struct find_damage){ NULL, NULL };
	}
	return 0;
}

static void chosen_deinit(struct chosen *all)
{
	for (size_t i = 0; i < all->count; i++)
		record_free(all->records[i]);
	for (size_t i = 0; i < all->damaged_count; i++) {
		free(all->damaged[i].key);
		free(all->damaged[i].reason);
	}
	free(all->records);
	free(all->damaged);
}

static int by_node_newest_first(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int r = strcmp(x->where.cluster, y->where.cluster);

	if (r == 0)
		r = strcmp(x->where.node, y->where.node);
	return r ? r : record_compare_age(y, x);
}

static int choose(struct cli *cli, struct session *s, const struct arguments *a, struct chosen *all,
		  struct err *e)
{
	for (size_t i = 0; i < MAX_OF(a->name_count, (size_t)1); i++) {
		_cleanup_(found_freep) struct found *f = NULL;
		size_t before = all->count, damaged = all->damaged_count;
		int r = add_backup(cli, s, a, a->name_count ? a->names[i] : NULL, &f, e);

		for (size_t k = 0; r == 0 && k < f->count; k++) {
			if (f->records[k]->state != RECORD_COMMITTED)
				continue;
			if (util_grow(&all->records, &all->cap, all->count + 1,
				      sizeof(struct record *)) < 0)
				return err_nomem(e);
			all->records[all->count++] = steal_pointer(&f->records[k]);
		}
		if (r == 0)
			r = take_damaged(f, all, e);
		if (r == 0 && a->name_count && all->count == before &&
		    all->damaged_count == damaged)
			return err_set(e, ERR_NOT_FOUND, -ENOENT, "backup %s is not finished",
				       a->names[i]);
		if (r < 0)
			return r;
	}
	if (all->count > 0)
		qsort(all->records, all->count, sizeof(*all->records), by_node_newest_first);
	return all->count + all->damaged_count > 0 ? 0 : names_check_scope(cli, s, &a->common, e);
}

/* ---- what is remembered ---- */

/* As many that a percentage that does not divide 100 reads less, not more, in each run. */
static uint32_t slices_of(double percent)
{
	double wanted = 100.0 / percent;
	uint32_t whole = (uint32_t)wanted;

	return whole + (wanted - whole > 1e-6 * wanted);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What is verified: the same backups named in another order are the same. */
static struct id256 scope_of(struct arguments *a)
{
	struct id256 all = digest_sha256("", 0);
	const char *cluster = a->common.cluster ? a->common.cluster : "",
		   *node = a->common.node ? a->common.node : "";

	if (a->name_count > 0)
		qsort(a->names, a->name_count, sizeof(*a->names), compare_names);
	all = digest_sha256_2(all.b, sizeof(all.b), cluster, strlen(cluster) + 1);
	all = digest_sha256_2(all.b, sizeof(all.b), node, strlen(node) + 1);
	for (size_t i = 0; i < a->name_count; i++)
		all = digest_sha256_2(all.b, sizeof(all.b), a->names[i], strlen(a->names[i]) + 1);
	return all;
}

/* What cannot be remembered is no failure: then everything is read, or a slice drawn by chance. */
static int open_state(struct cli *cli, struct session *s, struct arguments *a,
		      struct verifyreport *report, struct verify_begin *begin,
		      struct verify_state **ret, struct err *e)
{
	_cleanup_free_ char *base = session_cache_dir();
	_cleanup_free_ char *dir = base ? util_printf("%s/%s-verify", base, repo_id(s->repo))
					: NULL;
	struct verify_state_options o = {
		.dir = dir, .scope = scope_of(a), .slices = report->slices, .clock = cli->clock
	};
	struct store_meta now;
	struct err why = ERR_INIT;
	int r = dir ? store_head(s->store, KEY_REPOSITORY, &now, &cli->cancel, e) : err_nomem(e);

	if (r < 0)
		return r;
	o.now_ns = r == 0 ? now.date_ns : 0;
	r = verify_state_open(&o, ret, begin, &why);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0) {
		uint32_t random;

		clock_random(cli->clock, &random, sizeof(random));
		begin->slice = random % report->slices;
	}
	report->slice = begin->slice;
	verifyreport_begin(cli, report, r < 0 ? &why : NULL);
	return 0;
}

/* ---- all of it ---- */

struct job {
	struct session s;
	struct chosen all;
	struct verify_begin begin;
	struct verify_state *state;
	struct verify_result *result;
	struct verifyreport report;
};

static void job_deinit(struct job *j)
{
	verify_result_free(j->result);
	verify_state_free(j->state);
	chosen_deinit(&j->all);
	session_close(&j->s);
}

static int verify(struct cli *cli, struct arguments *a, struct job *j, struct err *e)
{
	struct progress progress = { 0 };
	struct progress_view *view;
	struct verify_options vo = { .repo = j->s.repo,
				     .source = j->s.source,
				     .meta = j->s.meta,
				     .records = j->all.records,
				     .record_count = j->all.count,
				     .damaged_records = j->all.damaged,
				     .damaged_record_count = j->all.damaged_count,
				     .all_nodes = a->name_count == 0,
				     .cluster = a->common.cluster,
				     .node = a->common.node,
				     .slices = j->report.slices,
				     .slice = j->report.slice,
				     .state = j->state,
				     .jobs = a->common.jobs,
				     .connections = a->common.connections,
				     .memory_bytes = a->common.memory_bytes,
				     .progress = &progress,
				     .cancel = &cli->cancel };
	int r;

	view = progress_view_start(cli, "verify", &progress);
	r = verify_run(&vo, &j->result, e);
	progress_view_stop(view);
	return r;
}

static bool has_damaged_object(const struct verify_result *found)
{
	for (size_t i = 0; i < found->finding_count; i++)
		if (found->findings[i].is_object)
			return true;
	return false;
}

/* From the files of this node, where it says where they lie. */
static int repair(struct cli *cli, const struct arguments *a, struct job *j, struct err *e)
{
	const struct live_options lo = { .data_dirs = NULL };
	struct repair_options ro = { .repo = j->s.repo,
				     .source = j->s.source,
				     .meta = j->s.meta,
				     .data_dirs = a->data_dirs,
				     .data_dir_count = a->data_dir_count,
				     .log = cli->log,
				     .cancel = &cli->cancel };
	struct live *live = NULL;
	struct err why = ERR_INIT;
	int r;

	if (ro.data_dir_count == 0 && has_damaged_object(j->result)) {
		if (live_open(cli, &lo, &live, &why) == 0) {
			ro.data_dirs = (const char *const *)live_facts(live)->data_dirs;
			ro.data_dir_count = live_facts(live)->data_dir_count;
		} else {
			verifyreport_no_files(cli, &why);
		}
	}
	r = repair_run(&ro, j->result, e);
	if (live)
		live_close(live);
	return r;
}

/* Before hours are spent on reading. */
static int check_data_dirs(const struct arguments *a, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->data_dir_count; i++) {
		_cleanup_close_ int fd = -1;

		r = walkdir_open_data_dir(a->data_dirs[i], &fd, e);
	}
	return r;
}

static int run(struct cli *cli, struct arguments *a, struct job *j, struct err *e)
{
	struct session_options open = { .access = a->repair ? REPO_READ | REPO_WRITE : REPO_READ,
					.common = &a->common,
					.verify = OBJECT_VERIFY_SHA256,
					.no_cache = true };
	int r = check_data_dirs(a, e);

	j->report = (struct verifyreport){ .sample_percent = a->sample,
					   .slices = slices_of(a->sample),
					   .begin = &j->begin };
	if (r == 0)
		r = session_open(cli, &open, &j->s, e);
	if (r == 0)
		r = choose(cli, &j->s, a, &j->all, e);
	if (r == 0)
		r = open_state(cli, &j->s, a, &j->report, &j->begin, &j->state, e);
	if (r == 0)
		r = verify(cli, a, j, e);
	if (r == 0 && a->repair)
		r = repair(cli, a, j, e);
	j->report.result = j->result;
	j->report.records = j->all.records;
	j->report.record_count = j->all.count;
	return r;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
	_cleanup_(job_deinit) struct job j = { .state = NULL };
	struct err e = ERR_INIT;
	_cleanup_free_ struct arguments *a = calloc(1, sizeof(*a));
	int r = a ? parse(cli, argc, argv, a, &e) : err_nomem(&e);

	if (r == 0)
		r = run(cli, a, &j, &e);
	/* A repair that failed takes nothing from what was found. */
	return j.result ? verifyreport_end(cli, &j.report, r < 0 ? &e : NULL) : cli_fail(cli, &e);
}
