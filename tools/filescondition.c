/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filescondition.h"

#include <string.h>
#include "cassandra/nodejournal.h"

/* How far a node is: twice the steps that it took, and one more in the middle of the next. */
#define BETWEEN(steps) (2 * (steps) + 1)
#define AFTER(steps) (2 * (steps))
#define PLACES 8

static const char *const restores[PLACES] = {
	"nothing is changed there by this run",
	"runs as before, and has a part of the backup",
	"runs as before, and has fetched the backup",
	"is between its own data and the backup's, and does not start by itself",
	"is stopped, with the backup's data in place",
	"has the backup's data in place, and may run",
	"runs with the backup's data",
	"runs with the backup's data",
};
/* Without staging: until it stops it has nothing of the backup, and then nothing of its own. */
static const char *const removed[] = {
	[BETWEEN(0)] = "runs as before, and has nothing of the backup",
	[AFTER(1)] = "runs as before, and has nothing of the backup",
	[BETWEEN(1)] =
		"is between its own data, which may be removed, and the backup's, and does not start by itself",
};
static const char *const aborts[PLACES] = {
	"nothing is changed there by this run",
	"is between the backup's data and its own, and does not start by itself",
	"is stopped, with its own data in place",
	"has its own data in place, and may run",
};
static const char *const finishes[PLACES] = {
	"nothing is changed there by this run",
	"runs with the backup's data; a part of the data of before is left",
};

static bool is_at(const struct lead_host *h, enum nodejournal_step step)
{
	return strcmp(lead_text(h->ready, "step"), nodejournal_step_name(step)) == 0;
}

/* How far its restore was when this run found it. */
static size_t found_at(const struct filesrun *run, const struct lead_host *h)
{
	bool done = json_is_true(json_object_get(h->ready, "done"));
	enum nodejournal_step last = run->plan->remote	   ? NODEJOURNAL_YAML
				     : run->plan->no_stage ? NODEJOURNAL_COPY
							   : NODEJOURNAL_IN;

	if (!*lead_text(h->ready, "step"))
		return AFTER(0);
	if (is_at(h, NODEJOURNAL_FETCH))
		return done ? AFTER(1) : BETWEEN(0);
	if (filescondition_has_stopped(h))
		return AFTER(2);
	if (is_at(h, NODEJOURNAL_CHECK))
		return done ? AFTER(3) : BETWEEN(2);
	if (is_at(h, NODEJOURNAL_START))
		return BETWEEN(2);
	return done && is_at(h, last) ? AFTER(2) : BETWEEN(1);
}

bool filescondition_has_stopped(const struct lead_host *h)
{
	return json_is_true(json_object_get(h->ready, "has_stopped"));
}

bool filescondition_is_unchanged(const struct lead_host *h)
{
	return h->ready && h->step == 0 && !h->in_step;
}

static const char *words(const struct filesrun *run, const struct lead_host *h)
{
	size_t at = h->in_step ? BETWEEN(h->step) : AFTER(h->step);

	if (!h->ready)
		return "what is there is not known to this run";
	if (at == AFTER(0))
		return restores[at];
	if (run->what == FILESRUN_FINISH)
		return finishes[at];
	if (run->what == FILESRUN_ABORT)
		return is_at(h, NODEJOURNAL_FETCH) ? "runs as before" : aborts[at];
	at = MAX_OF(at, found_at(run, h));
	return run->plan->no_stage && at < ARRAY_SIZE(removed) ? removed[at] : restores[at];
}

/* The others are another cluster by now, or will be: what it does by itself, when it is there again, is wrong. */
static char *by_hand(const struct filesrun *run, const struct filesplan_node *n)
{
	_cleanup_free_ char *command = filesplan_command(run->plan, n);

	if (!command)
		return NULL;
	switch (run->what) {
	case FILESRUN_ABORT:
		return strdup(
			"its Cassandra must not start before sstablefs restore-node --abort has ended there");
	case FILESRUN_FINISH:
		return util_printf(
			"sstablefs restore-node --finish is to be run there; where its restore is not done, before that %s",
			command);
	default:
		return util_printf("its Cassandra must not start before %s has ended there",
				   command);
	}
}

char *filescondition(const struct filesrun *run, const struct lead_host *h)
{
	const struct filesplan_node *n = &run->plan->nodes[h - run->lead.hosts];

	return n->without ? by_hand(run, n) : strdup(words(run, h));
}
