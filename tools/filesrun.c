/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filesrun.h"

#include <string.h>
#include "cassandra/nodejournal.h"
#include "tools/filescondition.h"
#include "tools/filesseeds.h"
#include "tools/follow.h"

#define GRACE_MS 300000	    /* more than what a node itself takes at most to stop and to answer */
#define PLAN_GRACE_MS 10000 /* who plans is in the middle of nothing */

static const struct lead_step restore_steps[] = {
	{ FOLLOW_WORD_FETCH, FOLLOW_FETCHED, "fetching", "fetched" },
	{ FOLLOW_WORD_STOP, FOLLOW_EXCHANGED, "stopping", "exchanged" },
	{ FOLLOW_WORD_START, FOLLOW_STARTED, "starting", "started" },
	{ FOLLOW_WORD_CHECK, NULL, "checking", "restored" },
};
static const struct lead_step abort_steps[] = {
	{ FOLLOW_WORD_STOP, FOLLOW_EXCHANGED, "stopping", "exchanged" },
	{ FOLLOW_WORD_START, NULL, "starting", "aborted" },
};
static const struct lead_step finish_steps[] = {
	{ FOLLOW_WORD_FINISH, NULL, "finishing", "finished" },
};

static const struct {
	const struct lead_step *steps;
	size_t count;
} kinds[] = {
	[FILESRUN_RESTORE] = { restore_steps, ARRAY_SIZE(restore_steps) },
	[FILESRUN_ABORT] = { abort_steps, ARRAY_SIZE(abort_steps) },
	[FILESRUN_FINISH] = { finish_steps, ARRAY_SIZE(finish_steps) },
	[FILESRUN_PLAN] = { .count = 0 },
};

static bool is_step(const struct filesrun *run, const char *word)
{
	return run->step < kinds[run->what].count &&
	       strcmp(kinds[run->what].steps[run->step].word, word) == 0;
}

static const char *done(const struct lead_host *h)
{
	static const char *const names[] = { "restored", "aborted", "finished",
					     "nothing",	 "planned", "begun" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(lead_text(h->result, "state"), names[i]) == 0)
			return names[i];
	return NULL;
}

/* Or is to be seen whether it could. */
static bool restores(const struct filesrun *run)
{
	return run->what == FILESRUN_RESTORE || run->what == FILESRUN_PLAN;
}

/* ---- is it the host that it should be? ---- */

static const struct filesplan_node *node_of(const struct filesrun *run, const struct lead_host *h)
{
	return &run->plan->nodes[h - run->lead.hosts];
}

/* "": not known, and then nothing is said against it. */
static bool differ(const char *a, const char *b)
{
	return *a && *b && strcmp(a, b) != 0;
}

/* What was begun there must have been begun by this run, or as it would: by its names, and as these come again, by the writer of the backup. */
static void check_begun(struct lead *l, struct lead_host *h, const json_t *event)
{
	const struct filesrun *run = l->ctx;
	const struct filesplan *p = run->plan;
	const struct filesplan_node *n = node_of(run, h);
	const char *backup = lead_text(event, "backup");
	const char *cluster = lead_text(event, "backup_cluster");
	const char *options = lead_text(event, "options");
	_cleanup_free_ char *planned = filesplan_options(p);
	bool another = differ(lead_text(event, "writer"), n->writer);

	if (*backup && strcmp(backup, p->backup) != 0)
		lead_fail(l, h, EXIT_FAILED,
			  util_printf("backup %s is being restored there (restore-node)", backup));
	else if (*backup && (differ(cluster, p->cluster) || strcmp(h->node, n->source) != 0))
		lead_fail(
			l, h, EXIT_FAILED,
			util_printf(
				"backup %s of %s/%s is being restored there (restore-node), not that of %s/%s",
				backup, cluster, h->node, p->cluster, n->source));
	else if (*backup && planned && differ(options, planned))
		lead_fail(
			l, h, EXIT_FAILED,
			util_printf(
				"backup %s is being restored there with %s, not with %s: end that there first (restore-node --abort or --finish)",
				backup, options, planned));
	else if (*backup && another)
		lead_fail(
			l, h, EXIT_FAILED,
			util_printf(
				"another backup of the name %s is being restored there (restore-node) than the one that was planned",
				backup));
	else if (another)
		lead_fail(
			l, h, EXIT_FAILED,
			util_printf(
				"backup %s of %s was made again since this restore was begun: sstablefs restore-cluster %s --cluster %s --abort, then begin anew",
				p->backup, n->source, p->backup, p->cluster));
}

