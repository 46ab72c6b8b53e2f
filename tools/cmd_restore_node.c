/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "cassandra/placepath.h"
#include "tools/commands.h"
#include "tools/hooks.h"
#include "tools/names.h"
#include "tools/nodecheck.h"
#include "tools/nodeplan.h"
#include "tools/noderun.h"
#include "tools/priority.h"

enum {
	OPT_IN_PLACE = OPT_COMMAND,
	OPT_REMOTE,
	OPT_NO_STAGE,
	OPT_KEEP_AUTH,
	OPT_PLAN,
	OPT_YES,
	OPT_ABORT,
	OPT_FINISH,
	OPT_COORDINATED,
	OPT_ONLY,
	OPT_QUERY,
	OPT_ROWS,
	OPT_RESULT,
	OPT_WAIT
};

#define WAIT_S 600
#define WAIT_MAX_S 86400

struct arguments {
	struct common common;
	const char *backup;
	struct checkquery query;
	const char *only[NODEJOURNAL_ONLY_MAX];
	struct nodecheck_wish wish; /* `only` is its list */
	bool in_place, plan, yes, abort, finish, coordinated;
	uint64_t wait_s;
};

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	bool *flags[] = { [OPT_IN_PLACE - OPT_COMMAND] = &a->in_place,
			  [OPT_REMOTE - OPT_COMMAND] = &a->wish.remote,
			  [OPT_NO_STAGE - OPT_COMMAND] = &a->wish.no_stage,
			  [OPT_KEEP_AUTH - OPT_COMMAND] = &a->wish.keep_auth,
			  [OPT_PLAN - OPT_COMMAND] = &a->plan,
			  [OPT_YES - OPT_COMMAND] = &a->yes,
			  [OPT_ABORT - OPT_COMMAND] = &a->abort,
			  [OPT_FINISH - OPT_COMMAND] = &a->finish,
			  [OPT_COORDINATED - OPT_COMMAND] = &a->coordinated };

	switch (option) {
	case OPT_ONLY:
		if (a->wish.only_count == NODEJOURNAL_ONLY_MAX)
			return err_set(e, ERR_USAGE, -EINVAL, "too many --only");
		a->only[a->wish.only_count++] = value;
		return 0;
	case OPT_QUERY:
		a->query.query = value;
		return 0;
	case OPT_ROWS:
		return checkquery_rows(&a->query, "--check-rows", value, e);
	case OPT_RESULT:
		a->query.result = value;
		return 0;
	case OPT_WAIT:
		return cli_number("--wait", value, 1, WAIT_MAX_S, &a->wait_s, e);
	default:
		*flags[option - OPT_COMMAND] = true;
		return 0;
	}
}

/* One of three cases, and what goes with it. */
static int check_case(const struct arguments *a, struct err *e)
{
	const struct nodecheck_wish *w = &a->wish;
	int cases = a->in_place + w->remote + (w->only_count > 0);

	if (cases == 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"restore-node needs --in-place (this node, or one in its place with its tokens, becomes what it was), --remote (a node of another cluster takes the tokens over) or --only KS[.TABLE] (some tables, while the node runs)");
	if (cases > 1)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--in-place, --remote or --only: one of them");
	if (w->only_count > 0 && (w->keep_auth || w->no_stage))
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--keep-auth and --no-stage are for whole nodes, not for --only");
	return 0;
}

