/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterfiles.h"

#include <stdio.h>
#include <string.h>
#include "tools/asknode.h"
#include "tools/clusterview.h"
#include "tools/filesreport.h"
#include "tools/filesshow.h"
#include "tools/planfile.h"

/* ---- what was begun before ---- */

int clusterfiles_find(struct clusterfiles *f, struct err *e)
{
	_cleanup_free_ char *cache = session_cache_dir();
	int r = session_url(f->cli, &f->url, e);

	if (r == 0)
		r = cache ? filesplan_find(cache, f->url, f->cluster, f->backup, &f->plan, e)
			  : err_nomem(e);
	if (r == 0 && !f->plan && f->what != FILESRUN_RESTORE)
		r = err_set(
			e, ERR_NOT_FOUND, -ENOENT,
			"no restore of backup %s into a cluster was begun from this host (restore-node --%s on each node is what would be done)",
			f->backup, f->what == FILESRUN_ABORT ? "abort" : "finish");
	return r;
}

static int differs(const struct clusterfiles *f, const char *what, struct err *e)
{
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"the restore of %s was begun %s: say the same, or --abort, or, where it is done, --finish",
		f->backup, what);
}

static int check_options(const struct clusterfiles *f, struct err *e)
{
	const struct filesplan *p = f->plan;
	_cleanup_free_ char *options = filesplan_options(p);
	_cleanup_free_ char *begun = options ? util_printf("with other options (%s)", options)
					     : NULL;

	if (!begun)
		return err_nomem(e);
	if (f->loads)
		return differs(f, "with files as they are, not by loading rows", e);
	if (f->no_stage != p->no_stage || (!f->plan_file && f->keep_auth != p->keep_auth))
		return differs(f, begun, e);
	return f->host_list && f->in_place == p->remote ? differs(f, begun, e) : 0;
}

/* The same hosts, each with the same source. Which are seeds may be said anew: what is begun may have found none that starts. */
static int take_pairs(const struct clusterfiles *f, const struct targets *t, struct err *e)
{
	bool same = t->count == f->plan->count;

	for (size_t i = 0; same && i < t->count; i++) {
		const struct filesplan_node *n = filesplan_node(f->plan, t->nodes[i].name);

		same = n && t->nodes[i].source && strcmp(n->source, t->nodes[i].source) == 0;
	}
	for (size_t i = 0; same && i < t->count; i++) {
		const struct filesplan_node *n = filesplan_node(f->plan, t->nodes[i].name);
		int r = filesplan_set_seed(f->plan, (size_t)(n - f->plan->nodes), t->nodes[i].seed,
					   e);

		if (r < 0)
			return r;
	}
	return same ? 0 : differs(f, "with other hosts, or other nodes for them", e);
}

static int take_list(const struct clusterfiles *f, struct err *e)
{
	struct targets t = { .nodes = NULL };
	int r = targets_read(&t, f->host_list, e);

	if (r == 0)
		r = take_pairs(f, &t, e);
	targets_deinit(&t);
	return r;
}

static int take_file(const struct clusterfiles *f, struct err *e)
{
	struct targets t = { .nodes = NULL };
	_cleanup_(planfile_freep) struct planfile *file = NULL;
	int r = planfile_read(f->plan_file, &file, e);

	if (r == 0)
		r = planfile_check(file, f->plan->cluster, f->backup, e);
	for (size_t i = 0; r == 0 && i < f->plan->count; i++)
		r = targets_add(&t, f->plan->nodes[i].host, e);
	if (r == 0)
		r = planfile_pair(file, &t, e);
	if (r == 0)
		r = take_pairs(f, &t, e);
	targets_deinit(&t);
	return r;
}