/* Where something is begun nobody was asked for a host id: the journal says which host it is. */
static void check_identity(struct lead *l, struct lead_host *h)
{
	const struct filesrun *run = l->ctx;
	const struct filesplan *p = run->plan;
	const struct filesplan_node *n = node_of(run, h);
	const struct filesplan_node *own = p->remote ? filesplan_of_source(p, h->host_id) : NULL;
	bool became = !p->remote && strcmp(h->host_id, n->host_id) == 0;
	_cleanup_free_ char *begun = util_printf(
		"; where it is right, sstablefs restore-cluster %s --cluster %s --abort or --finish ends what was begun, then begin anew",
		p->backup, p->cluster);

	if (own)
		lead_fail(
			l, h, EXIT_USAGE,
			util_printf(
				"it is node %s of the backup itself, host id %s, and no node of another cluster (--host-list with --in-place is for the nodes that were backed up)",
				own->source, h->host_id));
	else if (differ(h->host_id, n->target_id) && !became)
		lead_fail(
			l, h, EXIT_FAILED,
			util_printf(
				"the node there has host id %s, and the one that was to be restored there %s: look where the name of the host leads%s",
				h->host_id, n->target_id, p->saved && begun ? begun : ""));
}

static void take_ready(struct lead *l, struct lead_host *h, json_t *event)
{
	const struct filesrun *run = l->ctx;

	/* Left alone it would live on as a node of another cluster. */
	if (node_of(run, h)->without)
		lead_refuse(
			l, ERR_USAGE,
			"%s answers, and can go on with the others: --without is for a host that is gone",
			h->host);
	else if (differ(h->repository, run->plan->repository_id))
		lead_fail(l, h, EXIT_USAGE, strdup("it is configured for another repository"));
	else
		check_begun(l, h, event);
	if (!lead_is_over(h) && restores(run))
		check_identity(l, h);
}

/* ---- do they fit together? ---- */

static void check_apart(struct lead *l)
{
	for (size_t i = 0; i < l->count && !l->stopping; i++)
		for (size_t k = 0; k < i && !l->stopping; k++)
			if (*l->hosts[i].host_id &&
			    strcmp(l->hosts[i].host_id, l->hosts[k].host_id) == 0)
				lead_refuse(l, ERR_USAGE, "%s and %s are one node: host id %s",
					    l->hosts[k].host, l->hosts[i].host,
					    l->hosts[i].host_id);
}

/* One that a slip of the pen brought in has the same data centre and number of tokens, as often as not. */
static void check_cluster(struct lead *l)
{
	const struct lead_host *first = NULL;

	for (size_t i = 0; i < l->count && !l->stopping; i++) {
		const struct lead_host *h = &l->hosts[i];

		if (first && differ(first->cluster, h->cluster))
			lead_refuse(
				l, ERR_USAGE,
				"%s and %s belong to two clusters, by their cassandra.yaml: '%s' and '%s'; nothing was begun",
				first->host, h->host, first->cluster, h->cluster);
		if (!first && *h->cluster)
			first = h;
	}
}

static bool has_member(const struct lead_host *h, const char *host_id)
{
	const json_t *member, *list = json_object_get(h->ready, "members");
	size_t i;

	json_array_foreach(list, i, member)
		if (strcmp(json_string_value(member) ? json_string_value(member) : "", host_id) ==
		    0)
			return true;
	return false;
}

/* Two clusters of one name do not know each other's nodes. Nodes in place of those that were backed up may have come up each by itself. */
static void check_known(struct filesrun *run)
{
	struct lead *l = &run->lead;
	const struct lead_host *first = NULL;

	for (size_t i = 0; run->plan->remote && i < l->count && !l->stopping; i++) {
		const struct lead_host *h = &l->hosts[i];

		if (first && *h->host_id && !has_member(first, h->host_id))
			lead_refuse(
				l, ERR_USAGE,
				"%s does not know %s, host id %s: they belong to two clusters of one name, or have not joined yet; nothing was begun",
				first->host, h->host, h->host_id);
		if (!first && json_array_size(json_object_get(h->ready, "members")) > 0)
			first = h;
	}
}

