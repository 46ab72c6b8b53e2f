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
		"the restore of %s was begun %s: say the same, or sstablefs restore-cluster %s --cluster %s --abort or, where it is done, --finish",
		f->backup, what, f->backup, f->plan->cluster);
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

/* By its address, or by a host id that it had when the restore was begun, or gets by it: neither alone stays in a cluster whose machines change. */
static bool is_planned(const struct filesplan *p, const struct facts_member *m)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->nodes[i].host, m->address) == 0 ||
		    (*m->host_id && (strcmp(p->nodes[i].target_id, m->host_id) == 0 ||
				     (!p->remote && strcmp(p->nodes[i].host_id, m->host_id) == 0))))
			return true;
	return false;
}

static int is_another(const struct clusterfiles *f, const struct facts_member *m, struct err *e)
{
	const struct filesplan *p = f->plan;

	if (f->what != FILESRUN_RESTORE)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"the restore of %s was begun into the cluster of %s, and nodetool reaches one with %s: where the first is meant say --cluster %s",
			f->backup, p->nodes[0].host, m->address, p->cluster);
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"the restore of %s was begun into the cluster of %s, and nodetool reaches one with %s: end that first (--cluster %s with --abort or --finish); where the backup of another cluster is meant, say its --cluster",
		f->backup, p->nodes[0].host, m->address, p->cluster);
}

/* A cluster that answers is the one that is meant. A node may have joined it before what was begun is aborted or finished. > 0: none answers. */
static int ask_cluster(const struct clusterfiles *f, const struct asknode *ask, struct err *e)
{
	_cleanup_(facts_freep) struct facts *facts = NULL;
	const struct facts_member *stranger = NULL;
	struct err why = ERR_INIT;
	size_t planned = 0;

	if (asknode_facts(ask, false, &facts, &why) < 0 || facts->member_count == 0)
		return 1;
	for (size_t i = 0; i < facts->member_count; i++) {
		bool is = is_planned(f->plan, &facts->members[i]);

		planned += is;
		stranger = is || stranger ? stranger : &facts->members[i];
	}
	return stranger && (planned == 0 || f->what == FILESRUN_RESTORE)
		       ? is_another(f, stranger, e)
		       : 0;
}

/* > 0: it cannot be told. */
static int check_asked(const struct clusterfiles *f, struct err *e)
{
	_cleanup_free_ char *whom = NULL;
	struct asknode ask;
	int r = asknode_init(&ask, f->cli, e);

	if (r == 0)
		r = ask_cluster(f, &ask, e);
	whom = r > 0 ? asknode_whom(&ask) : NULL;
	/* It would be asked of the node that was asked then. */
	if (whom && strcmp(whom, f->plan->whom) == 0)
		r = 0;
	asknode_deinit(&ask);
	return r;
}

/* What was left behind of another cluster would stop its nodes, or remove their data, where backups of several have one name: so the cluster that answers, or would be asked, says which is meant, or its name does. */
static int check_cluster(const struct clusterfiles *f, struct err *e)
{
	const struct filesplan *p = f->plan;
	bool asks = p->asked && (!f->cluster || f->what == FILESRUN_RESTORE);
	int r = asks ? check_asked(f, e) : 1;

	if (r <= 0 || f->cluster)
		return MIN_OF(r, 0);
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"a restore of backup %s of cluster %s into %zu hosts, %s the first, was begun from here, and nothing says that it is the one that is meant: %s; where it is, say --cluster %s",
		f->backup, p->cluster, p->count, p->nodes[0].host,
		p->asked ? "nodetool reaches nobody, and was told another way then"
			 : "its --host-list is not named",
		p->cluster);
}

/* Whether what was begun is what is meant now. */
static int check_meant(const struct clusterfiles *f, struct err *e)
{
	if (f->host_list)
		return take_list(f, e);
	return f->plan_file ? take_file(f, e) : check_cluster(f, e);
}

static int leave_out(struct clusterfiles *f, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->without_count; i++)
		r = filesplan_leave_out(f->plan, f->without[i], e);
	return r;
}

/* An abort or a finish that was begun is ended: of two nodes one could have its own data, and the other the backup's. */
static int check_ending(const struct clusterfiles *f, struct err *e)
{
	const char *begun = f->plan->ending;

	return !*begun || strcmp(begun, filesrun_word(f->what)) == 0
		       ? 0
		       : err_set(e, ERR_CONFLICT, -EBUSY,
				 "an earlier restore-cluster %s --%s has not ended: run sstablefs restore-cluster %s --cluster %s --%s again",
				 f->backup, begun, f->backup, f->plan->cluster, begun);
}

