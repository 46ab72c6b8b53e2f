/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/age.h"
#include "tools/commands.h"
#include "tools/gcnodes.h"

enum { OPT_FULL = OPT_COMMAND, OPT_DRY_RUN, OPT_FENCE_AFTER };

struct arguments {
	struct common common;
	struct gcnodes_options gc;
};

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_FULL:
		a->gc.full = true;
		return 0;
	case OPT_DRY_RUN:
		a->gc.dry_run = true;
		return 0;
	default:
		return age_parse("--fence-after", value, &a->gc.fence_ms, e);
	}
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "full", no_argument, NULL, OPT_FULL },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "fence-after", required_argument, NULL, OPT_FENCE_AFTER },
		COMMON_NAMES,
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, "gc", 16, e);

	a->gc = (struct gcnodes_options){ .full = false };
	if (r == 0)
		r = gcnodes_config(cli, &a->gc, e);
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL, "gc takes no argument: '%s'", argv[optind]);
	return r;
}

static json_t *requests_json(const struct session *s)
{
	struct trace_counts counts;

	trace_store_counts(s->trace, &counts);
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "put", (json_int_t)counts.put, "get",
			 (json_int_t)counts.get, "head", (json_int_t)counts.head, "list",
			 (json_int_t)counts.list, "delete", (json_int_t)counts.delete_many);
}

/* What was done, also where a node failed. */
static int report(struct cli *cli, const struct gcnodes *g, const struct session *s,
		  const struct arguments *a, const struct err *failed)
{
	json_t *document = NULL;
	struct err e = ERR_INIT;
	int r = 0;

	if (cli->json && (!failed || g->count > 0)) {
		document =
			json_pack("{s:[], s:o}", "removed_backups", "requests", requests_json(s));
		gcnodes_json(g, document);
	}
	if (!cli->json)
		r = gcnodes_print(cli, g, &a->gc, &e);
	if (failed)
		return cli_fail_with(cli, failed, document);
	if (cli->json)
		r = cli_print_json(cli, document);
	else if (r < 0)
		r = cli_fail(cli, &e);
	return r ? r : gcnodes_exit(g);
}

int cmd_gc(struct cli *cli, int argc, char **argv)
{
	_cleanup_gcnodes_ struct gcnodes g = { .nodes = NULL };
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	struct arguments a;
	int r = parse(cli, argc, argv, &a, &e);

	if (r == 0) {
		struct session_options open = { .access = REPO_READ | REPO_COLLECT,
						.common = &a.common,
						.verify = OBJECT_VERIFY_SHA256 };

		if (!a.gc.dry_run)
			open.access |= REPO_WRITE;
		r = session_open(cli, &open, &s, &e);
	}
	if (r == 0)
		r = gcnodes_run(cli, &s, &a.common, &a.gc, &g, &e);
	if (!s.store)
		return cli_fail(cli, &e);
	r = report(cli, &g, &s, &a, r < 0 ? &e : NULL);
	session_close(&s);
	return r;
}