/* A cluster that answers must be the one that it was begun with; one that is down, or not whole, cannot be asked. */
static int check_cluster(const struct clusterfiles *f, struct err *e)
{
	_cleanup_(facts_freep) struct facts *facts = NULL;
	struct err why = ERR_INIT;
	struct asknode ask;
	int r = asknode_init(&ask, f->cli, e), n = 0;

	if (r == 0)
		n = asknode_facts(&ask, false, &facts, &why);
	for (size_t i = 0; r == 0 && n == 0 && i < facts->member_count; i++)
		if (!filesplan_node(f->plan, facts->members[i].address))
			r = err_set(
				e, ERR_USAGE, -EINVAL,
				"the restore of %s was begun into the cluster of %s, and nodetool reaches one with %s: --abort or --finish that first",
				f->backup, f->plan->nodes[0].host, facts->members[i].address);
	asknode_deinit(&ask);
	return r;
}

/* Whether what was begun is what is asked for now. */
static int check_same(const struct clusterfiles *f, struct err *e)
{
	int r = check_options(f, e);

	if (r < 0)
		return r;
	if (f->host_list)
		return take_list(f, e);
	if (f->plan_file)
		return take_file(f, e);
	return f->plan->asked ? check_cluster(f, e) : 0;
}

/* ---- a new one ---- */

int clusterfiles_begin(struct clusterfiles *f, const struct clusterplan *p,
		       const char *repository_id, struct err *e)
{
	const struct filesplan_wish wish = { .url = f->url,
					     .repository_id = repository_id,
					     .asked = !f->host_list,
					     .no_stage = f->no_stage,
					     .keep_auth = p->options->keep_auth };

	if (f->loads)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s: nodes take all files of a node as they are; --only, --rename, --map-dc, --leave-out-dc, --schema-of, --all-replicas, --throttle and --restart are for rows that are loaded (--load)",
			p->mapping.reason);
	f->made_of = p;
	return filesplan_make(p, &wish, &f->plan, e);
}

/* ---- the hosts ---- */

static char *append(char *command, const char *option, const char *value)
{
	command = sshconf_quote(command, option);
	return value && command ? sshconf_quote(command, value) : command;
}

/* Each has its own configuration; -r is passed on where it was given. NULL: out of memory. */
static char *make_command(const struct clusterfiles *f, const struct sshconf *ssh,
			  const struct filesplan_node *n)
{
	static const char *const last[] = { "--yes", "--abort", "--finish", "--plan" };
	enum filesrun_what what = f->plan_only ? FILESRUN_PLAN : f->what;
	const struct filesplan *p = f->plan;
	char *command = strdup(ssh->command), number[32];

	if (f->cli->repository)
		command = append(command, "-r", f->cli->repository);
	command = append(command, "--json", NULL);
	command = append(command, "restore-node", "--coordinated");
	snprintf(number, sizeof(number), "%llu", (unsigned long long)f->wait_s);
	command = append(command, "--wait", number);
	command = append(command, last[what], NULL);
	if (what == FILESRUN_ABORT || what == FILESRUN_FINISH)
		return command;
	command = append(command, p->backup, NULL);
	command = append(command, p->remote ? "--remote" : "--in-place", NULL);
	command = append(command, "--cluster", p->cluster);
	command = append(command, "--node", n->source);
	if (p->no_stage)
		command = append(command, "--no-stage", NULL);
	if (p->keep_auth)
		command = append(command, "--keep-auth", NULL);
	if (!f->query.query)
		return command;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)f->query.rows);
	command = append(command, "--check-query", f->query.query);
	if (f->query.has_rows)
		command = append(command, "--check-rows", number);
	return f->query.result ? append(command, "--check-result", f->query.result) : command;
}

static struct lead_host *make_hosts(const struct clusterfiles *f, const struct sshconf *ssh)
{
	const struct filesplan *p = f->plan;
	struct lead_host *hosts = calloc(p->count, sizeof(*hosts));

	for (size_t i = 0; hosts && i < p->count; i++) {
		hosts[i] = (struct lead_host)LEAD_HOST_INIT;
		hosts[i].host = strdup(p->nodes[i].host);
		hosts[i].command = make_command(f, ssh, &p->nodes[i]);
		if (!hosts[i].host || !hosts[i].command) {
			lead_free_hosts(hosts, p->count);
			return NULL;
		}
	}
	return hosts;
}

