/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "catalog/verify.h"
#include "tools/commands.h"
#include "tools/names.h"

enum { OPT_SAMPLE = OPT_COMMAND, OPT_REPAIR };

struct arguments {
	struct common common;
	double sample;
	char **names;
	size_t name_count;
};

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	char *end;

	if (option == OPT_REPAIR)
		return err_set(e, ERR_USAGE, -ENOTSUP, "--repair is not in this version");
	a->sample = strtod(value, &end);
	if (*end || end == value || !(a->sample > 0 && a->sample <= 100))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--sample '%s': a percentage above 0, up to 100, is wanted", value);
	return 0;
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = { { "sample", required_argument, NULL, OPT_SAMPLE },
						 { "repair", no_argument, NULL, OPT_REPAIR },
						 COMMON_NAMES,
						 COMMON_LIMITS,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(&a->common, cli, NULL, 16, e);

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
	return r;
}

/* The COMMITTED records that are meant, appended to list. */
static int add_backup(struct cli *cli, struct session *s, const struct arguments *a,
		      const char *name, struct found **ret, struct err *e)
{
	struct find_options fo = { .cluster = a->common.cluster,
				   .node = a->common.node,
				   .backup = name,
				   .keep_damaged = true };
	int r = name ? keys_check_name("backup", name, e) : 0;

	if (r == 0)
		r = find_records(s->meta, s->repo, &fo, ret, &cli->cancel, e);
	return r == 0 && name && (*ret)->damaged_count == 0
		       ? names_one_cluster(*ret, a->common.cluster, name, e)
		       : r;
}

static json_t *finding_json(const struct verify_finding *f)
{
	json_t *files = json_array();

	for (size_t i = 0; i < f->file_count; i++)
		json_array_append_new(files, json_text(f->files[i]));
	return json_pack("{s:o, s:o, s:o, s:I}", "key", json_text(f->key), "reason",
			 json_text(f->reason), "files", files, "files_more",
			 (json_int_t)f->files_more);
}

static int print_finding(const struct verify_finding *f, struct err *e)
{
	int r = cli_print_line(e, "%s: %s: %s", f->missing ? "missing" : "damaged", f->key,
			       f->reason);

	for (size_t i = 0; i < f->file_count && r == 0; i++)
		r = cli_print_line(e, "  %s", f->files[i]);
	if (r == 0 && f->files_more > 0)
		r = cli_print_line(e, "  and %zu more", f->files_more);
	return r;
}

static int tell(struct cli *cli, const struct verify_finding *f, json_t *list, struct err *e)
{
	if (!cli->json)
		return print_finding(f, e);
	return json_array_append_new(list, finding_json(f)) < 0 ? err_nomem(e) : 0;
}

static int report(struct cli *cli, const struct verify_result *v, const struct arguments *a)
{
	json_t *damaged = json_array(), *missing = json_array();
	struct err e = ERR_INIT;
	char bytes[32];
	int r = EXIT_DONE;

	for (size_t i = 0; i < v->finding_count; i++) {
		const struct verify_finding *f = &v->findings[i];

		if (r == EXIT_DONE && tell(cli, f, f->missing ? missing : damaged, &e) < 0)
			r = cli_fail(cli, &e);
	}
	if (cli->json && r == EXIT_DONE) {
		r = cli_print_json(cli,
				   json_pack("{s:I, s:I, s:f, s:O, s:O}", "objects_checked",
					     (json_int_t)v->objects_checked, "bytes_checked",
					     (json_int_t)v->bytes_checked, "sample_percent",
					     a->sample, "damaged", damaged, "missing", missing));
	} else if (!cli->quiet && r == EXIT_DONE) {
		printf("%llu objects checked, %s, %zu findings\n",
		       (unsigned long long)v->objects_checked,
		       util_format_bytes(bytes, v->bytes_checked), v->finding_count);
	}
	json_decref(damaged);
	json_decref(missing);
	return r ? r : v->finding_count > 0 ? EXIT_FOUND : EXIT_DONE;
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

static int choose(struct cli *cli, struct session *s, const struct arguments *a, struct chosen *all,
		  struct err *e)
{
	for (size_t i = 0; i < MAX_OF(a->name_count, (size_t)1); i++) {
		_cleanup_(found_freep) struct found *f = NULL;
		size_t before = all->count;
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
		if (r == 0 && a->name_count && all->count == before && all->damaged_count == 0)
			return err_set(e, ERR_NOT_FOUND, -ENOENT, "backup %s is not finished",
				       a->names[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct cli *cli, const struct arguments *a, struct session *s, struct chosen *all,
	       struct verify_result **ret, struct err *e)
{
	struct session_options open = { .access = REPO_READ,
					.common = &a->common,
					.verify = OBJECT_VERIFY_SHA256,
					.no_cache = true };
	struct progress progress = { 0 };
	struct verify_options vo;
	struct progress_view *view;
	int r = session_open(cli, &open, s, e);

	if (r == 0)
		r = choose(cli, s, a, all, e);
	if (r < 0)
		return r;
	vo = (struct verify_options){ .repo = s->repo,
				      .source = s->source,
				      .meta = s->meta,
				      .records = all->records,
				      .record_count = all->count,
				      .damaged_records = all->damaged,
				      .damaged_record_count = all->damaged_count,
				      .sample_percent = a->sample,
				      .jobs = a->common.jobs,
				      .connections = a->common.connections,
				      .memory_bytes = a->common.memory_bytes,
				      .progress = &progress,
				      .cancel = &cli->cancel };
	view = progress_view_start(cli, "verify", &progress);
	r = verify_run(&vo, ret, e);
	progress_view_stop(view);
	return r;
}

int cmd_verify(struct cli *cli, int argc, char **argv)
{
	_cleanup_(verify_result_freep) struct verify_result *result = NULL;
	struct session s = { .store = NULL };
	_cleanup_(chosen_deinit) struct chosen all = { .records = NULL };
	struct err e = ERR_INIT;
	struct arguments a;
	int r = parse(cli, argc, argv, &a, &e);

	if (r == 0)
		r = run(cli, &a, &s, &all, &result, &e);
	r = r < 0 ? cli_fail(cli, &e) : report(cli, result, &a);
	session_close(&s);
	return r;
}
