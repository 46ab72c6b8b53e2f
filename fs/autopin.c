/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/autopin_private.h"

#include <string.h>

#define LINGER_MS 900000
#define WAIT_MS 2000
#define RETRY_MS 15000
#define END_MS 10000
#define PINS_MAX 256
#define SLICE_MS 100 /* how soon a waiter sees that it was cancelled */

struct autopins *autopin_new(const struct autopin_options *o)
{
	struct autopins *a = calloc(1, sizeof(*a));
	pthread_condattr_t attr;

	if (!a)
		return NULL;
	a->o = *o;
	a->o.linger_ms = o->linger_ms ? o->linger_ms : LINGER_MS;
	a->o.wait_ms = o->wait_ms ? o->wait_ms : WAIT_MS;
	a->o.retry_ms = o->retry_ms ? o->retry_ms : RETRY_MS;
	a->o.end_ms = o->end_ms ? o->end_ms : END_MS;
	a->o.max = o->max ? o->max : PINS_MAX;
	a->clock = repo_clock(o->repo);
	a->lost = metrics_counter(o->metrics, "pins_lost_total", "pins that this mount lost");
	a->failed = metrics_counter(o->metrics, "pins_failed_total",
				    "attempts to pin a backup that failed");
	a->refused = metrics_counter(o->metrics, "pins_refused_total",
				     "files opened without a pin, because there were too many");
	a->pool = pool_new("pins", AUTOPIN_THREADS);
	if (!a->pool) {
		free(a);
		return NULL;
	}
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attr);
	pthread_cond_init(&a->due, &attr);
	pthread_condattr_destroy(&attr);
	return a;
}

void autopin_set_ops(struct autopins *a, const struct autopin_ops *ops)
{
	pthread_mutex_lock(&a->lock);
	a->ops = *ops;
	pthread_mutex_unlock(&a->lock);
}

static struct autopin *find(struct autopins *a, uint32_t node, const struct ulid *writer)
{
	struct autopin *p;

	for (p = a->first; p; p = p->next)
		if (p->node == node && memcmp(&p->writer, writer, sizeof(*writer)) == 0)
			break;
	return p;
}

/* Room for one more: the one that was unused for longest ends. false: all are in use. */
static bool make_room(struct autopins *a)
{
	struct autopin *victim = NULL;
	unsigned count = 0;

	for (struct autopin *p = a->first; p; p = p->next) {
		count++;
		if (p->uses == 0 && !p->busy && (!victim || p->used_ms < victim->used_ms))
			victim = p;
	}
	if (count < a->o.max)
		return true;
	if (victim)
		autopin_finish(a, victim);
	return victim != NULL;
}

static struct autopin *add(struct autopins *a, uint32_t node, const struct autopin_choice *c)
{
	struct autopin *p = make_room(a) ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		metric_add(a->refused, 1);
		log_write(a->o.log, LOG_LEVEL_WARNING, "no-pin",
			  "backup %s of node %s is not pinned while it is read: %u others are",
			  c->backup, c->where.node, a->o.max);
		return NULL;
	}
	p->set = a;
	p->node = node;
	p->where = c->where;
	p->writer = c->writer;
	p->root = c->root;
	memcpy(p->backup, c->backup, sizeof(p->backup));
	p->next = a->first;
	a->first = p;
	return p;
}

/* ---- which one ---- */

/* The pins of a node for who chooses; those that were used last come first. */
static size_t list_known(struct autopins *a, uint32_t node, struct autopin_known *out, size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&a->lock);
	for (int pass = 0; pass < 2; pass++)
		for (const struct autopin *p = a->first; p && count < max; p = p->next)
			if (p->node == node && (p == a->last) == (pass == 0))
				out[count++] = (struct autopin_known){ p->writer,
								       p->state == PIN_IS_GONE };
	pthread_mutex_unlock(&a->lock);
	return count;
}

static int choose(struct autopins *a, uint32_t node, uint64_t ino, struct autopin_choice *ret)
{
	struct autopin_known known[PINS_MAX];
	size_t count = list_known(a, node, known, PINS_MAX);

	return a->ops.choose ? a->ops.choose(a->ops.ctx, node, ino, known, count, ret)
			     : AUTOPIN_NONE;
}

