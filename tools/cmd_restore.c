/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "catalog/restore.h"
#include "tools/commands.h"
#include "tools/heldrestore.h"
#include "tools/names.h"
#include "tools/priority.h"

enum { OPT_ONLY = OPT_COMMAND, OPT_MAP, OPT_OVERWRITE, OPT_NUMERIC };

#define LIST_MAX 1024

struct arguments {
	struct common common;
	const char *backup, *directory;
	const char *only[LIST_MAX];
	struct restore_map maps[LIST_MAX];
	size_t only_count, map_count;
	bool overwrite, numeric_ids;
};

static int add_map(struct arguments *a, const char *value, struct err *e)
{
	const char *equals = strchr(value, '=');
	char number[16];
	uint64_t index;
	int r;

	if (!equals || equals == value || (size_t)(equals - value) >= sizeof(number) ||
	    !equals[1] || a->map_count == LIST_MAX)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--map-data-dir '%s': INDEX=DIRECTORY is wanted", value);
	memcpy(number, value, (size_t)(equals - value));
	number[equals - value] = '\0';
	r = cli_number("--map-data-dir", number, 0, FORMAT_DATA_DIRS - 1, &index, e);
	if (r == 0)
		a->maps[a->map_count++] = (struct restore_map){ .data_dir = (uint32_t)index,
								.directory = equals + 1 };
	return r;
}

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_ONLY:
		if (a->only_count == LIST_MAX)
			return err_set(e, ERR_USAGE, -EINVAL, "too many --only");
		a->only[a->only_count++] = value;
		return 0;
	case OPT_MAP:
		return add_map(a, value, e);
	case OPT_OVERWRITE:
		a->overwrite = true;
		return 0;
	default:
		a->numeric_ids = true;
		return 0;
	}
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "map-data-dir", required_argument, NULL, OPT_MAP },
		{ "overwrite", no_argument, NULL, OPT_OVERWRITE },
		{ "numeric-ids", no_argument, NULL, OPT_NUMERIC },
		COMMON_NAMES,
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, "restore", 16, e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	if (r == 0 && argc - optind != 2)
		return err_set(e, ERR_USAGE, -EINVAL, "restore needs a backup and a directory");
	if (r == 0) {
		a->backup = argv[optind];
		a->directory = argv[optind + 1];
	}
	return r;
}

static int report(struct cli *cli, const struct record *rec, const struct restore_result *res,
		  const char *directory, double seconds)
{
	char written[32];

	if (cli->json)
		return cli_print_json(
			cli, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f}", "cluster",
				       rec->where.cluster, "node", rec->where.node, "name",
				       rec->backup, "files_written", (json_int_t)res->files_written,
				       "files_kept", (json_int_t)res->files_kept, "bytes_written",
				       (json_int_t)res->bytes_written, "bytes_kept",
				       (json_int_t)res->bytes_kept, "duration_seconds", seconds));
	if (!cli->quiet)
		printf("restored %s of %s/%s into %s: %llu files written (%s), %llu there already, in %.1f s\n",
		       rec->backup, rec->where.cluster, rec->where.node, directory,
		       (unsigned long long)res->files_written,
		       util_format_bytes(written, res->bytes_written),
		       (unsigned long long)res->files_kept, seconds);
	return EXIT_DONE;
}

static int run(struct cli *cli, struct arguments *a, struct session *s, struct err *e)
{
	_cleanup_(record_freep) struct record *rec = NULL;
	_cleanup_(heldrestore_endp) struct heldrestore *held = NULL;
	struct session_options open = { .access = REPO_READ, .common = &a->common };
	struct restore_result result = { 0 };
	struct progress progress = { 0 };
	struct restore_options ro;
	struct progress_view *view;
	int64_t begun_ms = clock_elapsed_ms(cli->clock);
	int r = session_open(cli, &open, s, e);

	if (r == 0)
		r = names_find_one(cli, s, &a->common, a->backup, &rec, e);
	if (r < 0)
		return r;
	ro = (struct restore_options){ .repo = s->repo,
				       .source = s->source,
				       .meta = s->meta,
				       .record = rec,
				       .directory = a->directory,
				       .maps = a->maps,
				       .map_count = a->map_count,
				       .only = a->only,
				       .only_count = a->only_count,
				       .overwrite = a->overwrite,
				       .numeric_ids = a->numeric_ids,
				       .jobs = a->common.jobs,
				       .connections = a->common.connections,
				       .memory_bytes = a->common.memory_bytes,
				       .progress = &progress,
				       .log = cli->log,
				       .cancel = &cli->cancel };
	view = progress_view_start(cli, "restore", &progress);
	r = heldrestore_begin(cli, &ro, false, &held, e);
	if (r == 0)
		r = heldrestore_explain(held, restore_run(&ro, &result, e), e);
	progress_view_stop(view);
	return r < 0 ? r
		     : report(cli, rec, &result, a->directory,
			      (double)(clock_elapsed_ms(cli->clock) - begun_ms) / 1000);
}

int cmd_restore(struct cli *cli, int argc, char **argv)
{
	struct arguments *a = calloc(1, sizeof(*a));
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	int r = a ? parse(cli, argc, argv, a, &e) : err_nomem(&e);

	if (r == 0)
		r = priority_step_back(cli, "restore", &e);
	if (r == 0)
		r = run(cli, a, &s, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	session_close(&s);
	free(a);
	return r;
}
