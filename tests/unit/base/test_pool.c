/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "base/pool.h"

struct order {
	pthread_mutex_t lock;
	int seen[1000];
	int count;
};

struct numbered {
	struct order *order;
	int number;
};

static void note(void *arg)
{
	struct numbered *job = arg;

	pthread_mutex_lock(&job->order->lock);
	job->order->seen[job->order->count++] = job->number;
	pthread_mutex_unlock(&job->order->lock);
}

Test(pool, one_thread_runs_jobs_in_the_order_in_which_they_came)
{
	static struct order order = { .lock = PTHREAD_MUTEX_INITIALIZER };
	static struct numbered jobs[1000];
	_cleanup_(pool_freep) struct pool *p = pool_new("one", 1);

	cr_assert_not_null(p);
	for (int i = 0; i < 1000; i++) {
		jobs[i] = (struct numbered){ &order, i };
		cr_assert_eq(pool_submit(p, note, &jobs[i]), 0);
	}
	pool_drain(p);
	cr_expect_eq(pool_pending(p), 0);
	cr_assert_eq(order.count, 1000);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(order.seen[i], i);
}

static void wait_at(void *arg)
{
	pthread_barrier_wait(arg);
}

/* Four jobs that each wait for the other three: they end only if four threads run them. */
Test(pool, as_many_threads_as_allowed_run_at_once, .timeout = 60)
{
	_cleanup_(pool_freep) struct pool *p = pool_new("four", 4);
	pthread_barrier_t barrier;

	pthread_barrier_init(&barrier, NULL, 4);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			cr_assert_eq(pool_submit(p, wait_at, &barrier), 0);
		pool_drain(p);
	}
	cr_expect_eq(pool_pending(p), 0);
	pthread_barrier_destroy(&barrier);
}

struct crowd {
	atomic_int now, most;
};

static void join_crowd(void *arg)
{
	struct crowd *crowd = arg;
	int now = atomic_fetch_add(&crowd->now, 1) + 1;
	int most = atomic_load(&crowd->most);

	while (most < now && !atomic_compare_exchange_weak(&crowd->most, &most, now))
		;
	sched_yield();
	atomic_fetch_sub(&crowd->now, 1);
}

Test(pool, never_more_threads_run_than_allowed)
{
	_cleanup_(pool_freep) struct pool *p = pool_new("three", 3);
	struct crowd crowd = { 0 };

	for (int i = 0; i < 2000; i++)
		cr_assert_eq(pool_submit(p, join_crowd, &crowd), 0);
	pool_drain(p);
	cr_expect_leq(atomic_load(&crowd.most), 3);
	cr_expect_geq(atomic_load(&crowd.most), 1);
}

struct spawn {
	struct pool *pool;
	atomic_int done;
};

static void count_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void submit_ten(void *arg)
{
	struct spawn *spawn = arg;

	for (int i = 0; i < 10; i++)
		cr_assert_eq(pool_submit(spawn->pool, count_one, &spawn->done), 0);
}

Test(pool, jobs_may_bring_jobs_and_freeing_waits_for_them)
{
	struct spawn spawn = { .pool = pool_new("spawn", 2) };

	for (int i = 0; i < 50; i++)
		cr_assert_eq(pool_submit(spawn.pool, submit_ten, &spawn), 0);
	pool_free(spawn.pool);
	cr_expect_eq(atomic_load(&spawn.done), 500);
}

struct seen {
	char name[16];
	size_t stack_bytes;
	sigset_t mask;
};

static void look_around(void *arg)
{
	struct seen *seen = arg;
	pthread_attr_t attr;

	pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	pthread_sigmask(SIG_SETMASK, NULL, &seen->mask);
	cr_assert_eq(pthread_getattr_np(pthread_self(), &attr), 0);
	pthread_attr_getstacksize(&attr, &seen->stack_bytes);
	pthread_attr_destroy(&attr);
}

Test(pool, a_thread_is_named_blocks_every_signal_and_has_a_small_stack)
{
	_cleanup_(pool_freep) struct pool *p = pool_new("a-name-that-is-too-long", 1);
	struct seen seen = { 0 };
	sigset_t ours;

	cr_assert_eq(pool_submit(p, look_around, &seen), 0);
	pool_drain(p);
	cr_expect_str_eq(seen.name, "a-name-that-is-");
	cr_expect_eq(sigismember(&seen.mask, SIGTERM), 1);
	cr_expect_eq(sigismember(&seen.mask, SIGINT), 1);
	cr_expect_eq(sigismember(&seen.mask, SIGCHLD), 1);
	cr_expect_leq(seen.stack_bytes, 4 * MIB);
	pthread_sigmask(SIG_SETMASK, NULL, &ours);
	cr_expect_eq(sigismember(&ours, SIGTERM), 0, "the caller's own mask is as before");
}

Test(pool, a_pool_that_never_ran_is_freed)
{
	pool_free(pool_new("idle", 8));
	pool_free(NULL);
}
