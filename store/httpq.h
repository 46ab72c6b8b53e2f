/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue between callers and the network thread. A job is part of something on its caller's
 * stack:
 *
 *   caller: queued --> network thread: taken --> finished --> caller goes on
 *                                 \-> cancelled --/
 *
 * Meanwhile the network thread says how many bytes have arrived, and the caller's thread looks at them.
 *
 * What else is in a job belongs to the network thread from httpq_wait's beginning until
 * httpq_finish.
 */
#ifndef SSTABLEFS_STORE_HTTPQ_H
#define SSTABLEFS_STORE_HTTPQ_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "base/cancel.h"

struct httpq_job {
	struct httpq_job *next;
	pthread_cond_t changed;
	atomic_bool cancelled; /* the caller wants the job back */
	bool finished;
	size_t arrived_bytes;		   /* that the caller's thread may look at */
	size_t written_bytes, woken_bytes; /* the network thread's: there; told of with a wake-up */
	/* The caller's, set before httpq_wait: runs on its thread, now and then and at the end; may be NULL. */
	void (*arrived)(void *ctx, size_t bytes);
	void *ctx;
};

struct httpq {
	pthread_mutex_t lock; /* protects the list, each job's `finished` and `arrived_bytes` */
	struct httpq_job *first, **end;
	void (*wake)(void *ctx); /* makes the network thread look at the queue; does not block */
	void *wake_ctx;
};

void httpq_init(struct httpq *q, void (*wake)(void *ctx), void *wake_ctx);
void httpq_deinit(struct httpq *q);
void httpq_job_init(struct httpq_job *job);
void httpq_job_deinit(struct httpq_job *job);

/* Caller: queues the job and waits until it is finished. Sets job->cancelled within 50 ms of `cancel`. */
void httpq_wait(struct httpq *q, struct httpq_job *job, const struct cancel *cancel);

/* Network thread: the next job, or the next one of the queue that is cancelled; NULL where there is none. */
struct httpq_job *httpq_take(struct httpq *q);
struct httpq_job *httpq_take_cancelled(struct httpq *q);
/* Network thread: so many bytes are there by now, of a taken job. */
void httpq_arrived(struct httpq *q, struct httpq_job *job, size_t bytes);
/* Network thread: lets go of a taken job, which is gone at once. */
void httpq_finish(struct httpq *q, struct httpq_job *job);

#endif
