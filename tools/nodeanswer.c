/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeanswer.h"

#include <strings.h>
#include <time.h>
#include "cassandra/nodetokens.h"

#define POLL_MS 500
#define BELIEVED_MS \
	30000 /* a node without roles makes the first one 10 s after its start, if nothing else is said */
#define WHO "SELECT JSON host_id AS value FROM system.local WHERE key = 'local'"

static int pause_a_moment(const struct nodeanswer *a, struct err *e)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };

	cancel_waits(&a->cli->cancel);
	if (cancel_is_set(&a->cli->cancel))
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	nanosleep(&pause, NULL);
	return 0;
}

static int64_t end_of(const struct nodeanswer *a)
{
	return clock_elapsed_ms(a->cli->clock) + a->wait_ms;
}

static bool is_late(const struct nodeanswer *a, int64_t end_ms)
{
	return clock_elapsed_ms(a->cli->clock) >= end_ms;
}

/* A cqlsh that finds nobody would take from the start, each half a second, what it needs itself. */
static int ask_who(const struct cqlsh *c, char **ret_id, struct err *e)
{
	return cqlsh_listens(c) ? cqlsh_value(c, WHO, ret_id, e)
				: err_set(e, ERR_IO, -ECONNREFUSED,
					  "nobody takes connections at %s:%s", c->host, c->port);
}

/* Whether that is an answer, too: the node runs. To know who it is it may have to hear its neighbours first (-EAGAIN), or to make a role. */
static bool is_answer(int r, bool need_login)
{
	return r == 0 || ((r == -EACCES || r == -EAGAIN) && !need_login);
}

/* Where it goes on: of a role that is not there yet Cassandra says what it says of a wrong password. */
static bool is_refusal(const struct nodeanswer *a, int r, int64_t end_ms, int64_t *believed_ms)
{
	int64_t now_ms = clock_elapsed_ms(a->cli->clock);

	if (r != -EACCES)
		*believed_ms = 0;
	else if (!*believed_ms)
		*believed_ms = MIN_OF(now_ms + BELIEVED_MS, end_ms);
	return r == -EACCES && now_ms >= *believed_ms;
}

static int await_answer(const struct nodeanswer *a, bool need_login, char **ret_id, struct err *e)
{
	int64_t end_ms = end_of(a), believed_ms = 0;
	int r;

	for (;;) {
		struct err why = ERR_INIT;

		r = ask_who(&a->cqlsh, ret_id, &why);
		if (is_answer(r, need_login) || is_refusal(a, r, end_ms, &believed_ms)) {
			*e = why;
			return r;
		}
		if (is_late(a, end_ms))
			return err_set(
				e, ERR_IO, -ETIMEDOUT,
				"Cassandra does not answer after %lld s (its log says why): %s",
				(long long)a->wait_ms / 1000, why.message);
		r = pause_a_moment(a, e);
		if (r < 0)
			return r;
	}
}

int nodeanswer_await(const struct nodeanswer *a, char **ret_id, struct err *e)
{
	int r = await_answer(a, false, ret_id, e);

	return r == -EACCES || r == -EAGAIN ? NODEANSWER_NO_LOGIN : r;
}

int nodeanswer_login(const struct nodeanswer *a, char **ret_id, struct err *e)
{
	int r = await_answer(a, true, ret_id, e);

	return r == -EACCES
		       ? err_wrap(
				 e, r,
				 "the node runs, and refuses the login that cqlsh has (cql_credentials_file under [cassandra]; unless with --keep-auth, roles and passwords are those of the backup)")
		       : r;
}

static int check_tokens(const struct nodeanswer *a, const struct nodejournal *j, struct err *e)
{
	_cleanup_free_ char *found = NULL;
	int r = cqlsh_value(&a->cqlsh,
			    "SELECT JSON tokens AS value FROM system.local WHERE key = 'local'",
			    &found, e);

	if (r == 0 && !nodetokens_same(found, j->tokens))
		r = err_set(e, ERR_CONFLICT, -EBADMSG,
			    "the node says that its tokens are %.200s, and the backup's are %.200s",
			    found, j->tokens);
	return r;
}

int nodeanswer_identity(const struct nodeanswer *a, const struct nodejournal *j, const char *id,
			struct err *e)
{
	if (*j->host_id && strcasecmp(id, j->host_id) != 0)
		return err_set(e, ERR_CONFLICT, -EBADMSG,
			       "the node says its host id is %s, and the backup's is %s", id,
			       j->host_id);
	return *j->tokens ? check_tokens(a, j, e) : 0;
}

/* A node that has just started, or whose neighbours have, does not know yet that they live: Cassandra's word for it (Unavailable) is no answer. */
int nodeanswer_query(const struct nodeanswer *a, const struct checkquery *q, struct err *e)
{
	int64_t end_ms = end_of(a);

	for (;;) {
		int r;

		*e = ERR_INIT;
		r = checkquery_run(q, &a->cqlsh, e);
		if (r != -EAGAIN || is_late(a, end_ms))
			return r;
		r = pause_a_moment(a, e);
		if (r < 0)
			return r;
	}
}
