/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/age.h"
#include "tools/commands.h"
#include "tools/gcnodes.h"
#include "tools/names.h"
#include "tools/purgeplan.h"
#include "tools/purgepolicy.h"
#include "tools/removal.h"

enum { /* the first as enum purgepolicy_part */
       OPT_KEEP_LAST = OPT_COMMAND,
       OPT_KEEP_DAILY,
       OPT_KEEP_WEEKLY,
       OPT_KEEP_MONTHLY,
       OPT_OLDER_THAN,
       OPT_DRY_RUN,
       OPT_FORCE,
       OPT_FENCE_AFTER
};

struct arguments {
	struct common common;
	char cluster[FORMAT_NAME_BYTES + 1];
	struct policy policy;
	struct gcnodes_options gc;
	bool dry_run;
};

struct purge {
	struct purgeplan plan;
	struct removal removal; /* owns the survey */
	struct gcnodes gc;
	size_t doubts; /* what is kept because it could not be judged */
};

/* ---- the policy ---- */

static int own_option(struct arguments *a, int option, const char *value, bool *any, struct err *e)
{
	switch (option) {
	case OPT_DRY_RUN:
		a->dry_run = true;
		return 0;
	case OPT_FORCE:
		a->policy.force = true;
		return 0;
	case OPT_FENCE_AFTER:
		return age_parse("--fence-after", value, &a->gc.fence_ms, e);
	default:
		*any = true;
		return purgepolicy_option(&a->policy, PURGEPOLICY_LAST + (option - OPT_KEEP_LAST),
					  value, e);
	}
}

static int check_policy(const struct arguments *a, bool any, struct err *e)
{
	if (!any)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"no policy was given: name --keep-last, --keep-daily, --keep-weekly, --keep-monthly or --older-than, or set them under [purge] of the configuration");
	if (policy_keeps_nothing(&a->policy) && !a->policy.force)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"this policy keeps nothing: nothing was removed (--force removes every backup)");
	return 0;
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "keep-last", required_argument, NULL, OPT_KEEP_LAST },
		{ "keep-daily", required_argument, NULL, OPT_KEEP_DAILY },
		{ "keep-weekly", required_argument, NULL, OPT_KEEP_WEEKLY },
		{ "keep-monthly", required_argument, NULL, OPT_KEEP_MONTHLY },
		{ "older-than", required_argument, NULL, OPT_OLDER_THAN },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "force", no_argument, NULL, OPT_FORCE },
		{ "fence-after", required_argument, NULL, OPT_FENCE_AFTER },
		COMMON_NAMES,
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	bool any = false;
	int c, r = common_init(&a->common, cli, "gc", 16, e);

	if (r == 0)
		r = gcnodes_config(cli, &a->gc, e);
	if (r == 0)
		r = purgepolicy_config(cli, &a->policy, &any, e);
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, &any, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "purge takes no argument: '%s' (delete BACKUP removes one)",
			       argv[optind]);
	return r < 0 ? r : check_policy(a, any, e);
}

/* ---- the plan ---- */

/* Ages are by the store's clock. */
static int find_now(struct cli *cli, struct session *s, struct policy *p, struct err *e)
{
	struct store_meta meta;
	int r;

	if (!p->older_than_ms)
		return 0;
	r = store_head(s->store, KEY_REPOSITORY, &meta, &cli->cancel, e);
	if (r < 0)
		return r;
	if (r > 0 || meta.date_ns <= 0)
		return err_set(
			e, ERR_STORE, -ENOTSUP,
			"the store does not tell its time, which --older-than goes by: nothing was removed");
	p->now_ns = meta.date_ns;
	return 0;
}

static int make_plan(struct cli *cli, struct session *s, struct arguments *a, struct purge *p,
		     struct err *e)
{
	struct purgeplan *plan = &p->plan;
	int r = gcnodes_cluster(cli, s, &a->common, a->cluster, e);

