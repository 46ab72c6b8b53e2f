/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits stands in a list in order of arrival and sleeps on a condition of its own; only the first may take. So a
 * large request is not overtaken for ever by small ones, and giving back wakes one thread.
 */
#include "base/budget.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define CANCEL_LOOK_NS 100000000L

struct waiter {
	pthread_cond_t wake;
	struct waiter *next;
};

struct budget {
	uint64_t limit;
	pthread_mutex_t lock; /* everything below */
	uint64_t used, peak;
	struct waiter *first, **last;
};

struct budget *budget_new(uint64_t limit_bytes)
{
	struct budget *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->limit = limit_bytes;
	b->last = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void budget_free(struct budget *b)
{
	if (!b)
		return;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static bool fits(const struct budget *b, uint64_t bytes)
{
	return b->used == 0 || (b->used <= b->limit && bytes <= b->limit - b->used);
}

static void take(struct budget *b, uint64_t bytes)
{
	b->used += bytes;
	b->peak = MAX_OF(b->peak, b->used);
}

int budget_try(struct budget *b, uint64_t bytes)
{
	int r = -EAGAIN;

	pthread_mutex_lock(&b->lock);
	if (!b->first && fits(b, bytes)) {
		take(b, bytes);
		r = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

static void wake_first(struct budget *b)
{
	if (b->first)
		pthread_cond_signal(&b->first->wake);
}

static void enter(struct budget *b, struct waiter *w)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	w->next = NULL;
	*b->last = w;
	b->last = &w->next;
}

static void leave(struct budget *b, struct waiter *w)
{
	struct waiter **at = &b->first;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (!w->next)
		b->last = at;
	pthread_cond_destroy(&w->wake);
}

/* Until woken, and no longer than it takes to notice a cancellation. */
static void doze(struct budget *b, struct waiter *w, const struct cancel *cancel)
{
	struct timespec until;

	if (!cancel) {
		pthread_cond_wait(&w->wake, &b->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += CANCEL_LOOK_NS;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&w->wake, &b->lock, &until);
}

int budget_take(struct budget *b, uint64_t bytes, const struct cancel *cancel)
{
	struct waiter w;
	int r = 0;

	pthread_mutex_lock(&b->lock);
	enter(b, &w);
	while (b->first != &w || !fits(b, bytes)) {
		if (cancel_is_set(cancel)) {
			r = -ECANCELED;
			break;
		}
		doze(b, &w, cancel);
	}
	if (r == 0)
		take(b, bytes);
	leave(b, &w);
	wake_first(b); /* what is left may do for the next one */
	pthread_mutex_unlock(&b->lock);
	return r;
}

void budget_give(struct budget *b, uint64_t bytes)
{
	pthread_mutex_lock(&b->lock);
	b->used -= MIN_OF(bytes, b->used);
	wake_first(b);
	pthread_mutex_unlock(&b->lock);
}

uint64_t budget_used(struct budget *b)
{
	uint64_t used;

	pthread_mutex_lock(&b->lock);
	used = b->used;
	pthread_mutex_unlock(&b->lock);
	return used;
}

uint64_t budget_peak(struct budget *b)
{
	uint64_t peak;

	pthread_mutex_lock(&b->lock);
	peak = b->peak;
	pthread_mutex_unlock(&b->lock);
	return peak;
}

uint64_t budget_limit(const struct budget *b)
{
	return b->limit;
}
