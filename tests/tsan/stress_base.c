/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool, budget, log and metrics under load, for ThreadSanitizer: jobs take from a budget that is far too small for all, some are
 * larger than all of it, some are cancelled, some bring further jobs. Each promise that can be counted is counted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/budget.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/pool.h"

#define ROUNDS 20
#define JOBS 500
#define BUDGET_BYTES 1000

struct world {
	struct pool *pool;
	struct budget *budget;
	struct log *log;
	struct metrics *metrics;
	struct cancel cancel;
	uint64_t lines;	       /* written by the sink alone: the log promises one call at a time */
	atomic_ullong holding; /* bytes, by the jobs' own count */
	atomic_int alone;      /* holders of more than the whole budget */
	atomic_int done, cancelled;
};

struct work {
	struct world *world;
	uint64_t bytes;
	bool cancellable;
	bool brings_another;
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_base: broken: %s\n", promise);
	abort();
}

static void count_line(void *ctx, enum log_level level, const char *line)
{
	struct world *w = ctx;

	w->lines++;
}

static void submit(struct world *w, uint64_t bytes, bool cancellable, bool brings_another);

/* With `bytes` of the budget in hand. */
static void hold(struct world *w, uint64_t bytes)
{
	unsigned long long before = atomic_fetch_add(&w->holding, bytes);

	check(before == 0 || before + bytes <= BUDGET_BYTES, "no more is held than the budget has");
	if (bytes > BUDGET_BYTES)
		check(atomic_fetch_add(&w->alone, 1) == 0, "a large request is alone");
	metric_add(metrics_counter(w->metrics, "bytes_total", NULL), bytes);
	log_write(w->log, LOG_LEVEL_INFO, bytes % 2 ? "odd" : "even", "holding %llu",
		  (unsigned long long)bytes);
	sched_yield();
	if (bytes > BUDGET_BYTES)
		atomic_fetch_sub(&w->alone, 1);
	atomic_fetch_sub(&w->holding, bytes);
}

static void run(void *arg)
{
	struct work *work = arg;
	struct world *w = work->world;
	int r;

	if (work->brings_another)
		submit(w, work->bytes / 2 + 1, work->cancellable, false);
	r = budget_try(w->budget, work->bytes);
	if (r == -EAGAIN)
		r = budget_take(w->budget, work->bytes, work->cancellable ? &w->cancel : NULL);
	if (r == 0) {
		hold(w, work->bytes);
		budget_give(w->budget, work->bytes);
		atomic_fetch_add(&w->done, 1);
	} else {
		check(r == -ECANCELED && work->cancellable, "only what can be cancelled is");
		atomic_fetch_add(&w->cancelled, 1);
	}
	free(work);
}

static void submit(struct world *w, uint64_t bytes, bool cancellable, bool brings_another)
{
	struct work *work = malloc(sizeof(*work));

	check(work != NULL, "memory");
	*work = (struct work){ w, bytes, cancellable, brings_another };
	check(pool_submit(w->pool, run, work) == 0, "a job can be queued");
}

static void *submit_many(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; i < JOBS; i++)
		submit(w, i % 100 == 99 ? 2 * BUDGET_BYTES : 1 + i * 7 % 600, i % 5 == 0,
		       i % 3 == 0);
	return NULL;
}

static void run_round(unsigned threads, bool cancels)
{
	struct world w = {
		.pool = pool_new("stress", threads),
		.budget = budget_new(BUDGET_BYTES),
		.metrics = metrics_new(),
	};
	const int jobs = 2 * (JOBS + (JOBS + 2) / 3);
	pthread_t other;

	w.log = log_new(clock_system(), LOG_LEVEL_INFO, count_line, &w);
	check(w.pool && w.budget && w.metrics && w.log, "memory");
	check(pthread_create(&other, NULL, submit_many, &w) == 0, "a thread can be started");
	submit_many(&w);
	if (cancels)
		cancel_set(&w.cancel, 1);
	pthread_join(other, NULL);
	pool_drain(w.pool);
	check(pool_pending(w.pool) == 0, "a drained pool has no jobs");
	check(atomic_load(&w.done) + atomic_load(&w.cancelled) == jobs, "every job ran");
	check(cancels || atomic_load(&w.cancelled) == 0, "nothing is cancelled without a request");
	check(budget_used(w.budget) == 0, "everything was given back");
	check(budget_peak(w.budget) <= 2 * BUDGET_BYTES, "the peak is that of one large request");
	pool_free(w.pool);
	log_free(w.log);
	check(w.lines > 0, "lines were written");
	budget_free(w.budget);
	metrics_free(w.metrics);
}

int main(void)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		run_round(1 + i % 8, i % 2 == 1);
	return 0;
}