/* ---- a new one ---- */

/* Whom nodetool asks; "" where a list was given. */
static int find_whom(const struct clusterfiles *f, char **ret, struct err *e)
{
	struct asknode ask;
	int r = f->host_list ? 0 : asknode_init(&ask, f->cli, e);

	if (r < 0)
		return r;
	*ret = f->host_list ? strdup("") : asknode_whom(&ask);
	if (!f->host_list)
		asknode_deinit(&ask);
	return *ret ? 0 : err_nomem(e);
}

int clusterfiles_begin(struct clusterfiles *f, const struct clusterplan *p,
		       const char *repository_id, struct err *e)
{
	_cleanup_free_ char *whom = NULL;
	struct filesplan_wish wish = { .url = f->url,
				       .repository_id = repository_id,
				       .asked = !f->host_list,
				       .no_stage = f->no_stage,
				       .keep_auth = p->options->keep_auth };
	int r;

	if (f->loads)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s: nodes take all files of a node as they are; --only, --rename, --map-dc, --leave-out-dc, --schema-of, --all-replicas, --throttle and --restart are for rows that are loaded (--load)",
			p->mapping.reason);
	f->made_of = p;
	r = find_whom(f, &whom, e);
	wish.whom = whom;
	if (r == 0)
		r = filesplan_make(p, &wish, &f->plan, e);
	return r == 0 ? leave_out(f, e) : r;
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

/* Nothing is left to abort or to finish: of a host that is left out it is done by hand. */
static bool is_at_its_end(const struct filesrun *run)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (run->lead.hosts[i].state != LEAD_DONE && !run->plan->nodes[i].without)
			return false;
	return run->what != FILESRUN_RESTORE;
}

static int64_t took_ms(const struct clusterfiles *f, int64_t begun_ms)
{
	return clock_elapsed_ms(f->cli->clock) - begun_ms;
}

static int report(const struct clusterfiles *f, struct filesrun *run, int64_t begun_ms,
		  struct err *e)
{
	int r = 0;

	/* What each host is like is shown, and that --yes would begin nothing. */
	if (f->plan_only) {
		(void)check_ending(f, &run->lead.refusal);
		return filesshow(f->cli, run, f->made_of, e);
	}
	if (is_at_its_end(run))
		r = filesplan_end(f->plan, e);
	return r < 0 ? r : filesreport(f->cli, run, took_ms(f, begun_ms), e);
}

static int run_all(struct clusterfiles *f, const struct sshconf *ssh, struct err *e)
{
	_cleanup_free_ size_t *group = calloc(f->plan->count, sizeof(*group));
	int64_t begun_ms = clock_elapsed_ms(f->cli->clock);
	struct filesrun run = { .lead = { .ssh = ssh,
					  .clock = f->cli->clock,
					  .cancel = &f->cli->cancel,
					  .hurry = &f->cli->hurry,
					  .hosts = make_hosts(f, ssh),
					  .count = f->plan->count },
				.what = f->plan_only ? FILESRUN_PLAN : f->what,
				.plan = f->plan,
				.parallel = f->parallel,
				.has_query = f->query.query,
				.wait_ms = (int64_t)f->wait_s * 1000,
				.group = group };
	int r = group && run.lead.hosts ? lock(f, e) : err_nomem(e);

	if (r == 0) {
		r = lead(f, &run, e);
		r = r == 0 ? report(f, &run, begun_ms, e)
			   : filesreport_refused(f->cli, &run, took_ms(f, begun_ms), e);
	}
	if (run.lead.hosts)
		lead_free_hosts(run.lead.hosts, run.lead.count);
	return r;
}

int clusterfiles_run(struct clusterfiles *f, struct err *e)
{
	struct sshconf ssh = { .command = NULL };
	int r = f->plan_only ? 0 : check_ending(f, e);

	if (r == 0 && f->plan->saved && f->what == FILESRUN_RESTORE)
		r = check_options(f, e);
	if (r == 0 && f->plan->saved)
		r = check_meant(f, e);
	if (r == 0 && f->plan->saved)
		r = leave_out(f, e);
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