static int check_arguments(struct arguments *a, int count, struct err *e)
{
	const struct nodecheck_wish *w = &a->wish;
	bool other = a->abort || a->finish;
	int r;

	if (a->abort && a->finish)
		return err_set(e, ERR_USAGE, -EINVAL, "--abort or --finish, not both");
	if (other && (count != 0 || a->plan || a->in_place || a->query.query || w->remote ||
		      w->keep_auth || w->no_stage || w->only_count > 0))
		return err_set(e, ERR_USAGE, -EINVAL, "restore-node --%s takes no backup",
			       a->abort ? "abort" : "finish");
	if (!other && count != 1)
		return err_set(e, ERR_USAGE, -EINVAL, "restore-node needs one backup");
	r = other ? 0 : check_case(a, e);
	if (r < 0)
		return r;
	if (a->coordinated && w->only_count > 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"--coordinated is how restore-cluster runs restore-node on a node: --only does not go with it");
	r = checkquery_is_whole(&a->query, e);
	if (r < 0)
		return r;
	if (!other && !a->plan && !a->yes)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "restore-node %s: look at it with --plan, then say --yes",
			       w->only_count > 0
				       ? "adds the backup's rows to tables of this node"
				       : "stops Cassandra and replaces all data of this node");
	return 0;
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "in-place", no_argument, NULL, OPT_IN_PLACE },
		{ "remote", no_argument, NULL, OPT_REMOTE },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "no-stage", no_argument, NULL, OPT_NO_STAGE },
		{ "keep-auth", no_argument, NULL, OPT_KEEP_AUTH },
		{ "plan", no_argument, NULL, OPT_PLAN },
		{ "yes", no_argument, NULL, OPT_YES },
		{ "check-query", required_argument, NULL, OPT_QUERY },
		{ "check-rows", required_argument, NULL, OPT_ROWS },
		{ "check-result", required_argument, NULL, OPT_RESULT },
		{ "wait", required_argument, NULL, OPT_WAIT },
		{ "abort", no_argument, NULL, OPT_ABORT },
		{ "finish", no_argument, NULL, OPT_FINISH },
		{ "coordinated", no_argument, NULL, OPT_COORDINATED },
		COMMON_NAMES,
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = common_init(&a->common, cli, "restore", 16, e);

	a->wait_s = WAIT_S;
	a->wish.only = a->only;
	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		if (c == '?')
			return e->code;
		r = common_option(&a->common, c, optarg, e);
		if (r > 0)
			r = own_option(a, c, optarg, e);
	}
	if (r == 0)
		r = check_arguments(a, argc - optind, e);
	if (r == 0)
		a->backup = argv[optind];
	a->wish.cluster = a->common.cluster;
	return r;
}

/* ---- one run ---- */

struct work {
	struct cli *cli;
	const struct arguments *a;
	struct asknode ask;
	struct session session;
	struct record *record;
	struct nodejournal *journal;
	struct follow *follow; /* NULL: nobody leads */
	int lock;
};

/* One that is led follows soon after another that was, and may still be at a step; who only plans says so. */
static int take_lock(struct work *w, const char *data_dir, bool make, struct err *e)
{
	bool waits = w->follow && !w->a->plan;

	return nodefollow_lock(w->cli, data_dir, make, waits ? (int64_t)w->a->wait_s * 1000 : 0,
			       &w->lock, e);
}

/* Whoever leads is told how things are, and says when to begin; where this is a plan, nothing is. */
static int get_ready(struct work *w, const struct facts *facts, struct err *e)
{
	struct nodefollow_self self = {
		.cli = w->cli,
		.ask = &w->ask,
		.facts = facts,
		.journal = w->journal,
		.writer = w->journal ? w->journal->writer : "",
		.repository = w->session.repo ? repo_id(w->session.repo) : "",
		.has_query = w->a->query.query,
	};
	char text[ULID_TEXT];
	int r;

	if (!w->follow)
		return 0;
	if (!w->journal && w->record)
		self.writer = ulid_format(text, &w->record->writer);
	r = nodefollow_ready(&self, e);
	return r < 0 || w->a->plan ? r : follow_pass(w->follow, 0, e);
}

/* Where the journal is, if there is one. NULL: cassandra.yaml does not say. */
static const char *first_data_dir(const struct work *w)
{
	const struct nodeconf *conf = w->ask.conf;

	return conf && conf->data_dir_count > 0 && !conf->unfollowed_dirs ? conf->data_dirs[0]
									  : NULL;
}

/* What restore takes where no node is named, the only node that has the backup, may be a neighbour that is alive: this host must not become that. */
static int check_node_name(const struct work *w, struct err *e)
{
	_cleanup_free_ char *own = NULL;

	if (w->a->common.node)
		return 0;
	own = session_default_node(w->cli);
	if (!own)
		return err_nomem(e);
	if (strcmp(own, w->record->where.node) == 0)
		return 0;
	return err_set(
		e, ERR_USAGE, -EINVAL,
		"backup %s is of node %s and this host is %s: where this machine is in that one's place, say --node %s",
		w->a->backup, w->record->where.node, own, w->record->where.node);
}

