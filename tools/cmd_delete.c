/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "catalog/policy.h"
#include "tools/commands.h"
#include "tools/names.h"
#include "tools/removal.h"

enum { OPT_FORCE = OPT_COMMAND };

struct arguments {
	struct common common;
	bool force;
	char **names;
	size_t count;
};

struct plan {
	struct removal removal;
	json_t *unknown; /* names that no backup has */
	size_t left_out; /* records that are named, and that delete leaves alone */
};

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = { { "force", no_argument, NULL, OPT_FORCE },
						 COMMON_NAMES,
						 COMMON_HELP,
						 { NULL, 0, NULL, 0 } };
	int c, r = common_init(&a->common, cli, NULL, 16, e);

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		if (c == OPT_FORCE)
			a->force = true;
		else
			r = common_option(&a->common, c, optarg, e);
	}
	a->names = argv + optind;
	a->count = (size_t)(argc - optind);
	if (r == 0 && a->count == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "delete needs a backup (see list)");
	for (size_t i = 0; r == 0 && i < a->count; i++)
		r = keys_check_name("backup", a->names[i], e);
	return r;
}

/* ---- what is meant ---- */

static bool is_named(const struct arguments *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->names[i], name) == 0)
			return true;
	return false;
}

static bool is_meant(const struct arguments *a, const struct survey *v,
		     const struct survey_entry *x)
{
	const char *node = a->common.node;

	return is_named(a, survey_name(v, x)) &&
	       (!node || strcmp(node, survey_node(v, x)->node) == 0);
}

/* All that is meant must be of one cluster, unless one was named. */
static int check_cluster(const struct arguments *a, const struct survey *v, struct err *e)
{
	const struct survey_entry *first = NULL;

	for (size_t i = 0; i < v->live; i++) {
		const struct survey_entry *x = &v->entries[i];

		if (!is_meant(a, v, x))
			continue;
		if (!first)
			first = x;
		if (strcmp(survey_node(v, first)->cluster, survey_node(v, x)->cluster) != 0)
			return err_set(
				e, ERR_USAGE, -EINVAL,
				"backups of these names exist in clusters %s and %s: name one with --cluster; nothing was removed",
				survey_node(v, first)->cluster, survey_node(v, x)->cluster);
	}
	return 0;
}

/* Without --force the newest complete backup of a node stays. Nothing at all is removed then: whoever names it may have erred in more. */
static int check_newest(const struct arguments *a, const struct survey *v, struct err *e)
{
	_cleanup_free_ struct policy_item *items = NULL;
	size_t count;
	int r = policy_items(v, &items, &count, e);

	if (r < 0 || a->force)
		return r;
	policy_mark_newest(items, count);
	for (size_t i = 0; i < count; i++) {
		const struct survey_entry *x = &v->entries[items[i].entry];

		if (!(items[i].reasons & POLICY_NEWEST) || !is_meant(a, v, x))
			continue;
		return err_set(
			e, ERR_USAGE, -EPERM,
			"%s is the newest complete backup of node %s: nothing was removed (--force removes it all the same)",
			survey_name(v, x), survey_node(v, x)->node);
	}
	return 0;
}

static void leave_open(const struct cli *cli, const struct survey *v, const struct survey_entry *x)
{
	fprintf(stderr,
		"sstablefs: %s: %s of node %s is not finished and was left alone: a backup that still runs goes on; one that died is ended by gc\n",
		cli->command, survey_name(v, x), survey_node(v, x)->node);
}

/* What cannot be read may be what was meant. */
static size_t tell_damage(const struct cli *cli, const struct arguments *a, const struct survey *v,
			  const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < v->damaged_count; i++) {
		const struct survey_damage *d = &v->damaged[i];

		if (strcmp(d->backup, name) != 0 ||
		    (a->common.node && strcmp(a->common.node, v->nodes[d->node].node) != 0))
			continue;
		fprintf(stderr,
			"sstablefs: %s: %s was not removed: its record cannot be read: %s: %s\n",
			cli->command, name, d->key, d->reason);
		count++;
	}
	return count;
}

