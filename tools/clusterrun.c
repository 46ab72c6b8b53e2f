/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterrun.h"

#include <string.h>
#include "tools/follow.h"

#define GRACE_MS 300000 /* for a node to clear its snapshot after it was told to stop */

enum { STEP_PREPARE, STEP_SNAPSHOT, STEP_UPLOAD };

static const struct lead_step steps[] = {
	[STEP_PREPARE] = { FOLLOW_WORD_PREPARE, FOLLOW_PREPARED, "preparing", "prepared" },
	[STEP_SNAPSHOT] = { FOLLOW_WORD_SNAPSHOT, FOLLOW_TAKEN, "snapshot", "taken" },
	[STEP_UPLOAD] = { FOLLOW_WORD_UPLOAD, NULL, "uploading", "stored" },
};

bool clusterrun_had_it(const struct lead_host *h)
{
	return json_is_true(json_object_get(h->ready, "exists"));
}

bool clusterrun_has_it(const struct lead_host *h)
{
	return h->state == LEAD_DONE;
}

static void take_ready(struct lead *l, struct lead_host *h, json_t *event)
{
	struct clusterrun *run = l->ctx;

	(void)h;
	if (!run->members)
		run->members = json_object_get(event, "members");
	else
		json_object_del(event, "members"); /* of a large cluster each is a large list */
}

static void note_snapshot(struct lead *l, struct lead_host *h)
{
	struct clusterrun *run = l->ctx;

	if (h->step == STEP_UPLOAD)
		run->snapshot_ms = MAX_OF(run->snapshot_ms, lead_now_ms(l) - run->begun_ms);
}

static const char *done(const struct lead_host *h)
{
	const char *state = lead_text(h->result, "state");

	return strcmp(state, "committed") == 0 ? steps[STEP_UPLOAD].rested
	       : strcmp(state, "exists") == 0  ? "exists"
					       : NULL;
}

/* ---- the barriers ---- */

static void refuse(struct lead *l, const struct lead_host *a, const struct lead_host *b,
		   const char *what, const char *of_a, const char *of_b)
{
	lead_refuse(l, ERR_USAGE, "%s and %s %s: %s and %s; nothing was begun", a->host, b->host,
		    what, of_a, of_b);
}

static bool is_ready(const struct lead_host *h)
{
	return h->ready && h->state != LEAD_FAILED;
}

/* Of two that are one node the second fails. */
static void check_apart(struct lead *l, size_t which)
{
	struct lead_host *h = &l->hosts[which];

	for (size_t i = 0; i < which && h->state != LEAD_FAILED; i++) {
		const struct lead_host *o = &l->hosts[i];

		if (!is_ready(o) ||
		    (strcmp(o->host_id, h->host_id) != 0 && strcmp(o->node, h->node) != 0))
			continue;
		lead_fail(
			l, h, EXIT_USAGE,
			strcmp(o->host_id, h->host_id) == 0
				? util_printf(
					  "it is the node that %s is, host id %s: one of them must go from the list of hosts",
					  o->host, h->host_id)
				: util_printf(
					  "it is called %s, and so is %s: a name is wanted for each (node = … of its configuration)",
					  h->node, o->host));
	}
}

/* Nodes that are ready belong together, and each is there once. Otherwise nothing is begun. */
static void check_together(struct lead *l)
{
	const struct lead_host *first = NULL;

	for (size_t i = 0; i < l->count && !l->stopping; i++) {
		const struct lead_host *h = &l->hosts[i];

		if (!is_ready(h))
			continue;
		first = first ? first : h;
		if (strcmp(first->repository, h->repository) != 0)
			refuse(l, first, h, "are configured for two repositories",
			       first->repository, h->repository);
		else if (strcmp(first->cluster, h->cluster) != 0)
			refuse(l, first, h, "belong to two clusters", first->cluster, h->cluster);
		else
			check_apart(l, i);
	}
}

/* Lets all take the step. One that has the backup says so, and ends by itself. */
static void begin(struct clusterrun *run, enum clusterrun_phase phase, size_t step)
{
	struct lead *l = &run->lead;

	run->phase = phase;
	run->begun_ms = lead_now_ms(l);
	for (size_t i = 0; i < l->count; i++)
		if (l->hosts[i].state == LEAD_RESTING && l->hosts[i].step == step &&
		    !clusterrun_had_it(&l->hosts[i]))
			lead_let(l, &l->hosts[i]);
}

static bool together(const struct clusterrun *run, const struct lead_host *a,
		     const struct lead_host *b)
{
	return run->per == PER_FLEET ||
	       (strcmp(a->dc, b->dc) == 0 && (run->per == PER_DC || strcmp(a->rack, b->rack) == 0));
}

/* Whether one more of its group may upload. */
static bool may_upload(const struct clusterrun *run, const struct lead_host *h)
{
	const struct lead *l = &run->lead;
	size_t busy = 0;

	if (run->parallel == 0)
		return true;
	for (size_t i = 0; i < l->count; i++)
		busy += l->hosts[i].state == LEAD_WORKING && l->hosts[i].step == STEP_UPLOAD &&
			together(run, &l->hosts[i], h);
	return busy < run->parallel;
}

static void advance(struct lead *l)
{
	struct clusterrun *run = l->ctx;

	if (run->phase == CLUSTERRUN_CONNECT &&
	    lead_count(l, LEAD_WAITING, 0) + lead_count(l, LEAD_CONNECTING, 0) == 0) {
		check_together(l);
		if (l->stopping)
			return;
		begin(run, CLUSTERRUN_PREPARE, STEP_PREPARE);
	}
	if (run->phase == CLUSTERRUN_PREPARE && lead_count(l, LEAD_WORKING, STEP_PREPARE) == 0)
		begin(run, CLUSTERRUN_SNAPSHOT, STEP_SNAPSHOT);
	if (run->phase == CLUSTERRUN_SNAPSHOT && lead_count(l, LEAD_WORKING, STEP_SNAPSHOT) == 0)
		run->phase = CLUSTERRUN_UPLOAD;
	for (size_t i = 0; run->phase == CLUSTERRUN_UPLOAD && i < l->count; i++) {
		struct lead_host *h = &l->hosts[i];

		if (h->state == LEAD_RESTING && h->step == STEP_UPLOAD && may_upload(run, h))
			lead_let(l, h);
	}
}

int clusterrun_run(struct clusterrun *run, struct err *e)
{
	static const struct lead_task task = {
		.command = "backup",
		.steps = steps,
		.step_count = ARRAY_SIZE(steps),
		.grace_ms = GRACE_MS,
		.grace_over =
			"it did not end after it was told to stop: its snapshot may be left, which its next backup clears",
		.undone = "what was run there ended without having made a backup",
		.ready = take_ready,
		.rested = note_snapshot,
		.advance = advance,
		.done = done,
	};

	run->lead.task = &task;
	run->lead.ctx = run;
	run->snapshot_ms = -1;
	run->members = NULL;
	run->phase = CLUSTERRUN_CONNECT;
	return lead_run(&run->lead, e);
}
