/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those who wait for blocks of an object, or for memory. Each has a condition of its own, so that only those are woken whose wait is over.
 * All calls with the lock held that waiters_wait is given.
 */
#ifndef SSTABLEFS_CACHE_WAITERS_H
#define SSTABLEFS_CACHE_WAITERS_H

#include <pthread.h>
#include "base/cancel.h"
#include "base/err.h"

struct waiter; /* lives on the stack of who waits */

/* Waits in *list until told, or until c is set: 0, what waiters_failed was given (with its text in e), or -ECANCELED. want: blocks, as a mask; of those who wait for memory 0. */
int waiters_wait(struct waiter **list, pthread_mutex_t *lock, uint64_t want, const struct cancel *c,
		 struct err *e);
/* Those are told whose blocks are all in `present`; all where they wait for memory. */
void waiters_done(struct waiter **list, uint64_t present);
/* Those are told who want any of `blocks`. */
void waiters_failed(struct waiter **list, uint64_t blocks, int code, const struct err *e);
/* All look at their cancel token now. */
void waiters_wake(struct waiter *list);

#endif
