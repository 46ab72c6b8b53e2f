/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/noderun_state.h"

#include <string.h>
#include "cassandra/nodetokens.h"
#include "tools/heldrestore.h"
#include "tools/nodecommand.h"
#include "tools/nodefetch.h"
#include "tools/nodeimport.h"

/* ---- fetch ---- */

/* Made once: a place that lacks what was made is another one, as the directory that a file system is not mounted on after a reboot, and would be taken for one whose data are all exchanged. */
static int make_places(struct noderun *n, struct err *e)
{
	struct nodejournal *j = n->journal;
	int r = 0;

	for (size_t i = 0; i < j->place_count && r == 0; i++)
		r = j->made ? swap_check_made(&j->places[i], e) : swap_make(&j->places[i], e);
	if (r < 0 || j->made)
		return r;
	j->made = true;
	return nodejournal_write(j, e);
}

static int fetch_places(struct noderun *n, bool in_place, struct err *e)
{
	return nodefetch_run(n->cli, n->session, n->record, n->common, n->journal, in_place,
			     &n->fetched, e);
}

static int fetch(struct noderun *n, struct err *e)
{
	int r = fetch_places(n, false, e);

	return r < 0 ? r : noderun_tell(n, e, "fetched onto the data disk");
}

/* ---- stop, exchange, start ---- */

/* The guard comes first: who starts Cassandra again whenever it ends shall not meet half a node. */
static int stop(struct noderun *n, struct err *e)
{
	char users[NODECOMMAND_USERS_BYTES];
	int r = noderun_guard(n, true, e);

	nodecommand_users(n->journal, users);
	/* Since when one that is stopped already has been down nobody knows here. */
	if (*users)
		n->stopped_ms = clock_elapsed_ms(n->cli->clock);
	if (r == 0 && *users)
		r = nodecommand_run(n->cli, NODECOMMAND_STOP, (int)n->wait_ms, e);
	if (r == 0)
		r = nodecommand_await_unused(n->cli, n->journal, n->wait_ms, e);
	return r < 0 ? r : noderun_tell(n, e, "Cassandra is stopped");
}

static const char *kept(const struct nodejournal *j)
{
	return j->keep_auth ? NODEJOURNAL_KEPT : NULL;
}

static int move_all(struct noderun *n, enum swap_move move, bool data_only, struct err *e)
{
	const struct nodejournal *j = n->journal;
	int r = nodecommand_await_unused(n->cli, j, 0, e);

	for (size_t i = 0; i < j->place_count && r == 0; i++)
		if (j->places[i].data || !data_only)
			r = swap_move(&j->places[i], move, kept(j), e);
	return r;
}

static int move_out(struct noderun *n, struct err *e)
{
	return move_all(n, SWAP_OUT, false, e);
}

static int move_in(struct noderun *n, struct err *e)
{
	int r = move_all(n, SWAP_IN, true, e);

	return r < 0 ? r : noderun_tell(n, e, "the backup's data are in place of the node's");
}

/* ---- without staging ---- */

/* Nobody uses the directories: step() looks before it notes that there is no way back. */
static int empty(struct noderun *n, struct err *e)
{
	const struct nodejournal *j = n->journal;
	int r = 0;

	for (size_t i = 0; i < j->place_count && r == 0; i++)
		r = swap_empty(&j->places[i], kept(j), &n->cli->cancel, e);
	return r < 0 ? r : noderun_tell(n, e, "the node's data are removed");
}

static int copy(struct noderun *n, struct err *e)
{
	int r = nodecommand_await_unused(n->cli, n->journal, 0, e);

	if (r == 0)
		r = fetch_places(n, true, e);
	return r < 0 ? r : noderun_tell(n, e, "the backup's data are in place");
}

/* ---- cassandra.yaml ---- */

static int edit_yaml(struct noderun *n, struct err *e)
{
	struct nodetokens_edit edit;
	int r;

	nodetokens_edit(&edit, n->journal->tokens);
	r = yamledit_file(n->journal->yaml, edit.changes, ARRAY_SIZE(edit.changes), e);
	return r < 0 ? r : noderun_tell(n, e, "cassandra.yaml has the backup's tokens");
}

static int undo_yaml(const struct nodejournal *j, struct err *e)
{
	struct nodetokens_edit edit;

	nodetokens_edit(&edit, j->tokens);
	return yamledit_undo(j->yaml, edit.changes, ARRAY_SIZE(edit.changes), e);
}

/* Nothing of ours stays. */
static int end(const struct noderun *n, struct err *e)
{
	const struct nodejournal *j = n->journal;
	int r = *j->tokens ? yamledit_forget(j->yaml, e) : 0;

	return r < 0 ? r : nodejournal_end(j, &n->cli->cancel, e);
}

