/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httpq.h"

#include <stddef.h>
#include <time.h>
#include "base/util.h"

#define CANCEL_POLL_MS 50
#define WAKE_BYTES (256 * KIB) /* worth a wake-up, and still in the caches of the CPU */

void httpq_init(struct httpq *q, void (*wake)(void *ctx), void *wake_ctx)
{
	*q = (struct httpq){ .wake = wake, .wake_ctx = wake_ctx };
	q->end = &q->first;
	pthread_mutex_init(&q->lock, NULL);
}

void httpq_deinit(struct httpq *q)
{
	pthread_mutex_destroy(&q->lock);
}

void httpq_job_init(struct httpq_job *job)
{
	pthread_condattr_t attr;

	*job = (struct httpq_job){ 0 };
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&job->changed, &attr);
	pthread_condattr_destroy(&attr);
}

void httpq_job_deinit(struct httpq_job *job)
{
	pthread_cond_destroy(&job->changed);
}

static struct timespec deadline_after_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

void httpq_wait(struct httpq *q, struct httpq_job *job, const struct cancel *cancel)
{
	size_t told = 0;

	pthread_mutex_lock(&q->lock);
	job->next = NULL;
	*q->end = job;
	q->end = &job->next;
	q->wake(q->wake_ctx);
	while (!job->finished) {
		struct timespec until = deadline_after_ms(CANCEL_POLL_MS);

		if (job->arrived_bytes > told) {
			told = job->arrived_bytes;
			pthread_mutex_unlock(&q->lock);
			job->arrived(job->ctx, told);
			pthread_mutex_lock(&q->lock);
		} else if (!cancel || job->cancelled) {
			pthread_cond_wait(&job->changed, &q->lock);
		} else if (cancel_is_set(cancel)) {
			job->cancelled = true;
			q->wake(q->wake_ctx);
		} else {
			pthread_cond_timedwait(&job->changed, &q->lock, &until);
		}
	}
	pthread_mutex_unlock(&q->lock);
	if (job->arrived && job->arrived_bytes > told)
		job->arrived(job->ctx, job->arrived_bytes);
}

/* With the lock held: takes *at out of the list. */
static struct httpq_job *unlink_at(struct httpq *q, struct httpq_job **at)
{
	struct httpq_job *job = *at;

	if (job) {
		*at = job->next;
		if (!*at)
			q->end = at;
	}
	return job;
}

struct httpq_job *httpq_take(struct httpq *q)
{
	struct httpq_job *job;

	pthread_mutex_lock(&q->lock);
	job = unlink_at(q, &q->first);
	pthread_mutex_unlock(&q->lock);
	return job;
}

struct httpq_job *httpq_take_cancelled(struct httpq *q)
{
	struct httpq_job **at, *job;

	pthread_mutex_lock(&q->lock);
	for (at = &q->first; *at && !(*at)->cancelled;)
		at = &(*at)->next;
	job = unlink_at(q, at);
	pthread_mutex_unlock(&q->lock);
	return job;
}

void httpq_arrived(struct httpq *q, struct httpq_job *job, size_t bytes)
{
	job->written_bytes = bytes;
	if (!job->arrived || bytes - job->woken_bytes < WAKE_BYTES)
		return;
	job->woken_bytes = bytes;
	pthread_mutex_lock(&q->lock);
	job->arrived_bytes = bytes;
	pthread_mutex_unlock(&q->lock);
	pthread_cond_signal(&job->changed); /* it is not gone before httpq_finish */
}

void httpq_finish(struct httpq *q, struct httpq_job *job)
{
	pthread_mutex_lock(&q->lock);
	job->finished = true;
	job->arrived_bytes = job->written_bytes;
	pthread_cond_signal(&job->changed);
	pthread_mutex_unlock(&q->lock);
}
