/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/look.h"

#include <time.h>

#define SLICE_MS 100 /* how soon a waiter sees that it was cancelled */

static void wait_slice(struct looker *k)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(&k->changed, &k->lock, &until);
}

int look_wait(struct looker *k, struct view_wait w, struct err *e)
{
	if (!w.wait)
		return VIEW_WOULD_BLOCK;
	if (cancel_is_set(w.cancel) || cancel_is_set(k->stop))
		return err_set(e, ERR_IO, -EINTR, "interrupted while waiting for the store");
	wait_slice(k);
	return 0;
}

static int start(struct looker *k, struct look *l, pool_fn *job, void *arg, struct err *e)
{
	int r;

	if (l->running)
		return 0;
	l->running = true;
	l->settled = l->expired = false;
	l->begun_ms = clock_elapsed_ms(k->clock);
	r = pool_submit(k->pool, job, arg);
	if (r < 0) {
		l->running = false;
		return err_errno(e, r, "cannot start a refresh");
	}
	return 0;
}

/* Whether the answer that was published before must do: the job has run for too long, and nobody waits for it any more. */
static bool is_slow(const struct looker *k, const struct look *l)
{
	return l->ever && clock_elapsed_ms(k->clock) - l->begun_ms >= VIEW_WAIT_MS;
}

int look_at(struct looker *k, struct look *l, pool_fn *job, void *arg, struct view_wait w,
	    struct err *e)
{
	int r;

	if (l->ever && !l->running && !l->expired &&
	    clock_elapsed_ms(k->clock) - l->finished_ms < k->refresh_ms)
		return 0;
	if (l->ever && l->running && (l->settled || is_slow(k, l)))
		return 0;
	if (!w.wait)
		return VIEW_WOULD_BLOCK;
	r = start(k, l, job, arg, e);
	if (r < 0)
		return r;
	while (l->running && !l->settled) {
		if (is_slow(k, l))
			return 0;
		r = look_wait(k, w, e);
		if (r < 0)
			return r;
	}
	if (l->ever)
		return 0;
	if (e)
		*e = l->err;
	return l->err.code < 0 ? l->err.code : -EIO;
}

void look_expire(struct look *l)
{
	l->expired = true;
}

void look_publish(struct looker *k, struct look *l)
{
	l->ever = true;
	l->known_ms = l->begun_ms;
	pthread_cond_broadcast(&k->changed);
}

void look_settle(struct looker *k, struct look *l)
{
	l->settled = true;
	pthread_cond_broadcast(&k->changed);
}

void look_end(struct looker *k, struct look *l, int result, const struct err *e)
{
	if (result < 0)
		l->err = *e;
	l->running = false;
	l->settled = true;
	l->finished_ms = clock_elapsed_ms(k->clock);
	pthread_cond_broadcast(&k->changed);
}
