/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "base/metrics.h"

static void expect_text(struct metrics *m, const char *expected)
{
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, 100000);
	metrics_format(m, &out);
	wbuf_u8(&out, 0);
	cr_assert_eq(wbuf_error(&out), 0);
	cr_expect_str_eq((const char *)out.data, expected);
}

Test(metrics, a_counter_of_a_name_is_always_the_same)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	struct metric *first = metrics_counter(m, "reads_total", NULL);

	for (int i = 0; i < 500; i++) {
		char name[32];

		snprintf(name, sizeof(name), "other_%d", i);
		metric_set(metrics_counter(m, name, NULL), (uint64_t)i);
	}
	metric_add(first, 2);
	metric_add(metrics_counter(m, "reads_total", NULL), 3);
	cr_expect_eq(metrics_counter(m, "reads_total", NULL), first);
	cr_expect_eq(metric_get(first), 5);
	cr_expect_eq(metric_get(metrics_counter(m, "other_77", NULL)), 77);
}

Test(metrics, the_text_is_sorted_and_says_each_name_once)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();

	metric_add(metrics_counter(m, "requests_total{op=\"put\"}", NULL), 7);
	metric_add(metrics_counter(m, "requests_total{op=\"get\"}", "Requests to the store."),
		   18446744073709551615u);
	metric_add(metrics_counter(m, "requests_total_failed", NULL), 1);
	metric_set(metrics_counter(m, "memory_bytes", "Memory of buffers."), 42);
	metrics_counter(m, "memory_bytes", "another help text comes too late");
	expect_text(m, "# HELP sstablefs_memory_bytes Memory of buffers.\n"
		       "# TYPE sstablefs_memory_bytes gauge\n"
		       "sstablefs_memory_bytes 42\n"
		       "# HELP sstablefs_requests_total Requests to the store.\n"
		       "# TYPE sstablefs_requests_total counter\n"
		       "sstablefs_requests_total{op=\"get\"} 18446744073709551615\n"
		       "sstablefs_requests_total{op=\"put\"} 7\n"
		       "# TYPE sstablefs_requests_total_failed gauge\n"
		       "sstablefs_requests_total_failed 1\n");
}

Test(metrics, without_counters_there_is_no_text)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();

	expect_text(m, "");
	metric_add(NULL, 1);
	metric_set(NULL, 1);
	cr_expect_eq(metric_get(NULL), 0);
}

Test(metrics, a_text_that_does_not_fit_is_an_error_of_its_buffer)
{
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	_cleanup_wbuf_ struct wbuf out;

	metrics_counter(m, "reads_total", NULL);
	wbuf_init(&out, 10);
	metrics_format(m, &out);
	cr_expect_lt(wbuf_error(&out), 0);
}