static int choose(struct cli *cli, const struct arguments *a, struct plan *p, struct err *e)
{
	const struct survey *v = p->removal.survey;
	int r = check_cluster(a, v, e);

	if (r == 0)
		r = check_newest(a, v, e);
	for (size_t i = 0; r == 0 && i < v->live; i++) {
		if (!is_meant(a, v, &v->entries[i]))
			continue;
		if (v->entries[i].state == RECORD_COMMITTED) {
			r = removal_add(&p->removal, i, e);
		} else {
			leave_open(cli, v, &v->entries[i]);
			p->left_out++;
		}
	}
	return r;
}

static bool is_found(const struct plan *p, const char *name)
{
	const struct survey *v = p->removal.survey;

	for (size_t i = 0; i < p->removal.count; i++)
		if (strcmp(survey_name(v, &v->entries[p->removal.targets[i].entry]), name) == 0)
			return true;
	return false;
}

/* Names of which nothing can be removed: for the exit code, and said. */
static void find_unknown(struct cli *cli, const struct arguments *a, struct plan *p)
{
	for (size_t i = 0; i < a->count; i++) {
		size_t damaged = tell_damage(cli, a, p->removal.survey, a->names[i]);

		p->left_out += damaged;
		if (damaged == 0 && !is_found(p, a->names[i]))
			json_array_append_new(p->unknown, json_string(a->names[i]));
	}
}

/* ---- the result ---- */

static int absent(const struct arguments *a, const struct plan *p, struct err *e)
{
	char names[512] = "";
	size_t len = 0, i;
	json_t *name;

	json_array_foreach(p->unknown, i, name) {
		const char *text = json_string_value(name);

		if (len + strlen(text) + 3 < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
						len ? ", " : "", text);
	}
	return err_set(
		e, ERR_NOT_FOUND, -ENOENT,
		"there is no finished backup %s%s%s%s%s (sstablefs list shows what there is)%s",
		names, a->common.node ? " of node " : "", a->common.node ? a->common.node : "",
		a->common.cluster ? " in cluster " : "", a->common.cluster ? a->common.cluster : "",
		p->removal.count > 0 ? "; the others were removed" : "");
}

/* What was removed is told also where something else went wrong: one document holds both. */
static int report(struct cli *cli, const struct arguments *a, struct plan *p, int r, struct err *e)
{
	const struct removal *m = &p->removal;
	json_t *document;
	bool failed;
	int code;

	if (r == 0)
		r = removal_print(cli, m, e);
	if (r == 0 && m->failed > 0 && m->done == 0)
		*e = m->error;
	else if (r == 0 && json_array_size(p->unknown) > 0)
		absent(a, p, e);
	failed = e->code < 0 || cancel_is_set(&cli->cancel);
	if (failed && (!cli->json || m->done == 0))
		return cli_fail(cli, e);
	code = p->left_out > 0 || m->failed > 0 || m->gone > 0 ? EXIT_FOUND : EXIT_DONE;
	if (!cli->json)
		return code;
	document = json_pack("{s:o, s:i, s:i, s:i, s:i, s:[], s:O}", "removed_backups",
			     removal_names(m), "condemned_objects", 0, "condemned_bytes", 0,
			     "deleted_objects", 0, "deleted_bytes", 0, "waiting_for", "not_found",
			     p->unknown);
	if (failed)
		return cli_fail_with(cli, e, document);
	r = cli_print_json(cli, document);
	return r ? r : code;
}

int cmd_delete(struct cli *cli, int argc, char **argv)
{
	struct plan p = { .unknown = json_array() };
	struct session s = { .store = NULL };
	struct arguments a = { .force = false };
	struct session_options open = { .access = REPO_READ | REPO_WRITE, .common = &a.common };
	struct err e = ERR_INIT;
	int r = parse(cli, argc, argv, &a, &e);

	if (r == 0)
		r = session_open(cli, &open, &s, &e);
	if (r == 0)
		r = fleet_look(cli, &s, a.common.cluster, a.common.node, &p.removal.survey, &e);
	if (r == 0)
		r = choose(cli, &a, &p, &e);
	if (r == 0) {
		find_unknown(cli, &a, &p);
		r = removal_run(cli, &s, a.common.connections, &p.removal, &e);
	}
	r = report(cli, &a, &p, r, &e);
	removal_deinit(&p.removal);
	json_decref(p.unknown);
	session_close(&s);
	return r;
}
