/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include "tools/nodeanswer.h"
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

/* Where it answered before. Where it did not run then, Cassandra takes CQL at listen_address if nothing else is said. */
struct cqlsh noderun_cqlsh(const struct noderun *n)
{
	const char *address = n->journal->address;
	const char *listen = n->ask->conf ? n->ask->conf->listen_address : "";
	struct cqlsh c = asknode_cqlsh(n->ask, *address ? address : listen);

	if (c.host && !*c.host)
		c.host = NULL;
	return c;
}

/* One that has answered counts as started, whatever it thinks of the password: the others may be what it waits for, to read its roles. */
static int check_who(struct noderun *n, const struct nodeanswer *a, int answered, char **id,
		     struct err *e)
{
	/* Some rows may be there only when others have started, too. */
	int r = answered == 0 ? nodeanswer_identity(a, n->journal, *id, e) : 0;

	if (r == 0)
		r = follow_pass(n->follow, NODEFOLLOW_STARTED, e);
	if (r < 0 || answered == 0)
		return r;
	r = nodeanswer_login(a, id, e);
	return r < 0 ? r : nodeanswer_identity(a, n->journal, *id, e);
}

int noderun_check(struct noderun *n, struct err *e)
{
	_cleanup_free_ char *id = NULL;
	const struct nodeanswer a = { n->cli, noderun_cqlsh(n), n->wait_ms };
	int r = n->started ? 0 : noderun_start(n, e);

	if (r == 0)
		r = nodeanswer_await(&a, &id, e);
	if (r < 0)
		return r;
	n->answered_ms = clock_elapsed_ms(n->cli->clock);
	/* What it had before is back as it was. */
	if (n->journal->mode != NODEJOURNAL_RESTORE)
		return noderun_tell(n, e, "Cassandra answers CQL");
	r = check_who(n, &a, r, &id, e);
	if (r == 0)
		r = nodeanswer_query(&a, &n->query, e);
	return r < 0 ? r : noderun_tell(n, e, "Cassandra answers CQL");
}