/* With the lock held. */
static void attach(struct autopins *a, struct autopin_use *use, struct autopin *p, bool sure)
{
	if (use->pin) {
		use->pin->uses--;
		use->pin->used_ms = clock_elapsed_ms(a->clock);
	}
	use->pin = p;
	use->sure = sure;
	if (p) {
		p->uses++;
		p->used_ms = clock_elapsed_ms(a->clock);
		a->last = p;
	}
}

/* ---- waiting ---- */

static int64_t left_ms(const struct autopins *a, const struct autopin *p)
{
	return p->begun_ms + a->o.wait_ms - clock_elapsed_ms(a->clock);
}

static void wait_slice(struct autopins *a)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += SLICE_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_cond_timedwait(&a->changed, &a->lock, &until);
}

static bool is_wanted(const struct autopin *p)
{
	return p->state == PIN_WAITS || p->state == PIN_IS_LOST;
}

/*
 * With the lock held: until the first attempt to pin (again) has ended, or has lasted too long. 0, VIEW_WOULD_BLOCK or -EINTR. The pin is in use, so it stays.
 */
static int wait_for(struct autopins *a, struct autopin *p, struct view_wait w, struct err *e)
{
	bool begun = false;

	if (p->state == PIN_IS_HELD && hold_check(p->hold, NULL) < 0)
		autopin_lose(a, p);
	while (is_wanted(p) && !a->stopped) {
		bool begins = !p->busy && !begun && clock_elapsed_ms(a->clock) >= p->retry_ms;

		if (!begins && (!p->busy || left_ms(a, p) <= 0))
			break;
		if (!w.wait)
			return VIEW_WOULD_BLOCK;
		if (cancel_is_set(w.cancel))
			return err_set(e, ERR_IO, -EINTR, "interrupted while waiting for a pin");
		/* One that was lost while it was renewed is begun again when that has ended. */
		if (begins)
			autopin_begin(a, p);
		begun = begun || begins;
		if (p->busy)
			wait_slice(a);
	}
	return 0;
}

/* ---- files ---- */

static int gone(struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, -ESTALE, "its backup was deleted");
}

/* One choice: 0, AUTOPIN_GONE where what was chosen is gone meanwhile, VIEW_WOULD_BLOCK, or < 0. */
static int use_choice(struct autopins *a, const struct autopin_choice *c, struct view_wait w,
		      struct autopin_use *use, struct err *e)
{
	struct autopin *p;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	p = find(a, use->node, &c->writer);
	if (!p && !w.wait)
		r = VIEW_WOULD_BLOCK;
	else if (!p && !*c->backup)
		r = AUTOPIN_GONE; /* it ended meanwhile */
	else if (!p)
		p = add(a, use->node, c);
	if (p && r == 0) {
		attach(a, use, p, c->sure);
		r = wait_for(a, p, w, e);
		if (r == 0 && p->state == PIN_IS_GONE)
			r = AUTOPIN_GONE;
		if (r != 0)
			attach(a, use, NULL, false);
	}
	pthread_mutex_unlock(&a->lock);
	return r;
}

_Static_assert((int)AUTOPIN_GONE != (int)VIEW_WOULD_BLOCK &&
		       (int)AUTOPIN_NONE != (int)VIEW_WOULD_BLOCK,
	       "told apart below");

/* Whether nothing need be tried, because a little while ago the store let us write nothing. */
static bool is_denied(struct autopins *a)
{
	bool denied;

	pthread_mutex_lock(&a->lock);
	denied = a->denied && clock_elapsed_ms(a->clock) < a->denied_until_ms;
	pthread_mutex_unlock(&a->lock);
	return denied;
}

int autopin_open(struct autopins *a, uint32_t node, uint64_t ino, struct view_wait w,
		 struct autopin_use *use, struct err *e)
{
	struct autopin_choice c;
	int r = is_denied(a) ? AUTOPIN_NONE : AUTOPIN_GONE;