/* ---- the run ---- */

static int lead(struct clusterfiles *f, struct filesrun *run, struct err *e)
{
	struct clusterview view;
	int r;

	clusterview_init(&view, f->cli);
	run->lead.sink = clusterview_sink(&view);
	r = filesrun_run(run, e);
	clusterview_deinit(&view);
	return r;
}

/* A plan changes nothing, and keeps nobody from anything. */
static int lock(struct clusterfiles *f, struct err *e)
{
	_cleanup_free_ char *cache = f->plan_only ? NULL : session_cache_dir();

	if (f->plan_only)
		return 0;
	return cache ? filesplan_lock(f->plan, cache, e) : err_nomem(e);
}

/* Nothing is left to go on with, to abort or to finish. */
static bool is_at_its_end(const struct filesrun *run)
{
	return lead_count(&run->lead, LEAD_DONE, 0) == run->lead.count &&
	       run->what != FILESRUN_RESTORE;
}

static int report(const struct clusterfiles *f, const struct filesrun *run, int64_t begun_ms,
		  struct err *e)
{
	int r = 0;

	if (f->plan_only)
		return filesshow(f->cli, run, f->made_of, e);
	if (is_at_its_end(run))
		r = filesplan_end(f->plan, e);
	return r < 0 ? r : filesreport(f->cli, run, clock_elapsed_ms(f->cli->clock) - begun_ms, e);
}

static int run_all(struct clusterfiles *f, const struct sshconf *ssh, struct err *e)
{
	_cleanup_free_ size_t *group = calloc(f->plan->count, sizeof(*group));
	int64_t begun_ms = clock_elapsed_ms(f->cli->clock);
	struct filesrun run = { .lead = { .ssh = ssh,
					  .clock = f->cli->clock,
					  .cancel = &f->cli->cancel,
					  .hosts = make_hosts(f, ssh),
					  .count = f->plan->count },
				.what = f->plan_only ? FILESRUN_PLAN : f->what,
				.plan = f->plan,
				.parallel = f->parallel,
				.has_query = f->query.query,
				.wait_ms = (int64_t)f->wait_s * 1000,
				.group = group };
	int r = group && run.lead.hosts ? lock(f, e) : err_nomem(e);

	if (r == 0)
		r = lead(f, &run, e);
	if (r == 0)
		r = report(f, &run, begun_ms, e);
	if (run.lead.hosts)
		lead_free_hosts(run.lead.hosts, run.lead.count);
	return r;
}

/* An abort or a finish that was begun is ended: of two nodes one could have its own data, and the other the backup's. */
static int check_ending(const struct clusterfiles *f, struct err *e)
{
	const char *begun = f->plan->ending;

	return !*begun || strcmp(begun, filesrun_word(f->what)) == 0
		       ? 0
		       : err_set(e, ERR_CONFLICT, -EBUSY,
				 "an earlier restore-cluster %s --%s has not ended: run sstablefs restore-cluster %s --%s again",
				 f->backup, begun, f->backup, begun);
}

int clusterfiles_run(struct clusterfiles *f, struct err *e)
{
	bool resumed = f->plan->saved;
	struct sshconf ssh = { .command = NULL };
	int r = check_ending(f, e);

	if (r == 0 && resumed && f->what == FILESRUN_RESTORE)
		r = check_same(f, e);
	else if (r == 0 && f->host_list && f->what == FILESRUN_ABORT)
		r = take_list(f, e);
	if (r < 0)
		return r;
	r = sshconf_init(&ssh, f->cli, e);
	if (r == 0)
		r = run_all(f, &ssh, e);
	sshconf_deinit(&ssh);
	return r;
}

void clusterfiles_deinit(struct clusterfiles *f)
{
	if (f->plan)
		filesplan_free(f->plan);
}