static size_t tokens_of(const struct lead_host *h)
{
	uint64_t tokens = 0;

	(void)json_get_u64(h->ready, "tokens", &tokens, NULL);
	return tokens;
}

/* Data centres, racks and tokens, where they run: a host list does not say them. */
static void check_mapping(struct filesrun *run)
{
	struct lead *l = &run->lead;
	_cleanup_free_ struct mapping_node *sources = calloc(l->count, sizeof(*sources));
	_cleanup_free_ struct mapping_node *targets = calloc(l->count, sizeof(*targets));
	struct mapping m = { .source_of = NULL };
	struct err e = ERR_INIT;

	if (!sources || !targets) {
		lead_refuse(l, ERR_IO, "out of memory");
		return;
	}
	for (size_t i = 0; i < l->count; i++) {
		const struct filesplan_node *n = &run->plan->nodes[i];
		const struct lead_host *h = &l->hosts[i];

		sources[i] = (struct mapping_node){ .name = n->source,
						    .host_id = n->host_id,
						    .dc = n->dc,
						    .rack = n->rack,
						    .token_count = n->tokens };
		targets[i] = (struct mapping_node){ .name = h->host,
						    .host_id = h->host_id,
						    .dc = h->dc,
						    .rack = h->rack,
						    .token_count = tokens_of(h),
						    .source = n->source };
	}
	if (mapping_decide(sources, l->count, targets, l->count, &m, &e) < 0)
		lead_refuse(l, e.kind, "%s", e.message);
	mapping_deinit(&m);
}

/* ---- in which order do they start? ---- */

static bool has_started(const struct filesrun *run, const struct lead_host *h)
{
	return h->state == LEAD_DONE || (h->state == LEAD_RESTING && h->step > run->step);
}

static bool is_to_take(const struct filesrun *run, const struct lead_host *h)
{
	return (h->state == LEAD_RESTING || h->state == LEAD_WORKING) && h->step == run->step;
}

/* A node without any seed would wait for one, and give up. Where none is known nobody needs one (find_order). */
static void start_some(struct filesrun *run)
{
	struct lead *l = &run->lead;
	size_t group = SIZE_MAX, started = 0;

	for (size_t i = 0; i < l->count; i++) {
		started += has_started(run, &l->hosts[i]);
		if (is_to_take(run, &l->hosts[i]))
			group = MIN_OF(group, run->group[i]);
	}
	if (group != SIZE_MAX && run->seeds > 0 && group >= run->seeds && started == 0) {
		lead_stop(l);
		return;
	}
	for (size_t i = 0; i < l->count; i++)
		if (run->group[i] == group && l->hosts[i].state == LEAD_RESTING &&
		    is_to_take(run, &l->hosts[i]))
			lead_let(l, &l->hosts[i]);
}

/* ---- the steps ---- */

/* Of those that are waited for. */
static bool has_failed(const struct filesrun *run)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (run->lead.hosts[i].state == LEAD_FAILED && !run->plan->nodes[i].without)
			return true;
	return false;
}

/* So many at once: where nothing is staged, the stop is what fetches. And nobody more is stopped than must be. */
static void let_some(struct filesrun *run)
{
	struct lead *l = &run->lead;
	const char *limited = run->plan->no_stage ? FOLLOW_WORD_STOP : FOLLOW_WORD_FETCH;
	size_t busy = lead_count(l, LEAD_WORKING, run->step);
	size_t room = run->parallel > 0 && is_step(run, limited) ? run->parallel : l->count;

	if (is_step(run, FOLLOW_WORD_STOP) && has_failed(run)) {
		if (busy == 0)
			lead_stop(l);
		return;
	}
	for (size_t i = 0; i < l->count && busy < room; i++) {
		if (l->hosts[i].state != LEAD_RESTING || l->hosts[i].step != run->step)
			continue;
		lead_let(l, &l->hosts[i]);
		busy++;
	}
}

static bool is_over(const struct filesrun *run)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (is_to_take(run, &run->lead.hosts[i]))
			return false;
	return true;
}