/* ---- into a node that runs ---- */

static int note_import(void *ctx, const char *table, struct err *e)
{
	struct noderun *n = ctx;
	char *copy = strdup(table);

	if (!copy)
		return err_nomem(e);
	free(n->journal->importing);
	n->journal->importing = copy;
	return nodejournal_write(n->journal, e);
}

static int tell_imported(void *ctx, const char *table, struct err *e)
{
	const struct noderun *n = ctx;
	_cleanup_free_ char *text = util_printf("imported %s", table);
	int r = noderun_stopped(n, e);

	if (r == 0)
		r = text ? noderun_tell(n, e, text) : err_nomem(e);
	return r;
}

static struct nodetool importer(const struct noderun *n)
{
	struct nodetool nodetool = n->ask->nodetool;

	nodetool.timeout_ms = MAX_OF(nodetool.timeout_ms, (int)n->wait_ms);
	return nodetool;
}

static int import(struct noderun *n, struct err *e)
{
	const struct nodetool nodetool = importer(n);
	_cleanup_free_ char *before = strdup(n->journal->importing);
	const struct nodeimport m = { &nodetool, before, note_import, tell_imported, n };
	struct cqlsh c;
	int r = before ? 0 : err_nomem(e);

	for (size_t i = 0; i < n->journal->place_count && r == 0; i++)
		r = nodeimport_run(&m, &n->journal->places[i], e);
	if (r < 0)
		return r;
	c = noderun_cqlsh(n);
	return checkquery_run(&n->query, &c, e);
}

/* One whose nodetool was killed goes on inside Cassandra, and what it moves must not be removed meanwhile. It ends with Cassandra. */
static int await_import(const struct noderun *n, struct err *e)
{
	const struct nodetool nodetool = importer(n);
	const struct nodejournal *j = n->journal;
	const struct nodeimport m = { .nodetool = &nodetool, .begun_before = j->importing };
	char users[NODECOMMAND_USERS_BYTES];
	int r;

	if (!*j->importing)
		return 0;
	nodecommand_users(j, users);
	if (!*users)
		return 0;
	r = nodeimport_await(&m, j->places, j->place_count, e);
	return r < 0 ? err_wrap(
			       e, r,
			       "waiting for an import that may run still (stop Cassandra where that cannot succeed, as where the table is gone)")
		     : 0;
}

/* ---- the steps ---- */

static const struct {
	const char *words;
	int (*run)(struct noderun *n, struct err *e);
} steps[] = {
	[NODEJOURNAL_FETCH] = { "fetching", fetch },
	[NODEJOURNAL_STOP] = { "stopping Cassandra", stop },
	[NODEJOURNAL_OUT] = { "setting the node's data aside", move_out },
	[NODEJOURNAL_EMPTY] = { "removing the node's data", empty },
	[NODEJOURNAL_COPY] = { "copying the backup's data in", copy },
	[NODEJOURNAL_IN] = { "moving the backup's data in", move_in },
	[NODEJOURNAL_YAML] = { "editing cassandra.yaml", edit_yaml },
	[NODEJOURNAL_START] = { "starting Cassandra", noderun_start },
	[NODEJOURNAL_CHECK] = { "checking the node", noderun_check },
	[NODEJOURNAL_IMPORT] = { "importing", import },
};

static bool can_go_back(const struct nodejournal *j)
{
	return j->moved != NODEJOURNAL_REMOVED;
}

static int explain(struct noderun *n, const char *when, int r, struct err *e)
{
	return err_wrap(e, heldrestore_explain(n->held, r, e),
			"%s (run the same command again to go on%s)", when,
			can_go_back(n->journal) ? ", or sstablefs restore-node --abort"
						: "; there is no way back");
}

static int failed(struct noderun *n, enum nodejournal_step s, int r, struct err *e)
{
	return explain(n, steps[s].words, r, e);
}

/* Its hook, before or after the phase that the step belongs to. */
static int hook_failed(struct noderun *n, const char *when, enum nodejournal_step s, int r,
		       struct err *e)
{
	const char *phase = nodehooks_phase(s);
	bool unchanged = strcmp(phase, "exchange") == 0 &&
			 n->journal->moved == NODEJOURNAL_IN_PLACE;
	_cleanup_free_ char *text = util_printf(
		"%s the %s%s", when, phase,
		unchanged ? ", of which nothing is done: the node has its own data" : "");

	return text ? explain(n, text, r, e) : err_nomem(e);
}

