/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "store/retry.h"

#define SLICE_MS 50 /* slept between two looks at cancel */

struct retry_store {
	struct store store;
	struct store *below;
	struct retry_options o; /* defaults filled in */
	struct metric *retries, *gave_up;
	pthread_mutex_t lock; /* protects the budget */
	struct retry_budget budget;
	atomic_bool answered; /* whatever it was */
};

static struct retry_store *retry_of(struct store *s)
{
	return (struct retry_store *)s;
}

static struct retry_options with_defaults(struct retry_options o)
{
	o.max_attempts = o.max_attempts ? o.max_attempts : 32;
	o.base_ms = o.base_ms ? o.base_ms : 100;
	o.cap_ms = o.cap_ms ? o.cap_ms : 10000;
	o.total_ms = o.total_ms ? o.total_ms : 45000;
	o.unknown_ms = MIN_OF(o.unknown_ms ? o.unknown_ms : 10000, o.total_ms);
	return o;
}

int retry_delay_ms(const struct retry_options *options, unsigned attempt, uint32_t random,
		   int retry_after_ms, int64_t left_ms)
{
	struct retry_options o = with_defaults(*options);
	int64_t asked = MIN_OF(MAX_OF(retry_after_ms, 0), RETRY_AFTER_MAX_MS);
	int64_t window = o.base_ms, delay;

	for (unsigned i = 1; i < attempt && window < o.cap_ms; i++)
		window *= 2;
	window = MIN_OF(window, o.cap_ms);
	delay = asked + (int64_t)(((uint64_t)window + 1) * random >> 32);
	/* What chance adds does not use up the time that is left: the last attempt is at its end. */
	delay = MAX_OF(MIN_OF(delay, left_ms - 1), asked);
	return (int)MIN_OF(delay, INT32_MAX);
}

/* ---- the budget ---- */

static void add_tokens(struct retry_budget *b, int64_t thousandths)
{
	b->thousandths = MIN_OF(b->thousandths + thousandths, RETRY_BUDGET_TOKENS * 1000LL);
}

void retry_budget_init(struct retry_budget *b, int64_t now_ms)
{
	*b = (struct retry_budget){ .thousandths = RETRY_BUDGET_TOKENS * 1000LL, .at_ms = now_ms };
}

int retry_budget_take(struct retry_budget *b, int64_t now_ms)
{
	add_tokens(b, (now_ms - b->at_ms) * RETRY_BUDGET_PER_SECOND);
	b->at_ms = now_ms;
	b->thousandths -= 1000;
	return b->thousandths >= 0 ? 0 : (int)(-b->thousandths / RETRY_BUDGET_PER_SECOND);
}

void retry_budget_return(struct retry_budget *b)
{
	add_tokens(b, 1000);
}

void retry_budget_good_answer(struct retry_budget *b)
{
	add_tokens(b, 1000 / RETRY_BUDGET_GOOD_ANSWERS);
}

/* ---- one request ---- */

bool retry_may_repeat(int r, const struct err *e, bool is_put, enum store_cond cond)
{
	if (r >= 0)
		return r == STORE_CONFLICT;
	if (!e->retryable || r == -ENOSPC || r == -ECANCELED)
		return false;
	if (e->kind == ERR_USAGE || e->kind == ERR_CREDENTIALS || e->kind == ERR_CORRUPT)
		return false;
	return !is_put || !e->outcome_unknown || cond == STORE_ALWAYS;
}

static void sleep_slices(void *ctx, int ms, const struct cancel *c)
{
	while (ms > 0 && !cancel_is_set(c)) {
		int slice = MIN_OF(ms, SLICE_MS);
		struct timespec t = { .tv_nsec = slice * 1000000L };

		nanosleep(&t, NULL);
		ms -= slice;
	}
}

/* One request and its repetitions. */
struct attempts {
	struct retry_store *retry;
	unsigned made;
	int64_t failed_ms; /* when the first attempt had failed, -1: not yet */
	struct err
		err; /* of the attempt at hand: the caller's stays untouched until there is nothing left to try */
};

static struct attempts attempts_begin(struct retry_store *retry)
{
	return (struct attempts){ .retry = retry, .failed_ms = -1 };
}

