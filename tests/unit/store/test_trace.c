/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "store/mem.h"
#include "store/wrap.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/store/scripted.h"

static uint64_t counter(struct metrics *m, const char *name)
{
	return metric_get(metrics_counter(m, name, NULL));
}

static int ignore(void *ctx, const struct store_entry *entry, struct err *e)
{
	return 0;
}

Test(trace, requests_and_bytes_are_counted_by_method_and_outcome)
{
	struct fake_clock clock;
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	_cleanup_(store_freep) struct store *s = NULL;
	char got[100];
	struct store_get range = {
		.key = "k", .offset = 1, .len_bytes = 3, .dst = got, .cap_bytes = 3
	};
	struct store_get whole = { .key = "k", .whole = true, .dst = got, .cap_bytes = 100 };
	struct store_get beyond = {
		.key = "k", .offset = 9, .len_bytes = 9, .dst = got, .cap_bytes = 9
	};
	struct trace_counts counts;

	fake_clock_init(&clock, 0);
	s = trace_store_new(mem_store_new(&clock.clock), &clock.clock, m);
	cr_assert_eq(store_put_bytes(s, "k", "hello", 5, STORE_IF_ABSENT, NULL, NULL, NULL, NULL),
		     0);
	cr_assert_eq(store_put_bytes(s, "k", "hello", 5, STORE_IF_ABSENT, NULL, NULL, NULL, NULL),
		     STORE_PRECONDITION);
	cr_assert_eq(store_get(s, &range, NULL, NULL, NULL), 0);
	cr_assert_eq(store_get(s, &whole, NULL, NULL, NULL), 0);
	cr_assert_eq(store_get(s, &beyond, NULL, NULL, NULL), -ERANGE);
	cr_assert_eq(store_head(s, "no", NULL, NULL, NULL), STORE_NOT_FOUND);
	trace_store_counts(s, &counts);
	cr_expect_eq(counts.put, 2);
	cr_expect_eq(counts.get, 3);
	cr_expect_eq(counts.head, 1);
	cr_expect_eq(counts.list, 0);
	cr_expect_eq(counts.errors, 1);
	cr_expect_eq(counts.bytes_out, 10);
	cr_expect_eq(counts.bytes_in, 8);
	cr_expect_eq(counter(m, "store_requests_total{method=\"put\",outcome=\"ok\"}"), 1);
	cr_expect_eq(counter(m, "store_requests_total{method=\"put\",outcome=\"precondition\"}"),
		     1);
	cr_expect_eq(counter(m, "store_requests_total{method=\"get\",outcome=\"ok\"}"), 2);
	cr_expect_eq(counter(m, "store_requests_total{method=\"get\",outcome=\"error\"}"), 1);
	cr_expect_eq(counter(m, "store_requests_total{method=\"head\",outcome=\"not_found\"}"), 1);
	cr_expect_eq(counter(m, "store_bytes_total{direction=\"in\"}"), 8);
	cr_expect_eq(counter(m, "store_bytes_total{direction=\"out\"}"), 10);
}

Test(trace, a_listing_counts_its_pages_and_a_delete_is_one_request)
{
	struct fake_clock clock;
	_cleanup_(store_freep) struct store *s = NULL;
	struct store_list all = { .prefix = "", .entry = ignore },
			  none = { .prefix = "z", .entry = ignore };
	struct store_delete_error error;
	const char *key = "0000";
	struct trace_counts counts;
	size_t errors;

	fake_clock_init(&clock, 0);
	s = trace_store_new(mem_store_new(&clock.clock), &clock.clock, NULL);
	for (int i = 0; i < 2001; i++) {
		char name[8];

		snprintf(name, sizeof(name), "%04d", i);
		cr_assert_eq(store_put_bytes(s, name, "", 0, STORE_ALWAYS, NULL, NULL, NULL, NULL),
			     0);
	}
	cr_assert_eq(store_list(s, &all, NULL, NULL), 0);
	cr_assert_eq(store_list(s, &none, NULL, NULL), 0);
	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), 0);
	trace_store_counts(s, &counts);
	cr_expect_eq(counts.list, 4);
	cr_expect_eq(counts.delete_many, 1);
}

static int64_t step_clock(void *ctx)
{
	return ((struct fake_clock *)ctx)->elapsed_ns += 1500000;
}

Test(trace, the_time_of_requests_is_summed_up)
{
	static const struct step steps[] = { { .r = STORE_CONFLICT } };
	struct scripted below = SCRIPTED(steps);
	struct fake_clock clock;
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	_cleanup_(store_freep) struct store *s = NULL;

	fake_clock_init(&clock, 0);
	clock.clock.elapsed_ns = step_clock;
	s = trace_store_new(&below.store, &clock.clock, m);
	cr_assert_eq(store_put_bytes(s, "k", "", 0, STORE_IF_ABSENT, NULL, NULL, NULL, NULL),
		     STORE_CONFLICT);
	cr_expect_eq(counter(m, "store_request_microseconds_total{method=\"put\"}"), 1500);
	cr_expect_eq(counter(m, "store_requests_total{method=\"put\",outcome=\"conflict\"}"), 1);
	cr_expect_eq(store_caps(s), STORE_CAP_IF_ABSENT);
}