static int step(struct noderun *n, enum nodejournal_step s, struct err *e)
{
	struct nodejournal *j = n->journal;
	int r = noderun_stopped(n, e);

	if (r == 0 && s == NODEJOURNAL_EMPTY)
		r = nodecommand_await_unused(n->cli, j, 0, e);
	if (r < 0)
		return failed(n, s, r, e);
	j->step = s;
	j->done = false;
	if (s == NODEJOURNAL_OUT)
		j->moved = NODEJOURNAL_PARTLY;
	if (s == NODEJOURNAL_EMPTY)
		j->moved = NODEJOURNAL_REMOVED;
	r = nodejournal_write(j, e);
	if (r < 0)
		return r;
	r = steps[s].run(n, e);
	if (r < 0)
		return failed(n, s, r, e);
	j->done = true;
	if (s == NODEJOURNAL_OUT)
		j->moved = NODEJOURNAL_ASIDE;
	return nodejournal_write(j, e);
}

bool noderun_fetches(const struct nodejournal *j)
{
	enum nodejournal_step last = j->no_stage ? NODEJOURNAL_COPY : NODEJOURNAL_FETCH;

	return j->step < last || (j->step == last && !j->done);
}

/* Until all is fetched; without staging it is had before anything of the node is removed. */
static int pin(struct noderun *n, struct err *e)
{
	const struct nodejournal *j = n->journal;
	const struct restore_options ro = { .repo = n->session->repo, .record = n->record };

	return noderun_fetches(j)
		       ? heldrestore_begin(n->cli, &ro, j->no_stage && can_go_back(j), &n->held, e)
		       : 0;
}

static void unpin(struct noderun *n)
{
	heldrestore_end(n->held);
	n->held = NULL;
}

/* Where others go the same way, nobody stops before all have fetched, and nobody starts before all are exchanged: one that lives knows the address of one of another cluster by another host id. */
static int pass_before(struct noderun *n, unsigned s, struct err *e)
{
	int r = s >= NODEJOURNAL_STOP ? follow_pass(n->follow, NODEFOLLOW_FETCHED, e) : 0;

	return r == 0 && s >= NODEJOURNAL_START ? follow_pass(n->follow, NODEFOLLOW_EXCHANGED, e)
						: r;
}

static int step_with_hooks(struct noderun *n, enum nodejournal_step s, struct err *e)
{
	int r = nodehooks_before(&n->hooks, s, e), done;

	if (r < 0)
		return hook_failed(n, "before", s, r, e);
	r = step(n, s, e);
	done = nodehooks_after(&n->hooks, s, r, e);
	return r == 0 && done < 0 ? hook_failed(n, "after", s, done, e) : done;
}

/* Somebody may have started the node after the run that stopped it. */
static int stop_again(struct noderun *n, enum nodejournal_step s, struct err *e)
{
	int r = nodehooks_before(&n->hooks, s, e);

	if (r < 0)
		return hook_failed(n, "before", s, r, e);
	r = stop(n, e);
	return r < 0 ? nodehooks_after(&n->hooks, s, failed(n, NODEJOURNAL_STOP, r, e), e) : 0;
}

static int all_steps(struct noderun *n, struct err *e)
{
	unsigned s = n->journal->step + (n->journal->done ? 1 : 0);
	int r = pass_before(n, s, e);

	n->resumed = s >= NODEJOURNAL_START;
	if (r == 0 && s > NODEJOURNAL_STOP && s < NODEJOURNAL_START)
		r = stop_again(n, s, e);
	for (; s < NODEJOURNAL_STEPS && r == 0; s++) {
		r = pass_before(n, s, e);
		if (r < 0)
			r = nodehooks_after(&n->hooks, s, r, e);
		else if (nodejournal_has(n->journal, s))
			r = step_with_hooks(n, s, e);
		if (!noderun_fetches(n->journal))
			unpin(n);
	}
	return r == 0 ? follow_pass(n->follow, NODEFOLLOW_STARTED, e) : r;
}

static bool is_over(const struct nodejournal *j)
{
	return j->done && j->step >= NODEJOURNAL_CHECK;
}

/* Before anything is noted or stopped. For a start, too: a Cassandra that runs is known by its use of the directories alone. */
static int check_own(const struct nodejournal *j, struct err *e)
{
	int r = nodecommand_check_own(j, e);

	return r < 0 ? err_wrap(e, r, "nothing was done") : 0;
}

int noderun_check_again(const struct nodejournal *j, struct err *e)
{
	return is_over(j) || j->only_count > 0 ? 0 : check_own(j, e);
}

/* Nobody has to say --finish. Where others go the same way it stays until all are restored: without it the same command would begin anew, and remove what the node has by then. */
static bool ends_by_itself(const struct noderun *n)
{
	return (n->journal->no_stage && !n->follow) || n->journal->only_count > 0;
}