static int find(struct work *w, struct err *e)
{
	struct session_options open = { .access = REPO_READ, .common = &w->a->common };
	int r = session_open(w->cli, &open, &w->session, e);

	if (r == 0)
		r = names_find_one(w->cli, &w->session, &w->a->common, w->a->backup, &w->record, e);
	return r < 0 ? r : check_node_name(w, e);
}

/* Whether the journal is of the backup that was named. Once all of it is fetched the repository need not be there: then by its names. */
static bool is_of_backup(const struct work *w)
{
	const struct nodejournal *j = w->journal;
	const struct common *c = &w->a->common;
	char writer[ULID_TEXT];

	if (w->record)
		return strcmp(j->writer, ulid_format(writer, &w->record->writer)) == 0;
	return strcmp(j->backup, w->a->backup) == 0 &&
	       (!c->cluster || strcmp(j->cluster, c->cluster) == 0) &&
	       (!c->node || strcmp(j->node, c->node) == 0);
}

/* Whether what was begun is what is asked for now. */
static int check_wish(const struct work *w, struct err *e)
{
	const struct nodejournal *j = w->journal;
	const struct nodecheck_wish *wish = &w->a->wish;
	_cleanup_free_ char *begun = nodejournal_options(j);
	bool same = j->keep_auth == wish->keep_auth && j->no_stage == wish->no_stage &&
		    (*j->tokens != '\0') == wish->remote && j->only_count == wish->only_count;

	for (size_t i = 0; same && i < j->only_count; i++)
		same = strcmp(j->only[i], wish->only[i]) == 0;
	if (!begun)
		return err_nomem(e);
	return same ? 0
		    : err_set(e, ERR_USAGE, -EINVAL,
			      "the restore was begun with other options: say %s", begun);
}

/* What was begun must be of this backup, and not on its way back. */
static int check_journal(const struct work *w, struct err *e)
{
	const struct nodejournal *j = w->journal;

	if (j->mode != NODEJOURNAL_RESTORE)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"an earlier restore-node was told to %s and has not ended: run sstablefs restore-node --%s again",
			nodejournal_mode_name(j->mode), nodejournal_mode_name(j->mode));
	if (!is_of_backup(w))
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"backup %s of %s/%s is being restored here (step %s): run that command again, or restore-node --abort, or, where it is done, restore-node --finish",
			j->backup, j->cluster, j->node, nodejournal_step_name(j->step));
	return check_wish(w, e);
}

static int refused(const struct work *w, struct nodecheck *k, struct err *e)
{
	size_t count = json_array_size(k->refusals);

	if (count == 0)
		return 0;
	for (size_t i = 1; i < count && !w->cli->json; i++)
		fprintf(stderr, "sstablefs: restore-node: also refused: %s\n",
			json_string_value(json_array_get(k->refusals, i)));
	return err_set(e, ERR_CONFLICT, -EPERM, "nothing was done: %s%s",
		       json_string_value(json_array_get(k->refusals, 0)),
		       count > 1 ? " (--plan names all that is in the way)" : "");
}

/* Where nothing was locked before, another one may have begun, and ended, while this one looked at everything. */
static int check_still_alone(const struct nodejournal *j, struct err *e)
{
	_cleanup_(nodejournal_freep) struct nodejournal *there = NULL;
	int r = nodejournal_read(j->places[0].path, &there, e);

	if (r == 0 && there)
		r = err_set(e, ERR_CONFLICT, -EBUSY,
			    "another restore-node began meanwhile; run it again");
	for (size_t i = 0; i < j->place_count && r == 0; i++)
		r = swap_check_parts(&j->places[i], e);
	return r;
}

/* The journal of a new restore. */
static int begin(struct work *w, struct nodecheck *k, struct err *e)
{
	int r = refused(w, k, e);

	if (r == 0)
		r = get_ready(w, k->facts, e);
	if (r == 0 && w->lock < 0)
		r = take_lock(w, k->journal->places[0].path, true, e);
	if (r == 0)
		r = check_still_alone(k->journal, e);
	if (r == 0) {
		k->journal->was_running = k->running;
		if (k->facts)
			r = facts_set(&k->journal->address, k->facts->address,
				      strlen(k->facts->address), e);
		w->journal = steal_pointer(&k->journal);
		if (r == 0)
			r = nodejournal_write(w->journal, e);
	}
	return r;
}