/* Whether the others go on to the next step, though one failed: what runs may run, but rows that it has may be asked for. */
static bool goes_on(const struct filesrun *run)
{
	return !has_failed(run) || (is_step(run, FOLLOW_WORD_START) && !run->has_query);
}

const char *filesrun_word(enum filesrun_what what)
{
	static const char *const words[] = { "", "abort", "finish", "" };

	return words[what];
}

/* How far its restore was when this run found it. */
static bool is_at(const struct lead_host *h, enum nodejournal_step step)
{
	return strcmp(lead_text(h->ready, "step"), nodejournal_step_name(step)) == 0;
}

static bool is_not_begun(const struct lead_host *h)
{
	return !*lead_text(h->ready, "step");
}

static bool is_beyond_fetch(const struct lead_host *h)
{
	return !is_not_begun(h) && !is_at(h, NODEJOURNAL_FETCH);
}

/* A step is noted before it is taken: at the stop Cassandra may run still. */
static bool was_stopped(const struct lead_host *h)
{
	return is_beyond_fetch(h) &&
	       (!is_at(h, NODEJOURNAL_STOP) || json_is_true(json_object_get(h->ready, "done")));
}

/* Somebody, of those that are not left out; NULL: nobody. */
static const struct lead_host *find_host(const struct filesrun *run,
					 bool (*is)(const struct lead_host *h))
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (!run->plan->nodes[i].without && is(&run->lead.hosts[i]))
			return &run->lead.hosts[i];
	return NULL;
}

/* Nobody stops before all have a journal, so one without is at its end there by somebody's hand: the others alone would be another cluster than it. */
static void check_all_begun(struct filesrun *run)
{
	const struct lead_host *none = find_host(run, is_not_begun),
			       *further = find_host(run, is_beyond_fetch);

	if (none && further && !*run->plan->ending)
		lead_refuse(
			&run->lead, ERR_CONFLICT,
			"there is no restore on %s any more, as after a restore-node --finish or --abort there, and %s is at step %s: end it on each of the others in the same way (restore-node --finish, --abort)",
			none->host, further->host, lead_text(further->ready, "step"));
}

/* A cluster that runs is not stopped to become one that misses a node. */
static void check_without(struct filesrun *run)
{
	const struct filesplan *p = run->plan;

	for (size_t i = 0; i < p->count && !run->lead.stopping; i++)
		if (p->nodes[i].without && !find_host(run, was_stopped))
			lead_refuse(
				&run->lead, ERR_CONFLICT,
				"no node was stopped yet, and a restore into all but %s is none: --abort --without %s, then restore into hosts that are there",
				p->nodes[i].host, p->nodes[i].host);
}

/* A later run has to know whom this one meant, and who was a seed while all of them could say it. */
static int note_hosts(struct filesrun *run, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->lead.count; i++) {
		if (run->plan->nodes[i].without)
			continue;
		r = filesplan_set_seed(run->plan, i, run->group[i] < run->seeds, e);
		if (r == 0 && run->what == FILESRUN_RESTORE)
			r = filesplan_note_target(run->plan, i, run->lead.hosts[i].host_id, e);
	}
	return r;
}

/* What must be known when this run ends anywhere. */
static int keep_in_mind(struct filesrun *run, struct err *e)
{
	int r = run->what == FILESRUN_FINISH ? 0 : note_hosts(run, e);

	if (r == 0 && run->what != FILESRUN_RESTORE)
		r = filesplan_mark(run->plan, filesrun_word(run->what), e);
	return r < 0 ? r : filesplan_save(run->plan, e);
}

/* It has not been before, or not for long. */
static bool is_to_be_started(const struct lead_host *h)
{
	bool done = json_is_true(json_object_get(h->ready, "done"));
	bool was = is_at(h, NODEJOURNAL_CHECK) || (is_at(h, NODEJOURNAL_START) && done);

	return !was || filescondition_has_stopped(h);
}

/* Of those that are there. Who finishes starts nobody, and who fetched only runs. */
static bool starts_somebody(const struct filesrun *run)
{
	return find_host(run, run->what == FILESRUN_ABORT ? is_beyond_fetch : is_to_be_started);
}