/* How long to wait before the next attempt; < 0: there is none. */
static int next_delay_ms(struct attempts *a, int retry_after_ms)
{
	struct retry_store *t = a->retry;
	int64_t now_ms = clock_elapsed_ms(t->o.clock), left_ms;
	uint32_t random;
	int delay_ms, budget_ms;
	bool in_time;

	if (a->failed_ms < 0)
		a->failed_ms = now_ms;
	left_ms = (t->answered ? t->o.total_ms : t->o.unknown_ms) - (now_ms - a->failed_ms);
	clock_random(t->o.clock, &random, sizeof(random));
	delay_ms = retry_delay_ms(&t->o, a->made, random, retry_after_ms, left_ms);
	pthread_mutex_lock(&t->lock);
	budget_ms = retry_budget_take(&t->budget, now_ms);
	delay_ms = MAX_OF(delay_ms, budget_ms);
	in_time = a->made < t->o.max_attempts && left_ms > 1 && delay_ms < left_ms;
	if (!in_time)
		retry_budget_return(&t->budget);
	pthread_mutex_unlock(&t->lock);
	return in_time ? delay_ms : -1;
}

static void good_answer(struct retry_store *t)
{
	pthread_mutex_lock(&t->lock);
	retry_budget_good_answer(&t->budget);
	pthread_mutex_unlock(&t->lock);
}

/* After an attempt that ended with r: true, after the wait, where another shall be made; else *r is the result, and *e filled. */
static bool again(struct attempts *a, int *r, bool is_put, enum store_cond cond,
		  const struct cancel *c, struct err *e)
{
	const struct retry_options *o = &a->retry->o;
	bool may_repeat = retry_may_repeat(*r, &a->err, is_put, cond);
	int delay_ms;

	a->made++;
	if (*r >= 0 || a->err.http_status)
		a->retry->answered = true;
	if (may_repeat) {
		delay_ms = next_delay_ms(a, *r < 0 ? a->err.retry_after_ms : 0);
		if (delay_ms >= 0) {
			metric_add(a->retry->retries, 1);
			o->sleep_ms(o->sleep_ctx, delay_ms, c);
			a->err = ERR_INIT;
			if (!cancel_is_set(c))
				return true;
			*r = err_set(e, ERR_IO, -ECANCELED, "interrupted");
			return false;
		}
		metric_add(a->retry->gave_up, 1);
	} else if (*r >= 0) {
		good_answer(a->retry);
	}
	if (*r < 0 && e)
		*e = a->err;
	if (*r < 0 && a->made > 1)
		err_wrap(e, *r, "given up after %u attempts", a->made);
	return false;
}

static int retry_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct retry_store *t = retry_of(s);
	struct attempts a = attempts_begin(t);
	int r;

	do {
		r = t->below->ops->put(t->below, req, ret, c, &a.err);
	} while (again(&a, &r, true, req->cond, c, e));
	return r;
}

/* A get whose bytes are looked at as they arrive: what was told of is there, so that only the rest is asked for again. */
struct rest {
	const struct store_get *req;
	struct store_get part; /* of it: what is left */
	uint64_t all_bytes;
	size_t before, told; /* bytes: before the part; told so far */
	uint8_t spare;	     /* for the last byte, where only the answer is missing */
};

static void pass_on(void *ctx, size_t done)
{
	struct rest *rest = ctx;

	rest->told = rest->before + done;
	rest->req->progress(rest->req->progress_ctx, rest->told);
}

static struct rest rest_begin(const struct store_get *req)
{
	struct rest rest = { .req = req, .part = *req };

	rest.all_bytes = req->whole ? req->expected_bytes : req->len_bytes;
	return rest;
}

static void rest_next(struct rest *rest)
{
	size_t from = MIN_OF(rest->told, rest->all_bytes - 1);

	if (rest->told == 0)
		return;
	rest->before = rest->told;
	rest->part.whole = false;
	rest->part.offset = rest->req->offset + from;
	rest->part.len_bytes = rest->all_bytes - from;
	rest->part.cap_bytes = rest->part.len_bytes;
	rest->part.dst = (char *)rest->req->dst + from;
	if (from < rest->told) {
		rest->part.dst = &rest->spare;
		rest->part.progress = NULL;
	}
}

