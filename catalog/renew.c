/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/renew.h"

#include <errno.h>

#include "catalog/ticker.h"

#define NS_PER_MS 1000000
#define RETRY_SHARE 8 /* after a failure the next attempt comes after this part of the period */

struct renew {
	struct renew_options o;
	struct ticker *ticker;	     /* NULL: its owner ticks */
	int64_t started_ns, next_ns; /* elapsed time; the thread's own */
};

int renew_check(const struct renew_options *o, int64_t started_elapsed_ns, struct err *e)
{
	int64_t now = clock_elapsed_ns(repo_clock(o->reg->repo));

	if (o->greatest_age_ms > 0 && now - started_elapsed_ns > o->greatest_age_ms * NS_PER_MS)
		return err_set(e, ERR_IO, -ETIME,
			       "the backup takes longer than %lld minutes, the most that it may",
			       (long long)(o->greatest_age_ms / 60000));
	if (now - o->reg->written_elapsed_ns > o->limit_ms * NS_PER_MS)
		return err_set(e, ERR_STORE, -ETIME, "%s could not be renewed for %lld seconds",
			       o->reg->kind->name, (long long)(o->limit_ms / 1000));
	return 0;
}

static int renew_now(struct renew *n, struct err *e)
{
	const struct clock *clock = repo_clock(n->o.reg->repo);
	char text[1200];
	int r;

	*n->o.reg->d.renewed_ns = clock_wall_ns(clock);
	r = reg_write(n->o.reg, &n->o.work->stop, e);
	if (r == REG_LOST)
		return err_set(e, ERR_CONFLICT, -ESTALE,
			       "another process ended it: %s was changed or removed",
			       n->o.reg->kind->name);
	n->next_ns =
		clock_elapsed_ns(clock) + n->o.renew_ms * NS_PER_MS / (r == 0 ? 1 : RETRY_SHARE);
	if (r < 0 && !work_stopped(n->o.work))
		log_write(n->o.log, LOG_LEVEL_WARNING, "renew-failed",
			  "%s could not be renewed, trying again: %s", n->o.reg->kind->name,
			  err_describe(e, text, sizeof(text)));
	return 0;
}

void renew_tick(struct renew *n)
{
	struct err e = ERR_INIT;
	int r;

	if (work_stopped(n->o.work))
		return;
	r = renew_check(&n->o, n->started_ns, &e);
	if (r == 0 && clock_elapsed_ns(repo_clock(n->o.reg->repo)) >= n->next_ns)
		r = renew_now(n, &e);
	if (r < 0)
		work_fail(n->o.work, r, &e);
}

static void on_tick(void *ctx)
{
	renew_tick(ctx);
}

struct renew *renew_new(const struct renew_options *o)
{
	struct renew *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->o = *o;
	n->started_ns = o->reg->written_elapsed_ns - o->age_ms * NS_PER_MS;
	n->next_ns = o->reg->written_elapsed_ns + o->renew_ms * NS_PER_MS;
	return n;
}

int renew_start(const struct renew_options *o, struct renew **ret, struct err *e)
{
	struct renew *n = renew_new(o);
	int r;

	if (!n)
		return err_nomem(e);
	r = ticker_start("renew", on_tick, n, &n->ticker, e);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void renew_stop(struct renew *n)
{
	if (!n)
		return;
	ticker_stop(n->ticker);
	free(n);
}