static int find_order(struct filesrun *run, struct err *e)
{
	const struct lead *l = &run->lead;
	int r;

	if (run->what == FILESRUN_FINISH)
		return 0;
	r = filesseeds_group(run->plan, l->hosts, run->group, &run->seeds, e);
	return r == 0 && run->seeds == 0 && starts_somebody(run)
		       ? filesseeds_refuse(run->plan, l->hosts, e)
		       : r;
}

/* Whether hosts that are all ready may begin together. */
static void check_together(struct filesrun *run)
{
	struct lead *l = &run->lead;
	struct err e = ERR_INIT;

	check_apart(l);
	if (!l->stopping)
		check_all_begun(run);
	/* Who has to go back, or is done, goes alone as well. */
	if (!l->stopping && restores(run))
		check_without(run);
	if (!l->stopping && restores(run))
		check_cluster(l);
	if (!l->stopping && restores(run))
		check_known(run);
	if (!l->stopping && restores(run))
		check_mapping(run);
	if (!l->stopping && find_order(run, &e) < 0)
		lead_refuse(l, e.kind, "%s", e.message);
}

/* Also one that refuses has data, and a Cassandra that may run. */
static void check_gone(struct filesrun *run)
{
	struct lead *l = &run->lead;

	for (size_t i = 0; i < l->count && !l->stopping; i++)
		if (run->plan->nodes[i].without && l->hosts[i].answered)
			lead_refuse(
				l, ERR_USAGE,
				"%s answers, and --without is for a host that is gone (where it is to stay out, switch it off): %s",
				l->hosts[i].host,
				l->hosts[i].message ? l->hosts[i].message
						    : lead_state_name(l, &l->hosts[i]));
}

/* Everybody is there, or nothing is begun. */
static void begin(struct filesrun *run)
{
	struct lead *l = &run->lead;
	struct err e = ERR_INIT;

	check_gone(run);
	if (!l->stopping && has_failed(run))
		lead_stop(l);
	if (!l->stopping)
		check_together(run);
	for (size_t i = 0; i < l->count; i++)
		run->has_query = run->has_query ||
				 json_is_true(json_object_get(l->hosts[i].ready, "query"));
	if (!l->stopping && keep_in_mind(run, &e) < 0)
		lead_refuse(l, e.kind, "%s", e.message);
	run->begun = !l->stopping;
}

/* Each host says what it would do, whatever the others are like. */
static void advance_plan(struct lead *l)
{
	(void)l;
}

/* What is not known of a host that failed is not held against the others; but the order is told, as far as it is known. */
static int look_at_plan(struct filesrun *run, struct err *e)
{
	struct lead *l = &run->lead;

	if (cancel_is_set(l->cancel))
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	if (!has_failed(run))
		check_together(run);
	return filesseeds_group(run->plan, l->hosts, run->group, &run->seeds, e);
}

static void advance(struct lead *l)
{
	struct filesrun *run = l->ctx;

	if (lead_count(l, LEAD_WAITING, 0) + lead_count(l, LEAD_CONNECTING, 0) > 0)
		return;
	if (!run->begun)
		begin(run);
	while (!l->stopping && run->step < kinds[run->what].count && is_over(run)) {
		if (!goes_on(run))
			lead_stop(l);
		run->step++;
	}
	if (l->stopping)
		return;
	if (is_step(run, FOLLOW_WORD_START))
		start_some(run);
	else
		let_some(run);
}

int filesrun_run(struct filesrun *run, struct err *e)
{
	bool plans = run->what == FILESRUN_PLAN;
	int r;

	run->task = (struct lead_task){
		.command = "restore-node",
		.steps = kinds[run->what].steps,
		.step_count = kinds[run->what].count,
		.grace_ms = plans ? PLAN_GRACE_MS : 2 * run->wait_ms + GRACE_MS,
		.grace_over =
			"it did not end after it was told to stop: look there with restore-node --plan",
		.undone = "what was run there ended without having done it",
		.ready = take_ready,
		.advance = plans ? advance_plan : advance,
		.done = done,
	};
	run->lead.task = &run->task;
	run->lead.ctx = run;
	r = lead_run(&run->lead, e);
	return r == 0 && plans ? look_at_plan(run, e) : r;
}
