/* SPDX-License-Identifier: Apache-2.0 */
/* What automatic pins ask of the store: jobs of a few threads, and a thread that sees what is due once a second while there is any pin. */
#include <signal.h>
#include <string.h>
#include "catalog/watch.h"
#include "fs/autopin_private.h"

#define TICK_MS 1000
#define DENIED_MS 900000 /* credentials may change */

/* ---- jobs: one for a pin at a time ---- */

static void submit(struct autopins *a, struct autopin *p, pool_fn *fn)
{
	p->busy = true;
	if (pool_submit(a->pool, fn, p) == 0)
		return;
	p->busy = false; /* tried again at the next tick */
	p->retry_ms = clock_elapsed_ms(a->clock) + a->o.retry_ms;
}

static void say_failed(struct autopins *a, struct autopin *p, const struct err *e)
{
	char text[1200];

	if (p->warned)
		return;
	p->warned = true;
	log_write(
		a->o.log, LOG_LEVEL_WARNING, "no-pin",
		"backup %s of node %s is read without a pin, until one can be had: %s; should somebody delete the backup and collect it meanwhile, reads of it fail",
		p->backup, p->where.node, err_describe(e, text, sizeof(text)));
}

static void say_denied(struct autopins *a, const struct err *e)
{
	char text[1200];

	a->denied_until_ms = clock_elapsed_ms(a->clock) + DENIED_MS;
	if (a->denied)
		return;
	a->denied = true;
	a->why_denied = *e;
	log_write(
		a->o.log, LOG_LEVEL_WARNING, "no-pins",
		"this mount pins nothing that it reads, because it may not write to the repository; once somebody deletes a backup and it is collected, reads of it fail: %s",
		err_describe(e, text, sizeof(text)));
}

/* With the lock held: what an attempt came to. */
static void settle(struct autopins *a, struct autopin *p, int r, struct hold *h,
		   const struct err *e)
{
	int64_t now = clock_elapsed_ms(a->clock);

	p->busy = false;
	p->retry_ms = now + a->o.retry_ms;
	if (r == 0) {
		p->state = PIN_IS_HELD;
		p->hold = h;
		p->warned = false;
		a->denied = false;
		return;
	}
	p->why = *e;
	if (r == -ENOENT) {
		p->state = PIN_IS_GONE;
	} else if (r == HOLD_READ_ONLY) {
		say_denied(a, e);
		p->retry_ms = a->denied_until_ms;
	} else if (!a->stopped) {
		metric_add(a->failed, 1);
		say_failed(a, p, e);
	}
}

static void begin_job(void *arg)
{
	struct autopin *p = arg;
	struct autopins *a = p->set;
	char backup[FORMAT_NAME_BYTES + 1];
	struct record record = {
		.backup = backup, .where = p->where, .writer = p->writer, .root = p->root
	};
	const struct hold_options o = { .repo = a->o.repo,
					.record = &record,
					.purpose = "mount",
					.renew_ms = a->o.renew_ms,
					.by_hand = true,
					.log = a->o.log };
	struct hold *h = NULL, *old;
	struct err e = ERR_INIT;
	bool told;
	int r;

	memcpy(backup, p->backup, sizeof(backup));
	r = hold_begin(&o, &h, &a->stop, &e);
	pthread_mutex_lock(&a->lock);
	old = p->hold;
	p->hold = NULL;
	settle(a, p, r, h, &e);
	told = p->state == PIN_IS_GONE && a->ops.deleted && !a->stopped;
	if (told)
		a->ops.deleted(a->ops.ctx, p->node);
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (old)
		hold_end_until(old, &a->stop);
}

