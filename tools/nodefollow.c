/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodefollow.h"

#include <string.h>
#include <time.h>
#include "tools/nodecommand.h"
#include "tools/nodeseeds.h"

#define PAUSE_MS 500

/* From the stop on each step is ended: a node in the middle of its exchange helps nobody. */
static const struct follow_step restore_steps[] = {
	{ FOLLOW_WORD_FETCH, FOLLOW_FETCHED, false },
	{ FOLLOW_WORD_STOP, FOLLOW_EXCHANGED, true },
	{ FOLLOW_WORD_START, FOLLOW_STARTED, true },
	{ FOLLOW_WORD_CHECK, NULL, false },
};
static const struct follow_step abort_steps[] = {
	{ FOLLOW_WORD_STOP, FOLLOW_EXCHANGED, true },
	{ FOLLOW_WORD_START, NULL, true },
};
static const struct follow_step finish_steps[] = { { FOLLOW_WORD_FINISH, NULL, true } };

const struct follow_task nodefollow_restore = { "the restore", restore_steps,
						ARRAY_SIZE(restore_steps) };
const struct follow_task nodefollow_abort = { "the abort", abort_steps, ARRAY_SIZE(abort_steps) };
const struct follow_task nodefollow_plan = { "the plan", NULL, 0 };
const struct follow_task nodefollow_finish = { "it", finish_steps, ARRAY_SIZE(finish_steps) };

/* As cassandra.yaml has it: so it is known of a node that is stopped, too. */
static const char *cluster_of(const struct asknode *ask, const struct facts *facts)
{
	if (ask->conf && *ask->conf->cluster)
		return ask->conf->cluster;
	return facts ? facts->cluster : "";
}

/* Whom the running node knows: two clusters of one name are told apart by it. */
static json_t *members(const struct facts *facts)
{
	json_t *list = json_array();

	for (size_t i = 0; facts && i < facts->member_count; i++)
		if (*facts->members[i].host_id)
			json_array_append_new(list, json_text(facts->members[i].host_id));
	return list;
}

/* What was begun: names come again, and the writer of a backup does not. NULL: out of memory. */
static json_t *begun(const struct nodefollow_self *self)
{
	const struct nodejournal *j = self->journal;
	_cleanup_free_ char *options = j ? nodejournal_options(j) : strdup("");

	return options ? json_pack("{s:s, s:o, s:o, s:s, s:b, s:b, s:o}", "backup",
				   j ? j->backup : "", "backup_cluster",
				   json_text(j ? j->cluster : ""), "writer",
				   json_text(self->writer), "step",
				   j ? nodejournal_step_name(j->step) : "", "done", j && j->done,
				   "has_stopped", j && nodecommand_has_stopped(j), "options",
				   json_text(options))
		       : NULL;
}

int nodefollow_ready(const struct nodefollow_self *self, struct err *e)
{
	const struct cancel *cancel = &self->cli->cancel;
	const struct asknode *ask = self->ask;
	const struct facts *facts = self->facts;
	const struct follow_ready ready = { .cluster = cluster_of(ask, facts),
					    .node = self->journal ? self->journal->node : "",
					    .host_id = facts ? facts->host_id : "",
					    .dc = facts ? facts->dc : "",
					    .rack = facts ? facts->rack : "",
					    .repository = self->repository };
	/* A coordinator of before addresses were looked up reads `seeds`. */
	json_t *o = json_pack("{s:o, s:o, s:o, s:I, s:o, s:b}", "seeds",
			      json_text(ask->conf ? ask->conf->seeds : ""), "seed_addresses",
			      nodeseeds_named(ask->conf, cancel), "addresses",
			      nodeseeds_own(ask->conf, facts ? facts->address : "", cancel),
			      "tokens", (json_int_t)(facts ? facts->token_count : 0), "members",
			      members(facts), "query", self->has_query);
	_cleanup_json_ json_t *more = begun(self);

	if (!more || json_object_update(o, more) < 0) {
		json_decref(o);
		return err_nomem(e);
	}
	return follow_ready(&ready, o, e);
}

int nodefollow_lock(struct cli *cli, const char *data_dir, bool make, int64_t timeout_ms,
		    int *ret_fd, struct err *e)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int64_t end_ms = clock_elapsed_ms(cli->clock) + timeout_ms;

	for (;;) {
		int r = nodejournal_lock(data_dir, make, ret_fd, e);

		if (r != -EBUSY || clock_elapsed_ms(cli->clock) >= end_ms)
			return r;
		cancel_waits(&cli->cancel);
		if (cancel_is_set(&cli->cancel))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		nanosleep(&pause, NULL);
	}
}