/* A node that was restored, and has stopped since, is started and checked once more. */
static void look_again(struct noderun *n)
{
	if (is_over(n->journal) && !ends_by_itself(n) && nodecommand_has_stopped(n->journal))
		n->journal->done = false;
}

int noderun_restore(struct noderun *n, struct err *e)
{
	int r;

	look_again(n);
	/* One whose end was interrupted may have removed them. */
	r = is_over(n->journal) ? 0 : make_places(n, e);
	if (r == 0)
		r = pin(n, e);
	if (r == 0)
		r = all_steps(n, e);
	unpin(n);
	n->ended = r == 0 && ends_by_itself(n);
	if (n->ended)
		r = end(n, e);
	return n->ended && r < 0
		       ? err_wrap(e, r,
				  "removing what was noted of it (run the same command again)")
		       : r;
}

/* ---- abort and finish ---- */

static int note(struct noderun *n, enum nodejournal_moved moved, struct err *e)
{
	n->journal->moved = moved;
	return nodejournal_write(n->journal, e);
}

static int put_back(struct noderun *n, struct err *e)
{
	const struct nodejournal *j = n->journal;
	int r = make_places(n, e);

	if (r == 0)
		r = stop(n, e);
	if (r == 0 && j->moved == NODEJOURNAL_ASIDE) {
		r = move_all(n, SWAP_CLEAR, false, e);
		if (r == 0)
			r = note(n, NODEJOURNAL_PARTLY, e);
	}
	if (r == 0)
		r = move_all(n, SWAP_BACK, false, e);
	if (r == 0)
		r = note(n, NODEJOURNAL_IN_PLACE, e);
	return r < 0 ? r : noderun_tell(n, e, "the node's own data are back");
}

static bool had_to_stop(const struct nodejournal *j)
{
	return nodejournal_has(j, NODEJOURNAL_STOP) && j->step >= NODEJOURNAL_STOP;
}

int noderun_check_abort(const struct nodejournal *j, struct err *e)
{
	if (j->mode == NODEJOURNAL_FINISH)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"the data of before are being removed (--finish): there is no way back");
	if (!can_go_back(j))
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"the data of before were removed (--no-stage): there is no way back; run restore-node %s --no-stage again, which ends the restore",
			j->backup);
	return had_to_stop(j) ? check_own(j, e) : 0;
}

int noderun_abort(struct noderun *n, struct err *e)
{
	struct nodejournal *j = n->journal;
	int r = noderun_check_abort(j, e);

	if (r < 0)
		return r;
	j->mode = NODEJOURNAL_ABORT;
	r = nodejournal_write(j, e);
	if (r == 0 && j->moved != NODEJOURNAL_IN_PLACE)
		r = put_back(n, e);
	if (r == 0)
		r = await_import(n, e);
	if (r == 0 && *j->tokens)
		r = undo_yaml(j, e);
	if (r == 0)
		r = follow_pass(n->follow, NODEFOLLOW_BACK, e);
	if (r == 0 && had_to_stop(j) && j->was_running)
		r = noderun_check(n, e);
	if (r == 0)
		r = end(n, e);
	return r < 0 ? err_wrap(e, r, "aborting (run sstablefs restore-node --abort again)") : 0;
}

int noderun_check_finish(const struct nodejournal *j, bool led, struct err *e)
{
	if (j->mode == NODEJOURNAL_ABORT)
		return err_set(e, ERR_CONFLICT, -EBUSY,
			       "it is being aborted: run sstablefs restore-node --abort again");
	/* Who leads says how all of them go on: one that does so alone is another cluster than the others. */
	if ((j->step != NODEJOURNAL_CHECK || !j->done) && led)
		return err_set(e, ERR_CONFLICT, -EBUSY, "the restore of %s is not done (step %s)",
			       j->backup, nodejournal_step_name(j->step));
	if (j->step != NODEJOURNAL_CHECK || !j->done)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"the restore of %s is not done (step %s): run restore-node %s again, or restore-node --abort",
			j->backup, nodejournal_step_name(j->step), j->backup);
	return 0;
}

int noderun_finish(struct noderun *n, struct err *e)
{
	struct nodejournal *j = n->journal;
	int r = noderun_check_finish(j, n->follow, e);

	if (r < 0)
		return r;
	j->mode = NODEJOURNAL_FINISH;
	r = nodejournal_write(j, e);
	if (r == 0)
		r = end(n, e);
	return r < 0 ? err_wrap(e, r, "finishing (run sstablefs restore-node --finish again)") : 0;
}
