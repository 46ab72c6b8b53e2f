/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include "store/mem.h"
#include "store/wrap.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/store/scripted.h"

#define NS_PER_S 1000000000LL

Test(rate, over_time_the_rate_is_exact)
{
	static const int64_t rates[] = { 1000, 12345678, 10 * MIB, 2 * GIB };
	static const int64_t sizes[] = { 1, 131072, 8 * MIB, 777 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct rate_line line = { .bytes_per_second = (uint64_t)rates[i] };
		int64_t bytes = 0, due = 0;

		for (size_t n = 0; due < 100 * NS_PER_S && n < 1000000; n++) {
			bytes += sizes[n % ARRAY_SIZE(sizes)];
			due = rate_line_reserve(&line, due, sizes[n % ARRAY_SIZE(sizes)]);
		}
		cr_expect_float_eq((double)bytes / (double)due * NS_PER_S, (double)rates[i],
				   0.05 * (double)rates[i], "%f",
				   (double)bytes / (double)due * NS_PER_S);
	}
}

Test(rate, time_without_requests_counts_for_one_second)
{
	struct rate_line line = { .bytes_per_second = 1000 };

	cr_expect_eq(rate_line_reserve(&line, 0, 1000), NS_PER_S);
	/* An hour later: one second's worth at once, the rest at the rate. */
	cr_expect_eq(rate_line_reserve(&line, 3600 * NS_PER_S, 1000), 3600 * NS_PER_S);
	cr_expect_eq(rate_line_reserve(&line, 3600 * NS_PER_S, 500),
		     3600 * NS_PER_S + NS_PER_S / 2);
}

Test(rate, what_is_given_back_can_be_used)
{
	struct rate_line line = { .bytes_per_second = 1000 };

	rate_line_reserve(&line, 0, 5000);
	rate_line_move(&line, -5000);
	cr_expect_eq(line.moved_ns, -5 * NS_PER_S);
	cr_expect_eq(rate_line_reserve(&line, 0, 1000), NS_PER_S);
}

Test(rate, absurd_rates_and_sizes_do_not_overflow)
{
	struct rate_line slow = { .bytes_per_second = 1 }, fast = { .bytes_per_second = INT64_MAX };

	for (int i = 0; i < 1000; i++)
		cr_assert(rate_line_reserve(&slow, 0, INT64_MAX) > 0);
	cr_assert_eq(rate_line_reserve(&fast, 0, 64 * MIB), 0);
}

/* A clock that is a step further each time it is asked, so that waiting ends. */
struct stepping {
	struct fake_clock fake;
	int64_t step_ns;
};

static int64_t stepping_elapsed(void *ctx)
{
	struct stepping *s = ctx;

	return s->fake.elapsed_ns += s->step_ns;
}

static void stepping_init(struct stepping *s, int64_t step_ns)
{
	fake_clock_init(&s->fake, 0);
	s->step_ns = step_ns;
	s->fake.clock.elapsed_ns = stepping_elapsed;
}

Test(rate, bodies_in_both_directions_wait_until_they_are_paid_for)
{
	struct stepping clock;
	_cleanup_(store_freep) struct store *s = NULL;
	char data[4096] = "", got[4096];
	struct store_get range = { .key = "k", .len_bytes = 4096, .dst = got, .cap_bytes = 4096 };

	stepping_init(&clock, NS_PER_S / 4);
	s = rate_store_new(mem_store_new(&clock.fake.clock), 4096, &clock.fake.clock);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(store_put_bytes(s, "k", data, sizeof(data), STORE_ALWAYS, NULL, NULL,
					     NULL, NULL),
			     0);
		cr_assert_eq(store_get(s, &range, NULL, NULL, NULL), 0);
	}
	/* Six times a second's worth, none before its time, and hardly later. */
	cr_assert(clock.fake.elapsed_ns >= 6 * NS_PER_S && clock.fake.elapsed_ns < 7 * NS_PER_S);
}

Test(rate, a_whole_object_is_paid_for_when_its_size_is_known)
{
	struct stepping clock;
	_cleanup_(store_freep) struct store *s = NULL;
	char data[4096] = "", got[65536];
	struct store_get whole = { .key = "k", .whole = true, .dst = got, .cap_bytes = sizeof(got) };
	int64_t before;

	stepping_init(&clock, NS_PER_S / 8);
	s = rate_store_new(mem_store_new(&clock.fake.clock), 4096, &clock.fake.clock);
	cr_assert_eq(store_put_bytes(s, "k", data, sizeof(data), STORE_ALWAYS, NULL, NULL, NULL,
				     NULL),
		     0);
	before = clock.fake.elapsed_ns;
	cr_assert_eq(store_get(s, &whole, NULL, NULL, NULL), 0);
	cr_assert(clock.fake.elapsed_ns - before < NS_PER_S / 2);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(store_get(s, &whole, NULL, NULL, NULL), 0);
	cr_assert(clock.fake.elapsed_ns - before >= 2 * NS_PER_S);
	cr_assert(clock.fake.elapsed_ns - before < 3 * NS_PER_S);
}

/* A clock that stands still until it is set, and counts who asked. */
struct standing {
	struct clock clock;
	_Atomic int64_t elapsed_ns;
	_Atomic int asked[2]; /* by the main thread's helpers, in the order of their `number` */
};

static _Thread_local int number = -1;