	use->node = node;
	use->ino = ino;
	/* Each turn finds one more that is gone. */
	for (unsigned turn = 0; r == AUTOPIN_GONE && turn <= a->o.max; turn++) {
		r = choose(a, node, ino, &c);
		if (r == AUTOPIN_GONE)
			return gone(e);
		if (r == 0)
			r = use_choice(a, &c, w, use, e);
		else
			return 0;
	}
	return r == AUTOPIN_NONE ? 0 : r == AUTOPIN_GONE ? gone(e) : r;
}

void autopin_close(struct autopins *a, struct autopin_use *use)
{
	pthread_mutex_lock(&a->lock);
	attach(a, use, NULL, false);
	pthread_mutex_unlock(&a->lock);
}

/* Another backup may have the file too; that it was a guess which one has it is made good here as well. */
static void choose_again(struct autopins *a, struct autopin_use *use, struct view_wait w)
{
	struct autopin_use fresh = { .node = use->node, .ino = use->ino };
	struct autopin_choice c;
	bool none = false;
	int r = AUTOPIN_GONE;

	/* As in autopin_open: what is chosen may be gone too. */
	for (unsigned turn = 0; r == AUTOPIN_GONE && !none && turn <= a->o.max; turn++) {
		none = choose(a, use->node, use->ino, &c) != 0;
		if (!none)
			r = use_choice(a, &c, w, &fresh, NULL);
	}
	pthread_mutex_lock(&a->lock);
	if (none) {
		use->sure = true; /* there is no better one: not to be looked for at each read */
	} else if (r == 0) {
		attach(a, use, fresh.pin, fresh.sure);
		attach(a, &fresh, NULL, false);
	}
	pthread_mutex_unlock(&a->lock);
}

static int lost(const struct autopin *p, struct err *e)
{
	return err_set(e, ERR_CONFLICT, -EIO, "backup %s of node %s is not read any more: %s",
		       p->backup, p->where.node, p->why.message);
}

/* The state of a use's pin. 0: to be read; AUTOPIN_GONE: another one must be found; VIEW_WOULD_BLOCK; or < 0. */
static int check(struct autopins *a, struct autopin_use *use, struct view_wait w, struct err *e)
{
	struct autopin *p;
	int r = 0;

	pthread_mutex_lock(&a->lock);
	p = use->pin;
	if (p && p->state == PIN_IS_HELD && hold_check(p->hold, NULL) < 0)
		autopin_lose(a, p);
	if (p && p->state == PIN_IS_LOST) {
		p->uses++; /* another read of the file may leave it meanwhile */
		r = wait_for(a, p, w, e);
		p->uses--;
	}
	if (r == 0 && p && p->state == PIN_IS_GONE)
		r = AUTOPIN_GONE;
	if (r == 0 && p && p->state == PIN_IS_LOST)
		r = lost(p, e);
	if (r == AUTOPIN_GONE && p)
		lost(p, e);
	pthread_mutex_unlock(&a->lock);
	return r;
}

int autopin_check(struct autopins *a, struct autopin_use *use, struct view_wait w, struct err *e)
{
	bool guessed;
	int r = check(a, use, w, e);

	pthread_mutex_lock(&a->lock);
	guessed = use->pin && !use->sure;
	pthread_mutex_unlock(&a->lock);
	if (r == AUTOPIN_GONE || (r == 0 && guessed && a->ops.settled(a->ops.ctx, use->node))) {
		if (!w.wait)
			return VIEW_WOULD_BLOCK;
		choose_again(a, use, w);
		r = check(a, use, w, e);
	}
	return r == AUTOPIN_GONE ? -EIO : r;
}

int autopin_explain(struct autopins *a, struct autopin_use *use, int r, struct err *e)
{
	const char *why;

	if (r != -ENOENT)
		return r;
	pthread_mutex_lock(&a->lock);
	why = use && use->pin && use->pin->state == PIN_IS_HELD ? NULL
	      : a->denied
		      ? "this mount may not write to the repository, so it cannot pin what it reads"
		      : "it was not pinned";
	pthread_mutex_unlock(&a->lock);
	return why ? err_wrap(e, r, "if its backup was deleted and collected, that is why (%s)",
			      why)
		   : r;
}
