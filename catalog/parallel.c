/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include "base/pool.h"
#include "catalog/parallel.h"

struct parallel {
	parallel_fn *fn;
	void *ctx;
	size_t count;
	atomic_size_t next;
	atomic_uint workers;
	atomic_bool stop;
	pthread_mutex_t lock; /* of r and error */
	int r;
	struct err error;
};

static void fail(struct parallel *p, int r, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	if (p->r == 0) {
		p->r = r;
		p->error = *e;
	}
	pthread_mutex_unlock(&p->lock);
	atomic_store(&p->stop, true);
}

static void work(void *arg)
{
	struct parallel *p = arg;
	unsigned worker = atomic_fetch_add(&p->workers, 1);
	size_t i;

	while (!atomic_load(&p->stop) && (i = atomic_fetch_add(&p->next, 1)) < p->count) {
		struct err e = ERR_INIT;
		int r = p->fn(p->ctx, i, worker, &e);

		if (r < 0)
			fail(p, r, &e);
	}
}

static int run_here(size_t count, parallel_fn *fn, void *ctx, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++)
		r = fn(ctx, i, 0, e);
	return MIN_OF(r, 0);
}

int parallel_run(const char *name, unsigned threads, size_t count, parallel_fn *fn, void *ctx,
		 struct err *e)
{
	struct parallel p = { .fn = fn, .ctx = ctx, .count = count };
	struct pool *pool;
	unsigned started = 0;

	if (threads > count)
		threads = (unsigned)count;
	if (threads <= 1)
		return run_here(count, fn, ctx, e);
	pool = pool_new(name, threads);
	if (!pool)
		return err_nomem(e);
	pthread_mutex_init(&p.lock, NULL);
	while (started < threads && pool_submit(pool, work, &p) == 0)
		started++;
	if (started == 0)
		fail(&p, err_nomem(&p.error), &p.error);
	pool_free(pool);
	pthread_mutex_destroy(&p.lock);
	if (p.r < 0 && e)
		*e = p.error;
	return p.r;
}
