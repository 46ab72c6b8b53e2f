/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the threads of one backup share: the first failure, which stops them all, and a bell that rings when something was finished.
 *
 * `lock` protects small shared fields of the modules that work together (each says which); it is never held across I/O. Whoever changes what the backup's
 * main thread may wait for calls work_ring.
 */
#ifndef SSTABLEFS_CATALOG_WORK_H
#define SSTABLEFS_CATALOG_WORK_H

#include <pthread.h>
#include "base/cancel.h"
#include "base/err.h"

struct work {
	pthread_mutex_t lock;
	pthread_cond_t bell;
	struct cancel stop; /* handed to every request; set by the first failure */
	int code;	    /* 0, or what failed first */
	struct err err;
};

void work_init(struct work *w);
void work_deinit(struct work *w);
/* Notes a failure (code < 0); only the first one counts. Any thread, without the lock. */
void work_fail(struct work *w, int code, const struct err *err);
/* 0, or the first failure and its error. */
int work_failed(struct work *w, struct err *e);
static inline bool work_stopped(const struct work *w)
{
	return cancel_is_set(&w->stop);
}
/* With the lock held: wakes who waits; waits for the next ring. */
void work_ring(struct work *w);
void work_wait(struct work *w);

#endif