static int report(struct work *w, const struct noderun *n, int64_t begun_ms)
{
	double seconds = (double)(clock_elapsed_ms(w->cli->clock) - begun_ms) / 1000;
	bool known = n->stopped_ms && n->answered_ms;
	double down = known ? (double)(n->answered_ms - n->stopped_ms) / 1000 : 0;

	if (w->cli->json)
		return cli_print_json(
			w->cli, json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:f}", "cluster",
					  w->journal->cluster, "node", w->journal->node, "name",
					  w->journal->backup, "state", "restored", "files_written",
					  (json_int_t)n->fetched.files_written, "bytes_written",
					  (json_int_t)n->fetched.bytes_written, "downtime_seconds",
					  known ? json_real(down) : json_null(), "duration_seconds",
					  seconds));
	if (w->cli->quiet)
		return EXIT_DONE;
	printf("restored %s of %s/%s in %.1f s", w->journal->backup, w->journal->cluster,
	       w->journal->node, seconds);
	if (known)
		printf(", the node was down for %.1f s", down);
	printf("\n");
	if (!n->ended)
		printf("The data of before are kept: sstablefs restore-node --finish removes them, "
		       "sstablefs restore-node --abort puts them back.\n");
	return EXIT_DONE;
}

static int carry_on(struct work *w, int64_t begun_ms, struct err *e)
{
	struct noderun n = { .cli = w->cli,
			     .ask = &w->ask,
			     .journal = w->journal,
			     .session = &w->session,
			     .record = w->record,
			     .common = &w->a->common,
			     .query = w->a->query,
			     .hooks = { .cli = w->cli, .journal = w->journal },
			     .follow = w->follow,
			     .wait_ms = (int64_t)w->a->wait_s * 1000 };
	int r = noderun_restore(&n, e);

	if (r == 0)
		r = report(w, &n, begun_ms);
	return r == EXIT_DONE && n.hooks.warned ? EXIT_FOUND : r;
}

/* Under its lock. -ENOENT (ERR_NOT_FOUND): there is nothing of ours; -ENXIO: nor is the directory. */
static int read_journal(struct work *w, const char *data_dir, struct err *e)
{
	_cleanup_free_ char *real = NULL;
	struct stat st;
	int r = placepath_find(data_dir, &real, &st, e);

	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, -ENXIO, "%s is not there", data_dir);
	if (r == 0)
		r = take_lock(w, real, false, e);
	return r < 0 ? r : nodejournal_read(real, &w->journal, e);
}

static int look_for_journal(struct work *w, struct err *e)
{
	const char *dir = first_data_dir(w);
	int r = dir ? read_journal(w, dir, e) : 0;

	return r == -ENOENT || r == -ENXIO ? 0 : r;
}

static int restore_anew(struct work *w, int64_t begun_ms, struct err *e)
{
	struct nodecheck k = { .journal = NULL };
	int r = nodecheck_run(w->cli, &w->ask, &w->session, w->record, &w->a->wish, &k, e);

	if (r == 0 && w->a->plan) {
		r = get_ready(w, k.facts, e);
		if (r == 0)
			r = nodeplan_show(w->cli, &k, w->record, e);
	} else if (r == 0) {
		r = begin(w, &k, e);
		if (r == 0)
			r = carry_on(w, begun_ms, e);
	}
	nodecheck_deinit(&k);
	return r;
}

/* A journal that is there is gone by, else everything is checked first. */
static int restore(struct work *w, struct err *e)
{
	int64_t begun_ms = clock_elapsed_ms(w->cli->clock);
	int r = look_for_journal(w, e);

	if (r == 0 && (!w->journal || noderun_fetches(w->journal)))
		r = find(w, e);
	if (r < 0)
		return r;
	if (!w->journal)
		return restore_anew(w, begun_ms, e);
	r = check_journal(w, e);
	if (r == 0 && !w->a->plan)
		r = noderun_check_again(w->journal, e);
	if (r == 0)
		r = get_ready(w, NULL, e);
	if (r < 0)
		return r;
	return w->a->plan ? nodeplan_begun(w->cli, w->journal, e) : carry_on(w, begun_ms, e);
}

