/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include "base/budget.h"

Test(budget, takes_and_gives_add_up_and_the_peak_stays)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);

	cr_assert_not_null(b);
	cr_expect_eq(budget_limit(b), 100);
	cr_expect_eq(budget_try(b, 60), 0);
	cr_expect_eq(budget_try(b, 41), -EAGAIN);
	cr_expect_eq(budget_try(b, 40), 0);
	cr_expect_eq(budget_used(b), 100);
	cr_expect_eq(budget_try(b, 1), -EAGAIN);
	cr_expect_eq(budget_try(b, 0), 0);
	budget_give(b, 60);
	cr_expect_eq(budget_used(b), 40);
	cr_expect_eq(budget_take(b, 60, NULL), 0);
	budget_give(b, 100);
	cr_expect_eq(budget_used(b), 0);
	cr_expect_eq(budget_peak(b), 100);
}

Test(budget, a_request_larger_than_the_limit_passes_alone)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);

	cr_expect_eq(budget_try(b, 1), 0);
	cr_expect_eq(budget_try(b, 1000), -EAGAIN);
	budget_give(b, 1);
	cr_expect_eq(budget_try(b, 1000), 0);
	cr_expect_eq(budget_used(b), 1000);
	cr_expect_eq(budget_try(b, 1), -EAGAIN, "nothing fits beside it");
	cr_expect_eq(budget_try(b, UINT64_MAX), -EAGAIN);
	budget_give(b, 1000);
	cr_expect_eq(budget_try(b, UINT64_MAX), 0);
	budget_give(b, UINT64_MAX);
	cr_expect_eq(budget_try(b, 1), 0);
}

Test(budget, giving_more_than_was_taken_leaves_nothing_taken)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);

	cr_expect_eq(budget_try(b, 10), 0);
	budget_give(b, 11);
	cr_expect_eq(budget_used(b), 0);
	cr_expect_eq(budget_try(b, 100), 0);
}

struct taker {
	struct budget *budget;
	uint64_t bytes;
	const struct cancel *cancel;
	int result;
	atomic_int *turn; /* counts who has taken, NULL: does not matter */
	int my_turn;
	pthread_t thread;
};

static void *run_taker(void *arg)
{
	struct taker *t = arg;

	t->result = budget_take(t->budget, t->bytes, t->cancel);
	if (t->turn)
		t->my_turn = atomic_fetch_add(t->turn, 1);
	return NULL;
}

static void start(struct taker *t)
{
	cr_assert_eq(pthread_create(&t->thread, NULL, run_taker, t), 0);
}

/* Waiting can be seen from outside: budget_try of nothing fits always, unless somebody stands in line. */
static void until_somebody_waits(struct budget *b)
{
	while (budget_try(b, 0) == 0)
		sched_yield();
}

Test(budget, whoever_waits_is_woken_when_enough_is_given_back, .timeout = 60)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);
	struct taker t = { .budget = b, .bytes = 50 };

	cr_assert_eq(budget_try(b, 100), 0);
	start(&t);
	until_somebody_waits(b);
	budget_give(b, 49);
	cr_expect_eq(budget_try(b, 10), -EAGAIN,
		     "a small request must not overtake the one that waits");
	budget_give(b, 1);
	pthread_join(t.thread, NULL);
	cr_expect_eq(t.result, 0);
	cr_expect_eq(budget_used(b), 100);
}

/* The large request arrives first. Once 30 are free the small one would fit, but it is not its turn. */
Test(budget, a_small_request_does_not_overtake_a_large_one, .timeout = 60)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);
	atomic_int turn = 0;
	struct taker large = { .budget = b, .bytes = 80, .turn = &turn };
	struct taker small = { .budget = b, .bytes = 30, .turn = &turn };

	cr_assert_eq(budget_try(b, 100), 0);
	start(&large);
	until_somebody_waits(b);
	start(&small);
	budget_give(b, 30);
	cr_expect_eq(atomic_load(&turn), 0);
	budget_give(b, 70);
	pthread_join(large.thread, NULL);
	budget_give(b, 80);
	pthread_join(small.thread, NULL);
	cr_expect_eq(large.my_turn, 0);
	cr_expect_eq(small.my_turn, 1);
	cr_expect_eq(budget_used(b), 30);
}

Test(budget, a_request_larger_than_the_limit_waits_until_nothing_is_taken, .timeout = 60)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(10);
	struct taker t = { .budget = b, .bytes = 1000 };

	cr_assert_eq(budget_try(b, 5), 0);
	start(&t);
	until_somebody_waits(b);
	cr_expect_eq(budget_used(b), 5);
	budget_give(b, 5);
	pthread_join(t.thread, NULL);
	cr_expect_eq(t.result, 0);
	cr_expect_eq(budget_used(b), 1000);
}

Test(budget, a_cancelled_request_leaves_the_line_and_takes_nothing, .timeout = 60)
{
	_cleanup_(budget_freep) struct budget *b = budget_new(100);
	struct cancel cancel = { 0 };
	struct taker first = { .budget = b, .bytes = 90, .cancel = &cancel };
	struct taker second = { .budget = b, .bytes = 10 };

	cr_assert_eq(budget_try(b, 90), 0);
	start(&first);
	until_somebody_waits(b);
	start(&second);
	cancel_set(&cancel, 15);
	pthread_join(first.thread, NULL);
	cr_expect_eq(first.result, -ECANCELED);
	/* The second fits now that nobody stands before it, without anything given back. */
	pthread_join(second.thread, NULL);
	cr_expect_eq(second.result, 0);
	cr_expect_eq(budget_used(b), 100);
	cr_expect_eq(budget_take(b, 1, &cancel), -ECANCELED, "at once where it is set already");
	budget_give(b, 100);
	cr_expect_eq(budget_take(b, 1, &cancel), 0, "what fits is taken all the same");
}