	if (r == 0 && a->cluster[0])
		a->common.cluster = a->cluster;
	if (r == 0)
		r = names_check_scope(cli, s, &a->common, e);
	if (r == 0)
		r = find_now(cli, s, &a->policy, e);
	if (r == 0)
		r = fleet_look(cli, s, a->common.cluster, a->common.node, &p->removal.survey, e);
	if (r < 0)
		return r;
	plan->survey = p->removal.survey;
	plan->node = a->common.node;
	r = policy_items(plan->survey, &plan->items, &plan->count, e);
	if (r == 0)
		r = policy_apply(&a->policy, plan->items, plan->count, e);
	if (r < 0)
		return r;
	purgeplan_sort(plan);
	p->doubts = fleet_tell_damage(cli, plan->survey) + purgeplan_tell_doubts(cli, plan);
	return 0;
}

static int carry_out(struct cli *cli, struct session *s, const struct arguments *a, struct purge *p,
		     struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < p->plan.count; i++)
		if (purgeplan_is_removed(&p->plan, &p->plan.items[i]))
			r = removal_add(&p->removal, p->plan.items[i].entry, e);
	if (r == 0)
		r = removal_run(cli, s, a->common.connections, &p->removal, e);
	if (r == 0 && p->removal.failed > 0 && p->removal.done == 0) {
		*e = p->removal.error;
		return e->code;
	}
	return r ? r : gcnodes_run(cli, s, &a->common, &a->gc, &p->gc, e);
}

/* ---- the result ---- */

static int exit_code(const struct purge *p)
{
	if (p->doubts > 0 || p->removal.failed > 0 || p->removal.gone > 0)
		return EXIT_FOUND;
	return gcnodes_exit(&p->gc);
}

static int report_plan(struct cli *cli, const struct purge *p)
{
	struct err e = ERR_INIT;
	int r;

	if (!cli->json) {
		r = purgeplan_print(cli, &p->plan, &e);
	} else {
		json_t *rest = json_object();
		_cleanup_free_ char *text = NULL;

		gcnodes_json(&p->gc, rest);
		text = json_dumps(rest, JSON_ENSURE_ASCII);
		json_decref(rest);
		fputs("{\"dry_run\": true,\n", stdout);
		r = text ? purgeplan_print_json(&p->plan, &e) : err_nomem(&e);
		/* What follows is an object of its own: its first brace is a comma here. */
		if (r == 0 && (printf(",\n%s\n", text + 1) < 0 || fflush(stdout) != 0))
			r = err_errno(&e, -errno, "cannot write the result");
	}
	return r < 0 ? cli_fail(cli, &e) : exit_code(p);
}

static int report(struct cli *cli, const struct arguments *a, const struct purge *p, int r,
		  struct err *e)
{
	bool failed;
	json_t *document;

	if (removal_print(cli, &p->removal, r < 0 ? NULL : e) < 0)
		r = r < 0 ? r : e->code;
	if (!cli->json && gcnodes_print(cli, &p->gc, &a->gc, r < 0 ? NULL : e) < 0)
		r = r < 0 ? r : e->code;
	failed = r < 0 || cancel_is_set(&cli->cancel);
	if (failed && (!cli->json || (p->removal.done == 0 && p->gc.count == 0)))
		return cli_fail(cli, e);
	if (!cli->json)
		return exit_code(p);
	document = json_pack("{s:o}", "removed_backups", removal_names(&p->removal));
	gcnodes_json(&p->gc, document);
	if (failed)
		return cli_fail_with(cli, e, document);
	r = cli_print_json(cli, document);
	return r ? r : exit_code(p);
}

int cmd_purge(struct cli *cli, int argc, char **argv)
{
	struct purge p = { .doubts = 0 };
	struct session s = { .store = NULL };
	struct arguments a = { .dry_run = false };
	struct session_options open = { .access = REPO_READ | REPO_COLLECT,
					.common = &a.common,
					.verify = OBJECT_VERIFY_SHA256 };
	struct err e = ERR_INIT;
	int r = parse(cli, argc, argv, &a, &e);

	if (!a.dry_run)
		open.access |= REPO_WRITE;
	if (r == 0)
		r = session_open(cli, &open, &s, &e);
	if (r == 0)
		r = make_plan(cli, &s, &a, &p, &e);
	if (r == 0 && !a.dry_run)
		r = carry_out(cli, &s, &a, &p, &e);
	r = r == 0 && a.dry_run ? report_plan(cli, &p) : report(cli, &a, &p, r, &e);
	free(p.plan.items);
	gcnodes_deinit(&p.gc);
	removal_deinit(&p.removal);
	session_close(&s);
	return r;
}
