/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodefollow.h"

#include <string.h>
#include <time.h>
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

/* Of which backup it is: names come again, and its writer does not. */
static json_t *with_backup(json_t *o, const struct nodejournal *journal, const char *writer)
{
	json_object_set_new(o, "backup_cluster", json_text(journal ? journal->cluster : ""));
	json_object_set_new(o, "writer", json_text(writer));
	return o;
}

int nodefollow_ready(const struct cli *cli, const struct asknode *ask, const struct facts *facts,
		     const struct nodejournal *journal, const char *writer, const char *repository,
		     struct err *e)
{
	const struct follow_ready ready = { .cluster = cluster_of(ask, facts),
					    .node = journal ? journal->node : "",
					    .host_id = facts ? facts->host_id : "",
					    .dc = facts ? facts->dc : "",
					    .rack = facts ? facts->rack : "",
					    .repository = repository };

	return follow_ready(
		&ready,
		with_backup(json_pack("{s:s, s:s, s:b, s:o, s:o, s:I}", "backup",
				      journal ? journal->backup : "", "step",
				      journal ? nodejournal_step_name(journal->step) : "", "done",
				      journal && journal->done, "seeds",
				      nodeseeds_named(ask->conf, &cli->cancel), "addresses",
				      nodeseeds_own(ask->conf, facts ? facts->address : "",
						    &cli->cancel),
				      "tokens", (json_int_t)(facts ? facts->token_count : 0)),
			    journal, writer),
		e);
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
