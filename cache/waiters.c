/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/waiters.h"

#include <errno.h>
#include <time.h>

#define CANCEL_LOOK_NS (100 * 1000000L)
#define SECOND_NS 1000000000L

struct waiter {
	struct waiter *next;
	pthread_cond_t wake;
	uint64_t want;
	bool told;
	int result;
	struct err *e;
};

static void look_again_at(struct timespec *at)
{
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_nsec += CANCEL_LOOK_NS;
	if (at->tv_nsec >= SECOND_NS) {
		at->tv_nsec -= SECOND_NS;
		at->tv_sec++;
	}
}

static void add_last(struct waiter **list, struct waiter *w)
{
	while (*list)
		list = &(*list)->next;
	*list = w;
}

static void take_out(struct waiter **list, const struct waiter *w)
{
	while (*list != w)
		list = &(*list)->next;
	*list = w->next;
}

int waiters_wait(struct waiter **list, pthread_mutex_t *lock, uint64_t want, const struct cancel *c,
		 struct err *e)
{
	struct waiter w = { .want = want, .e = e };
	pthread_condattr_t attr;
	struct timespec at;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.wake, &attr);
	pthread_condattr_destroy(&attr);
	add_last(list, &w);
	while (!w.told && !cancel_is_set(c)) {
		if (c) {
			look_again_at(&at);
			pthread_cond_timedwait(&w.wake, lock, &at);
		} else {
			pthread_cond_wait(&w.wake, lock);
		}
	}
	if (!w.told) {
		take_out(list, &w);
		w.result = err_set(e, ERR_IO, -ECANCELED, "the read was given up");
	}
	pthread_cond_destroy(&w.wake);
	return w.result;
}

/* Takes *link out of its list and ends its wait. */
static void tell(struct waiter **link, int result)
{
	struct waiter *w = *link;

	*link = w->next;
	w->told = true;
	w->result = result;
	pthread_cond_signal(&w->wake);
}

void waiters_done(struct waiter **list, uint64_t present)
{
	while (*list) {
		if ((*list)->want & ~present)
			list = &(*list)->next;
		else
			tell(list, 0);
	}
}

void waiters_failed(struct waiter **list, uint64_t blocks, int code, const struct err *e)
{
	while (*list) {
		if (!((*list)->want & blocks)) {
			list = &(*list)->next;
			continue;
		}
		if ((*list)->e)
			*(*list)->e = *e;
		tell(list, code);
	}
}

void waiters_wake(struct waiter *list)
{
	for (; list; list = list->next)
		pthread_cond_signal(&list->wake);
}
