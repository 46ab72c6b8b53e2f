/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_BYTES (4 * MIB) /* instrumented frames are several times larger */
#else
#define STACK_BYTES (256 * KIB)
#endif

#define NAME_BYTES 16 /* of a thread, with the NUL */

struct job {
	pool_fn *fn;
	void *arg;
	struct job *next;
};

struct pool {
	char name[NAME_BYTES];
	unsigned max_threads;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work;  /* a job was queued, or stop */
	pthread_cond_t idle;  /* no job is queued or running */
	struct job *first, **last;
	size_t queued, running;
	unsigned threads, waiting; /* started; asleep in `work` */
	bool stop;
	pthread_t ids[]; /* max_threads */
};

struct pool *pool_new(const char *name, unsigned max_threads)
{
	struct pool *p;

	max_threads = MAX_OF(max_threads, 1u);
	p = calloc(1, sizeof(*p) + max_threads * sizeof(p->ids[0]));
	if (!p)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->max_threads = max_threads;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	return p;
}

/* Waits for a job and takes it off the queue; NULL: the pool ends. With the lock held. */
static struct job *next_job(struct pool *p)
{
	struct job *job;

	while (!p->first && !p->stop) {
		p->waiting++;
		pthread_cond_wait(&p->work, &p->lock);
		p->waiting--;
	}
	job = p->first;
	if (!job)
		return NULL;
	p->first = job->next;
	if (!p->first)
		p->last = &p->first;
	p->queued--;
	p->running++;
	return job;
}

static void *worker(void *arg)
{
	struct pool *p = arg;
	struct job *job;

	pthread_mutex_lock(&p->lock);
	while ((job = next_job(p))) {
		pthread_mutex_unlock(&p->lock);
		job->fn(job->arg);
		free(job);
		pthread_mutex_lock(&p->lock);
		p->running--;
		if (p->queued + p->running == 0)
			pthread_cond_broadcast(&p->idle);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* With the lock held. A thread inherits the signal mask: all are blocked while it is made. */
static int start_thread(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r;

	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&p->ids[p->threads], &attr, worker, p);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (r != 0)
		return -r;
	pthread_setname_np(p->ids[p->threads], p->name);
	p->threads++;
	return 0;
}

/* With the lock held. Fewer threads than wished for are no failure, none at all is one. */
static int enqueue(struct pool *p, struct job *job)
{
	if (p->waiting <= p->queued && p->threads < p->max_threads) {
		int r = start_thread(p);

		if (r < 0 && p->threads == 0)
			return r == -ENOMEM ? -ENOMEM : -EAGAIN;
	}
	*p->last = job;
	p->last = &job->next;
	p->queued++;
	pthread_cond_signal(&p->work);
	return 0;
}

int pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
	struct job *job = malloc(sizeof(*job));
	int r;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&p->lock);
	r = enqueue(p, job);
	pthread_mutex_unlock(&p->lock);
	if (r < 0)
		free(job);
	return r;
}

void pool_drain(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->queued + p->running > 0)
		pthread_cond_wait(&p->idle, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_drain(p);
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->ids[i], NULL);
	pthread_cond_destroy(&p->idle);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

size_t pool_pending(struct pool *p)
{
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = p->queued + p->running;
	pthread_mutex_unlock(&p->lock);
	return n;
}