static void renew_job(void *arg)
{
	struct autopin *p = arg;
	struct autopins *a = p->set;

	hold_tick(p->hold);
	pthread_mutex_lock(&a->lock);
	p->busy = false;
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

static void end_job(void *arg)
{
	struct autopin *p = arg;

	hold_end_until(p->hold, &p->set->enough);
	free(p);
}

static void unlink_pin(struct autopins *a, struct autopin *p)
{
	struct autopin **at;

	for (at = &a->first; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	if (a->last == p)
		a->last = NULL;
}

void autopin_finish(struct autopins *a, struct autopin *p)
{
	unlink_pin(a, p);
	if (!p->hold || pool_submit(a->pool, end_job, p) < 0) {
		if (p->hold)
			hold_abandon(p->hold);
		free(p);
	}
}

void autopin_lose(struct autopins *a, struct autopin *p)
{
	metric_add(a->lost, 1);
	hold_check(p->hold, &p->why);
	log_write(a->o.log, LOG_LEVEL_WARNING, "pin-lost", "%s", p->why.message);
	p->state = PIN_IS_LOST;
	p->retry_ms = 0;
	p->tried = false;
	p->begun_ms = clock_elapsed_ms(a->clock); /* who reads waits for its renewal to end */
}

/* ---- what is due ---- */

static void look_after(struct autopins *a, struct autopin *p, int64_t now)
{
	if (p->busy)
		return;
	if (p->uses == 0 && (p->state == PIN_IS_GONE || now - p->used_ms >= a->o.linger_ms)) {
		autopin_finish(a, p);
		return;
	}
	if (p->state == PIN_IS_HELD && hold_check(p->hold, NULL) < 0)
		autopin_lose(a, p);
	if (p->state == PIN_IS_HELD && hold_is_due(p->hold))
		submit(a, p, renew_job);
	else if ((p->state == PIN_WAITS || p->state == PIN_IS_LOST) && p->uses > 0 &&
		 now >= p->retry_ms)
		autopin_begin(a, p);
}

static void *tick(void *arg)
{
	struct autopins *a = arg;

	pthread_setname_np(pthread_self(), "pins");
	pthread_mutex_lock(&a->lock);
	while (!a->stopped) {
		struct timespec until;
		struct autopin *next;

		for (struct autopin *p = a->first; p; p = next) {
			next = p->next;
			look_after(a, p, clock_elapsed_ms(a->clock));
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += TICK_MS / 1000;
		if (a->first)
			pthread_cond_timedwait(&a->due, &a->lock, &until);
		else
			pthread_cond_wait(&a->due, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* With the lock held. Where no thread can be had it is tried again with the next pin; the pin ends at the end of the mount. */
static void start_ticking(struct autopins *a)
{
	sigset_t all, old;

	if (!a->ticking && !a->stopped) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		a->ticking = pthread_create(&a->ticker, NULL, tick, a) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	pthread_cond_signal(&a->due);
}

void autopin_begin(struct autopins *a, struct autopin *p)
{
	if (a->stopped)
		return;
	if (!p->tried)
		p->begun_ms = clock_elapsed_ms(a->clock);
	p->tried = true;
	start_ticking(a);
	submit(a, p, begin_job);
}

/* ---- the end ---- */

/* All jobs end; those that end pins ask a store that may be gone, for minutes each, and many of them may wait for a thread. */
static void drain(struct autopins *a)
{
	const struct watch_options limit = { .clock = a->clock,
					     .limit_ms = a->o.end_ms,
					     .fire = watch_set_cancel,
					     .ctx = &a->enough };
	_cleanup_(watch_stopp) struct watch *watch = NULL;

	if (pool_pending(a->pool) > 0 && watch_start(&limit, &watch, NULL) < 0)
		cancel_set(&a->enough, 1); /* no end without a limit */
	pool_drain(a->pool);
}

void autopin_stop(struct autopins *a)
{
	pthread_mutex_lock(&a->lock);
	a->stopped = true;
	cancel_set(&a->stop, 1);
	for (struct autopin *p = a->first; p; p = p->next)
		if (p->hold)
			hold_stop(p->hold);
	pthread_cond_signal(&a->due);
	pthread_cond_broadcast(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (a->ticking)
		pthread_join(a->ticker, NULL);
	a->ticking = false;
	drain(a);
}

void autopin_free(struct autopins *a)
{
	autopin_stop(a);
	while (a->first)
		autopin_finish(a, a->first);
	drain(a);
	pool_free(a->pool);
	pthread_cond_destroy(&a->changed);
	pthread_cond_destroy(&a->due);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* ---- for people ---- */

static const char *state_text(const struct autopin *p)
{
	switch (p->state) {
	case PIN_IS_HELD:
		return "held";
	case PIN_IS_LOST:
		return "lost";
	case PIN_IS_GONE:
		return "gone: the backup was deleted";
	default:
		return "not held yet";
	}
}

static void describe_one(const struct autopin *p, struct wbuf *out)
{
	_cleanup_free_ char *age =
		p->state == PIN_IS_HELD
			? util_printf(", renewed %lld s ago", (long long)hold_age_s(p->hold))
		: p->why.code ? util_printf(" (%s)", p->why.message)
			      : NULL;
	_cleanup_free_ char *line = util_printf("pinned %s/%s/%s: %s, %u files open%s",
						p->where.cluster, p->where.node, p->backup,
						state_text(p), p->uses, age ? age : "");

	if (!line)
		return;
	util_one_line(line);
	wbuf_put(out, line, strlen(line));
	wbuf_put(out, "\n", 1);
}

static unsigned count_held(const struct autopins *a, unsigned *ret_all)
{
	unsigned held = 0;

	*ret_all = 0;
	for (const struct autopin *p = a->first; p; p = p->next) {
		held += p->state == PIN_IS_HELD;
		(*ret_all)++;
	}
	return held;
}

void autopin_describe(struct autopins *a, struct wbuf *out)
{
	_cleanup_free_ char *line = NULL;
	unsigned all, held;

	pthread_mutex_lock(&a->lock);
	held = count_held(a, &all);
	line = a->denied ? util_printf("pins: none: the repository cannot be written (%s)",
				       a->why_denied.message)
			 : util_printf("pins: %u held of %u wanted", held, all);
	if (line) {
		util_one_line(line);
		wbuf_put(out, line, strlen(line));
		wbuf_put(out, "\n", 1);
	}
	for (const struct autopin *p = a->first; p; p = p->next)
		describe_one(p, out);
	pthread_mutex_unlock(&a->lock);
}

void autopin_count(struct autopins *a, struct metrics *m)
{
	unsigned all, held;

	pthread_mutex_lock(&a->lock);
	held = count_held(a, &all);
	pthread_mutex_unlock(&a->lock);
	metric_set(
		metrics_counter(m, "pins_held",
				"backups that are pinned because files of them are or were open"),
		held);
	metric_set(metrics_counter(m, "pins_wanted", "the same, and those that cannot be pinned"),
		   all);
}
