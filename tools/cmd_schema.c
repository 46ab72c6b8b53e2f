/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "catalog/wholefile.h"
#include "tools/commands.h"
#include "tools/names.h"
#include "tools/schemaargs.h"

enum { OPT_ONLY = OPT_COMMAND, OPT_RENAME };

#define SCHEMA_FILE "schema.cql"

struct arguments {
	struct common common;
	const char *backup;
	struct schemaargs names;
	struct schema_options options;
};

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "rename", required_argument, NULL, OPT_RENAME },
		COMMON_NAMES,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, NULL, 16, e);

	schemaargs_init(&a->names, &a->options);
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = c == OPT_ONLY ? schemaargs_only(&a->names, &a->options, optarg, e)
					  : schemaargs_rename(&a->names, &a->options, optarg, e);
	}
	if (r == 0 && argc - optind != 1)
		return err_set(e, ERR_USAGE, -EINVAL, "schema needs one backup");
	if (r == 0)
		a->backup = argv[optind];
	return r == 0 ? keys_check_name("backup", a->backup, e) : r;
}

/* The nodes of a cluster have one schema; where it was changed during the backup, somebody has to say which one is meant. */
static int one_schema(struct cli *cli, struct session *s, const struct found *f,
		      const struct record **ret, struct err *e)
{
	struct id256 first = { 0 }, id = { 0 };
	int r;

	*ret = NULL;
	for (size_t i = 0; i < f->count; i++) {
		const struct record *rec = f->records[i];

		if (rec->state != RECORD_COMMITTED)
			continue;
		r = wholefile_id(s->meta, rec, SCHEMA_FILE, &id, &cli->cancel, e);
		if (r < 0)
			return r;
		if (r == WHOLEFILE_NONE)
			continue;
		if (*ret && memcmp(&first, &id, sizeof(id)) != 0)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"nodes %s and %s do not have the same schema in backup %s: name one with --node",
				(*ret)->where.node, rec->where.node, rec->backup);
		first = id;
		*ret = rec;
	}
	return *ret ? 0
		    : err_set(e, ERR_NOT_FOUND, -ENOENT,
			      "no finished backup %s holds a " SCHEMA_FILE
			      " (it is taken where cqlsh reaches the node)",
			      f->records[0]->backup);
}

static int print_text(const struct schema *schema, struct err *e)
{
	for (size_t i = 0; i < schema->item_count; i++) {
		_cleanup_wbuf_ struct wbuf text;

		wbuf_init(&text, 2 * CQL_TEXT_MAX);
		schema_print(schema, &schema->items[i], &text);
		wbuf_put(&text, "\n\n", i + 1 < schema->item_count ? 2 : 1);
		if (wbuf_error(&text))
			return err_nomem(e);
		if (fwrite(text.data, 1, text.len, stdout) != text.len)
			return err_errno(e, -errno, "cannot write to standard output");
	}
	return 0;
}

/* NULL: out of memory. */
static json_t *statements_json(const struct schema *schema)
{
	_cleanup_json_ json_t *list = json_array();

	for (size_t i = 0; list && i < schema->item_count; i++) {
		const struct schema_item *item = &schema->items[i];
		_cleanup_wbuf_ struct wbuf text;

		wbuf_init(&text, 2 * CQL_TEXT_MAX);
		schema_print(schema, item, &text);
		wbuf_u8(&text, 0);
		if (wbuf_error(&text) ||
		    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o, s:o}", "kind",
							  cql_kind_name(item->statement->kind),
							  "keyspace", json_text(item->keyspace),
							  "name", json_text(item->name), "table",
							  json_text(item->table), "cql",
							  json_text((char *)text.data))) < 0)
			return NULL;
	}
	return steal_pointer(&list);
}

static int print(struct cli *cli, const struct record *rec, const struct schema *schema,
		 struct err *e)
{
	json_t *list;

	if (!cli->json)
		return print_text(schema, e);
	list = statements_json(schema);
	if (!list)
		return err_nomem(e);
	return cli_print_json(cli, json_pack("{s:s, s:s, s:s, s:o}", "cluster", rec->where.cluster,
					     "node", rec->where.node, "name", rec->backup,
					     "statements", list));
}

static int run(struct cli *cli, struct arguments *a, struct session *s, struct err *e)
{
	_cleanup_(found_freep) struct found *f = NULL;
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_(schema_freep) struct schema *schema = NULL;
	_cleanup_free_ char *text = NULL;
	const struct find_options fo = { .cluster = a->common.cluster,
					 .node = a->common.node,
					 .backup = a->backup };
	struct session_options open = { .access = REPO_READ, .common = &a->common };
	const struct record *rec = NULL;
	size_t len = 0;
	int r = session_open(cli, &open, s, e);

	if (r == 0)
		r = find_records(s->meta, s->repo, &fo, &f, &cli->cancel, e);
	if (r == 0)
		r = names_one_cluster(f, a->common.cluster, a->backup, e);
	if (r == 0)
		r = one_schema(cli, s, f, &rec, e);
	if (r == 0)
		r = wholefile_read(s->meta, s->source, rec, SCHEMA_FILE, CQL_TEXT_MAX, &text, &len,
				   &cli->cancel, e);
	if (r < 0)
		return r;
	r = cql_read(text, len, &q, e);
	if (r < 0)
		return err_wrap(e, r, SCHEMA_FILE " of %s/%s %s", rec->where.cluster,
				rec->where.node, rec->backup);
	r = schema_choose(q, &a->options, &schema, e);
	return r < 0 ? r : print(cli, rec, schema, e);
}

int cmd_schema(struct cli *cli, int argc, char **argv)
{
	struct arguments *a = calloc(1, sizeof(*a));
	struct session s = { .store = NULL };
	struct err e = ERR_INIT;
	int r = a ? parse(cli, argc, argv, a, &e) : err_nomem(&e);

	if (r == 0)
		r = run(cli, a, &s, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	session_close(&s);
	free(a);
	return r;
}