static int64_t standing_elapsed(void *ctx)
{
	struct standing *s = ctx;

	if (number >= 0)
		s->asked[number]++;
	return s->elapsed_ns;
}

struct call {
	struct store *s;
	int number;
	int result;
};

static void *get_whole(void *arg)
{
	struct call *call = arg;
	char got[4096];
	struct store_get req = { .key = "k",
				 .whole = true,
				 .expected_bytes = 5000,
				 .dst = got,
				 .cap_bytes = sizeof(got) };

	number = call->number;
	call->result = store_get(call->s, &req, NULL, NULL, NULL);
	return NULL;
}

static void *put_1000(void *arg)
{
	struct call *call = arg;
	char data[1000] = "";

	number = call->number;
	call->result = store_put_bytes(call->s, "l", data, sizeof(data), STORE_ALWAYS, NULL, NULL,
				       NULL, NULL);
	return NULL;
}

Test(rate, what_was_expected_and_did_not_come_lets_others_start_earlier, .timeout = 120)
{
	struct standing clock = { .clock = { NULL, standing_elapsed, NULL, &clock } };
	struct fake_clock fake;
	struct store *below;
	_cleanup_(store_freep) struct store *s = NULL;
	struct call calls[2] = { { .number = 0 }, { .number = 1 } };
	pthread_t threads[2];

	fake_clock_init(&fake, 0);
	below = mem_store_new(&fake.clock);
	cr_assert_eq(store_put_bytes(below, "k", (char[1000]){ "" }, 1000, STORE_ALWAYS, NULL, NULL,
				     NULL, NULL),
		     0);
	s = rate_store_new(below, 1000, &clock.clock);
	for (int i = 0; i < 2; i++) {
		calls[i].s = s;
		cr_assert_eq(pthread_create(&threads[i], NULL, i ? put_1000 : get_whole, &calls[i]),
			     0);
		while (clock.asked[i] < 3) /* it has its place in the line, and waits */
			sched_yield();
	}
	/* The get may start, as 5000 bytes are paid for; 1000 come, so 2 s are paid for in all. The clock does not move any more. */
	clock.elapsed_ns = 5 * NS_PER_S;
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(pthread_join(threads[i], NULL), 0);
		cr_expect_eq(calls[i].result, 0);
	}
}

Test(rate, a_get_that_says_what_it_expects_starts_when_that_is_paid_for)
{
	struct stepping clock;
	_cleanup_(store_freep) struct store *s = NULL;
	char data[4096] = "", got[4096];
	struct store_get whole = {
		.key = "k", .whole = true, .expected_bytes = 4096, .dst = got, .cap_bytes = 4096
	};

	stepping_init(&clock, NS_PER_S / 16);
	s = rate_store_new(mem_store_new(&clock.fake.clock), 4096, &clock.fake.clock);
	for (int i = 1; i <= 4; i++) {
		if (i == 1)
			cr_assert_eq(store_put_bytes(s, "k", data, sizeof(data), STORE_ALWAYS, NULL,
						     NULL, NULL, NULL),
				     0);
		else
			cr_assert_eq(store_get(s, &whole, NULL, NULL, NULL), 0);
		cr_expect(clock.fake.elapsed_ns >= i * NS_PER_S, "%d", i);
	}
	cr_expect_lt(clock.fake.elapsed_ns, 5 * NS_PER_S);
	/* What is not there costs nothing. */
	whole.key = "absent";
	for (int i = 0; i < 20; i++)
		cr_assert_gt(store_get(s, &whole, NULL, NULL, NULL), 0);
}

Test(rate, a_wait_that_is_cancelled_ends_and_costs_nothing)
{
	struct fake_clock clock;
	_cleanup_(store_freep) struct store *s = NULL;
	struct cancel c = { 0 };
	char *data = calloc(1, MIB);
	struct err e = ERR_INIT;
	struct iovec body = { data, MIB };
	struct store_put req = { .key = "k", .body = &body, .body_count = 1 };

	fake_clock_init(&clock, 0);
	s = rate_store_new(mem_store_new(&clock.clock), 1000, &clock.clock);
	cancel_set(&c, 15);
	/* Past the checked entry, which would not even begin. */
	cr_assert_eq(s->ops->put(s, &req, &(struct store_meta){ 0 }, &c, &e), -ECANCELED);
	clock.elapsed_ns = NS_PER_S;
	cr_assert_eq(store_put_bytes(s, "k", data, 1000, STORE_ALWAYS, NULL, NULL, NULL, &e), 0);
	free(data);
}

Test(rate, requests_without_a_body_do_not_wait)
{
	static const struct step steps[] = { { .r = 0 } };
	struct scripted below = SCRIPTED(steps);
	struct fake_clock clock;
	_cleanup_(store_freep) struct store *s = NULL;
	char seen[8] = "";
	struct store_list list = { .prefix = "", .ctx = seen };
	const char *key = "k";
	struct store_delete_error error;
	size_t errors;

	fake_clock_init(&clock, 0);
	s = rate_store_new(&below.store, 1, &clock.clock);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), 0);
	cr_assert_eq(s->ops->list(s, &list, NULL, NULL), 0);
	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), 0);
	cr_assert_eq(store_put_bytes(s, "k", "", 0, STORE_ALWAYS, NULL, NULL, NULL, NULL), 0);
	cr_assert_eq(below.asked, 4);
	cr_assert_eq(store_caps(s), STORE_CAP_IF_ABSENT);
}