/* What --abort or --finish is about. Where somebody leads, and nothing is begun, there is none. */
static int look_for_end(struct work *w, struct err *e)
{
	const char *dir = first_data_dir(w);
	int r;

	if (!dir && w->ask.conf && w->ask.conf->unfollowed_dirs)
		return err_set(e, ERR_USAGE, -EBADMSG, "%s", w->ask.conf->unfollowed);
	if (!dir)
		return err_set(
			e, ERR_USAGE, -ENOENT,
			"%s names no data_file_directories: name it with yaml = under [cassandra] of the configuration",
			w->ask.yaml);
	r = read_journal(w, dir, e);
	if (r == 0 && !w->journal)
		r = err_set(e, ERR_NOT_FOUND, -ENOENT, "no restore-node was begun in %s", dir);
	return r == -ENOENT && w->follow ? 0 : r;
}

static int report_end(const struct work *w, const char *state)
{
	const struct nodejournal *j = w->journal;

	if (w->cli->json)
		return cli_print_json(w->cli,
				      json_pack("{s:s, s:s, s:s, s:s}", "cluster",
						j ? j->cluster : "", "node", j ? j->node : "",
						"name", j ? j->backup : "", "state", state));
	if (!w->cli->quiet)
		printf("the restore of %s is %s: %s\n", j->backup, state,
		       !w->a->abort	   ? "the data of before are removed"
		       : j->only_count > 0 ? "what was imported stays"
					   : "the node has its own data");
	return EXIT_DONE;
}

/* --abort and --finish: what to do is in the journal, no repository is asked. */
static int end(struct work *w, struct err *e)
{
	struct noderun n = { .cli = w->cli,
			     .ask = &w->ask,
			     .follow = w->follow,
			     .wait_ms = (int64_t)w->a->wait_s * 1000 };
	int r = look_for_end(w, e);

	n.journal = w->journal;
	if (r == 0 && w->journal)
		r = w->a->abort ? noderun_check_abort(w->journal, e)
				: noderun_check_finish(w->journal, w->follow, e);
	if (r == 0)
		r = get_ready(w, NULL, e);
	if (r == 0 && !w->journal)
		r = w->a->abort ? follow_pass(w->follow, NODEFOLLOW_BACK, e) : 0;
	else if (r == 0)
		r = w->a->abort ? noderun_abort(&n, e) : noderun_finish(&n, e);
	if (r < 0)
		return r;
	return report_end(w, !w->journal ? "nothing" : w->a->abort ? "aborted" : "finished");
}

/* How restore-cluster leads it. */
static int follow(struct work *w, struct err *e)
{
	struct cli *cli = w->cli;

	if (!w->a->coordinated)
		return 0;
	cli->json = cli->json_line = cli->progress_always = true;
	return follow_start(cli,
			    w->a->abort	   ? &nodefollow_abort
			    : w->a->finish ? &nodefollow_finish
			    : w->a->plan   ? &nodefollow_plan
					   : &nodefollow_restore,
			    &w->follow, e);
}

/* What only the configuration says: before anything is asked or begun. What is said here wins, and tables that are added to a node that runs are checked where it is said only. */
static int take_config(struct cli *cli, struct arguments *a, struct err *e)
{
	static const char *const phases[] = { "fetch", "exchange", "check", "load", NULL };
	struct checkquery configured;
	int r = hooks_check(cli, phases, e);

	if (r == 0)
		r = priority_check(cli, "restore", e);
	if (r == 0)
		r = checkquery_config(cli, &configured, e);
	if (r == 0 && !a->query.query && (a->in_place || a->wish.remote))
		a->query = configured;
	return r;
}

int cmd_restore_node(struct cli *cli, int argc, char **argv)
{
	struct arguments a = { .backup = NULL };
	struct work w = { .cli = cli, .a = &a, .lock = -1 };
	struct err e = ERR_INIT;
	int r = parse(cli, argc, argv, &a, &e);

	if (r == 0)
		r = follow(&w, &e);
	if (r == 0 && !a.abort && !a.finish)
		r = take_config(cli, &a, &e);
	if (r == 0)
		r = asknode_init(&w.ask, cli, &e);
	if (r == 0)
		r = a.abort || a.finish ? end(&w, &e) : restore(&w, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	if (w.lock >= 0)
		close(w.lock);
	nodejournal_free(w.journal);
	if (w.record)
		record_free(w.record);
	session_close(&w.session);
	asknode_deinit(&w.ask);
	if (w.follow)
		follow_stop(w.follow);
	return r;
}