static int retry_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct retry_store *t = retry_of(s);
	struct attempts a = attempts_begin(t);
	struct rest rest = rest_begin(req);
	int r;

	if (req->progress) {
		rest.part.progress = pass_on;
		rest.part.progress_ctx = &rest;
	}
	do {
		rest_next(&rest);
		r = t->below->ops->get(t->below, &rest.part, ret, c, &a.err);
	} while (again(&a, &r, false, STORE_ALWAYS, c, e));
	if (r == 0 && req->whole && rest.before > 0 && ret->size_bytes != rest.all_bytes)
		r = err_set(e, ERR_CORRUPT, -EFBIG,
			    "%" PRIu64 " bytes where %" PRIu64 " are expected", ret->size_bytes,
			    rest.all_bytes);
	return r;
}

static int retry_head(struct store *s, const char *key, struct store_meta *ret,
		      const struct cancel *c, struct err *e)
{
	struct retry_store *t = retry_of(s);
	struct attempts a = attempts_begin(t);
	int r;

	do {
		r = t->below->ops->head(t->below, key, ret, c, &a.err);
	} while (again(&a, &r, false, STORE_ALWAYS, c, e));
	return r;
}

/* A listing that fails half-way goes on behind the last entry that was handed out. */
struct resumable {
	const struct store_list *req;
	struct attempts *attempts;
	char last[STORE_KEY_MAX + 1]; /* "": none yet */
	bool refused;		      /* the caller's callback failed: its error is forwarded */
};

static int hand_out(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct resumable *l = ctx;
	int r;

	if (strcmp(entry->key, l->last) <= 0)
		return 0; /* a group comes again, with the keys that are behind its name */
	r = l->req->entry(l->req->ctx, entry, e);
	l->refused = r < 0;
	strncpy(l->last, entry->key, STORE_KEY_MAX);
	l->attempts->made = 0;
	l->attempts->failed_ms = -1;
	return r;
}

static int retry_list(struct store *s, const struct store_list *req, const struct cancel *c,
		      struct err *e)
{
	struct retry_store *t = retry_of(s);
	struct attempts a = attempts_begin(t);
	struct resumable l = { .req = req, .attempts = &a };
	struct store_list part = *req;
	int r;

	part.entry = hand_out;
	part.ctx = &l;
	do {
		r = t->below->ops->list(t->below, &part, c, &a.err);
		if (l.refused)
			a.err.retryable = false;
		if (l.last[0])
			part.start_after = l.last;
	} while (again(&a, &r, false, STORE_ALWAYS, c, e));
	return r;
}

static int retry_delete_many(struct store *s, const char *const *keys, size_t count,
			     struct store_delete_error *errors, size_t *ret_error_count,
			     const struct cancel *c, struct err *e)
{
	struct retry_store *t = retry_of(s);
	struct attempts a = attempts_begin(t);
	int r;

	do {
		r = t->below->ops->delete_many(t->below, keys, count, errors, ret_error_count, c,
					       &a.err);
	} while (again(&a, &r, false, STORE_ALWAYS, c, e));
	return r;
}

static unsigned retry_caps(struct store *s)
{
	return store_caps(retry_of(s)->below);
}

static void retry_free(struct store *s)
{
	store_free(retry_of(s)->below);
	pthread_mutex_destroy(&retry_of(s)->lock);
	free(s);
}

static const struct store_ops retry_ops = {
	.name = "retry",
	.put = retry_put,
	.get = retry_get,
	.head = retry_head,
	.list = retry_list,
	.delete_many = retry_delete_many,
	.caps = retry_caps,
	.free = retry_free,
};

struct store *retry_store_new(struct store *below, const struct retry_options *options)
{
	struct retry_store *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->store.ops = &retry_ops;
	t->below = below;
	t->o = with_defaults(*options);
	pthread_mutex_init(&t->lock, NULL);
	retry_budget_init(&t->budget, clock_elapsed_ms(t->o.clock));
	if (!t->o.sleep_ms)
		t->o.sleep_ms = sleep_slices;
	if (t->o.metrics) {
		t->retries = metrics_counter(t->o.metrics, "store_retries_total",
					     "Requests that were made again");
		t->gave_up = metrics_counter(t->o.metrics, "store_gave_up_total",
					     "Requests that failed after the last attempt");
	}
	return &t->store;
}
