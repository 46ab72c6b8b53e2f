/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>
#include <time.h>
#include "cassandra/nodetokens.h"
#include "tools/nodecommand.h"
#include "tools/noderun_state.h"

#define POLL_MS 500
#define APPEARS_MS 5000

int noderun_tell(const struct noderun *n, struct err *e, const char *text)
{
	if (n->cli->json || n->cli->quiet)
		return 0;
	return cli_print_line(e, "%s", text);
}

int noderun_stopped(const struct noderun *n, struct err *e)
{
	return cancel_is_set(&n->cli->cancel) ? err_set(e, ERR_IO, -ECANCELED, "interrupted") : 0;
}

int noderun_guard(const struct noderun *n, bool up, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < n->journal->place_count && r == 0; i++)
		r = swap_guard(&n->journal->places[i], up, e);
	return r;
}

/* ---- start ---- */

/* An earlier run may have told it to start a moment ago: then it soon opens its directories. */
static bool runs(const struct noderun *n)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int64_t end_ms = clock_elapsed_ms(n->cli->clock) + (n->resumed ? APPEARS_MS : 0);
	char users[NODECOMMAND_USERS_BYTES];

	for (;;) {
		nodecommand_users(n->journal, users);
		if (*users || clock_elapsed_ms(n->cli->clock) >= end_ms)
			return *users;
		nanosleep(&pause, NULL);
	}
}

int noderun_start(struct noderun *n, struct err *e)
{
	int r = noderun_guard(n, false, e);

	if (r == 0 && !runs(n))
		r = nodecommand_run(n->cli, NODECOMMAND_START, (int)n->wait_ms, e);
	n->started = r == 0;
	return r < 0 ? r : noderun_tell(n, e, "Cassandra is starting");
}

/* ---- check ---- */

struct cqlsh noderun_cqlsh(const struct noderun *n, const struct facts *none)
{
	struct cqlsh c = asknode_cqlsh(n->ask, none);

	if (c.host && !*c.host)
		c.host = NULL;
	return c;
}

#define WHO "SELECT JSON host_id AS value FROM system.local WHERE key = 'local'"

/* Until the node answers; who it says that it is. A cqlsh that finds nobody would take from the start, each half a second, what it needs itself. */
static int await_cql(struct noderun *n, const struct cqlsh *c, char **ret_id, struct err *e)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int64_t end_ms = clock_elapsed_ms(n->cli->clock) + n->wait_ms;
	struct err why = ERR_INIT;

	for (;;) {
		int r = cqlsh_listens(c)
				? cqlsh_value(c, WHO, ret_id, &why)
				: err_set(&why, ERR_IO, -ECONNREFUSED,
					  "nobody takes connections at %s:%s", c->host, c->port);

		if (r == 0)
			break;
		cancel_waits(&n->cli->cancel);
		r = noderun_stopped(n, e);
		if (r < 0)
			return r;
		if (clock_elapsed_ms(n->cli->clock) >= end_ms)
			return err_set(
				e, ERR_IO, -ETIMEDOUT,
				"Cassandra does not answer after %lld s (its log says why): %s",
				(long long)n->wait_ms / 1000, why.message);
		nanosleep(&pause, NULL);
	}
	n->answered_ms = clock_elapsed_ms(n->cli->clock);
	return 0;
}

static int check_tokens(const struct noderun *n, const struct cqlsh *c, struct err *e)
{
	_cleanup_free_ char *found = NULL;
	int r = cqlsh_value(c, "SELECT JSON tokens AS value FROM system.local WHERE key = 'local'",
			    &found, e);

	if (r == 0 && !nodetokens_same(found, n->journal->tokens))
		r = err_set(e, ERR_CONFLICT, -EBADMSG,
			    "the node says that its tokens are %.200s, and the backup's are %.200s",
			    found, n->journal->tokens);
	return r;
}

/* A node that has just started, or whose neighbours have, does not know yet that they live: Cassandra's word for it (Unavailable) is no answer. */
static int check_query(struct noderun *n, const struct cqlsh *c, struct err *e)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int64_t end_ms = clock_elapsed_ms(n->cli->clock) + n->wait_ms;

	for (;;) {
		int r;

		*e = ERR_INIT;
		r = checkquery_run(&n->query, c, e);
		if (r >= 0 || !strstr(e->message, "Cannot achieve consistency level") ||
		    clock_elapsed_ms(n->cli->clock) >= end_ms)
			return r;
		r = noderun_stopped(n, e);
		if (r < 0)
			return r;
		nanosleep(&pause, NULL);
	}
}

int noderun_check(struct noderun *n, struct err *e)
{
	_cleanup_(facts_freep) struct facts *none = facts_new();
	_cleanup_free_ char *id = NULL;
	bool restored = n->journal->mode == NODEJOURNAL_RESTORE;
	const char *wanted = restored ? n->journal->host_id : "";
	struct cqlsh c;
	int r;

	if (!none)
		return err_nomem(e);
	c = noderun_cqlsh(n, none);
	r = n->started ? 0 : noderun_start(n, e);
	if (r == 0)
		r = await_cql(n, &c, &id, e);
	if (r == 0 && *wanted && strcasecmp(id, wanted) != 0)
		r = err_set(e, ERR_CONFLICT, -EBADMSG,
			    "the node says its host id is %s, and the backup's is %s", id, wanted);
	if (r == 0 && restored && *n->journal->tokens)
		r = check_tokens(n, &c, e);
	/* Some rows may be there only when others have started, too. */
	if (r == 0 && restored)
		r = follow_pass(n->follow, NODEFOLLOW_STARTED, e);
	if (r == 0)
		r = check_query(n, &c, e);
	return r < 0 ? r : noderun_tell(n, e, "Cassandra answers CQL");
}
