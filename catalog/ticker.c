/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/ticker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#define TICK_NS 100000000L
#define SECOND_NS 1000000000L

struct ticker {
	void (*fn)(void *ctx);
	void *ctx;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stop; /* protected by lock */
};

static struct timespec next_tick(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += TICK_NS;
	if (t.tv_nsec >= SECOND_NS) {
		t.tv_nsec -= SECOND_NS;
		t.tv_sec++;
	}
	return t;
}

static void *tick(void *arg)
{
	struct ticker *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		struct timespec next;

		pthread_mutex_unlock(&t->lock);
		t->fn(t->ctx);
		next = next_tick();
		pthread_mutex_lock(&t->lock);
		while (!t->stop &&
		       pthread_cond_timedwait(&t->changed, &t->lock, &next) != ETIMEDOUT)
			;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

static void init_sync(struct ticker *t)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&t->lock, NULL);
}

static void ticker_free(struct ticker *t)
{
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int ticker_start(const char *name, void (*fn)(void *ctx), void *ctx, struct ticker **ret,
		 struct err *e)
{
	struct ticker *t = calloc(1, sizeof(*t));
	sigset_t all, old;
	int r;

	if (!t)
		return err_nomem(e);
	t->fn = fn;
	t->ctx = ctx;
	init_sync(t);
	/* A thread inherits the signal mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->thread, NULL, tick, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		ticker_free(t);
		return err_errno(e, -r, "cannot start a thread");
	}
	pthread_setname_np(t->thread, name);
	*ret = t;
	return 0;
}

void ticker_stop(struct ticker *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	ticker_free(t);
}
