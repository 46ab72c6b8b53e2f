/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "catalog/diff.h"
#include "tools/commands.h"
#include "tools/names.h"

struct output {
	struct cli *cli;
	json_t *list;
	uint64_t count;
};

static int print(void *ctx, enum diff_kind kind, const char *path, const struct entry *a,
		 const struct entry *b, struct err *e)
{
	static const char *const names[] = { "added", "removed", "changed", "attributes" };
	struct output *o = ctx;

	o->count++;
	if (!o->cli->json)
		return cli_print_line(e, "%c %s", "+-CA"[kind], path);
	if (json_array_append_new(
		    o->list, json_pack("{s:s, s:o, s:o, s:o}", "change", names[kind], "path",
				       json_text(path), "old_bytes",
				       a ? json_integer((json_int_t)a->size_bytes) : json_null(),
				       "new_bytes",
				       b ? json_integer((json_int_t)b->size_bytes) : json_null())) <
	    0)
		return err_nomem(e);
	return 0;
}

static int run(struct cli *cli, const struct common *c, char **names, struct session *s,
	       struct output *o, struct err *e)
{
	_cleanup_(record_freep) struct record *a = NULL, *b = NULL;
	struct session_options open = { .access = REPO_READ, .common = c };
	int r = session_open(cli, &open, s, e);

	if (r == 0)
		r = names_find_one(cli, s, c, names[0], &a, e);
	if (r == 0)
		r = names_find_one(cli, s, c, names[1], &b, e);
	return r < 0 ? r : diff_run(s->meta, a, b, print, o, &cli->cancel, e);
}

int cmd_diff(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = { COMMON_NAMES, COMMON_HELP, { NULL, 0, NULL, 0 } };
	struct output o = { cli, json_array(), 0 };
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	struct common common;
	int c, r = common_init(&common, cli, NULL, 16, &e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, &e)) >= 0)
		r = c == '?' ? e.code : common_option(&common, c, optarg, &e);
	if (r == 0 && argc - optind != 2)
		r = err_set(&e, ERR_USAGE, -EINVAL, "diff needs two backups");
	if (r == 0)
		r = run(cli, &common, argv + optind, &s, &o, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	else if (cli->json)
		r = cli_print_json(cli, json_pack("{s:O}", "differences", o.list));
	if (r == 0 && o.count > 0)
		r = EXIT_FOUND;
	json_decref(o.list);
	session_close(&s);
	return r;
}
