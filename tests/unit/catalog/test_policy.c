/* SPDX-License-Identifier: Apache-2.0 */
/* The rules at their edges; random repositories against a model: tests/system/test_purge.py. */
#include <criterion/criterion.h>
#include <string.h>
#include "base/clock.h"
#include "catalog/policy.h"

static struct policy_item item(uint32_t node, uint32_t backup, const char *time, bool complete)
{
	struct policy_item x = { .node = node, .backup = backup, .complete = complete };

	if (time)
		cr_assert_eq(clock_parse_rfc3339(time, &x.store_time_ns), 0, "%s", time);
	x.writer.b[15] = (uint8_t)backup;
	return x;
}

static uint16_t reasons_of(const struct policy_item *items, size_t count, uint32_t node,
			   uint32_t backup)
{
	for (size_t i = 0; i < count; i++)
		if (items[i].node == node && items[i].backup == backup)
			return items[i].reasons;
	cr_assert_fail("no such item");
	return 0;
}

Test(policy, buckets_turn_where_days_iso_weeks_and_months_do)
{
	static const struct {
		const char *older, *newer;
		bool day, week, month; /* another one */
	} rows[] = {
		{ "2026-03-01T00:00:00Z", "2026-03-01T23:59:59Z", false, false, false },
		{ "2026-03-01T23:59:59Z", "2026-03-02T00:00:00Z", true, true, false },
		{ "2026-02-28T12:00:00Z", "2026-03-01T12:00:00Z", true, false, true },
		{ "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z", true, false, true },
		{ "2024-12-29T12:00:00Z", "2024-12-30T12:00:00Z", true, true, false },
		{ "1970-01-01T00:00:01Z", "1970-01-05T00:00:00Z", true, true, false },
		{ "2025-03-05T12:00:00Z", "2026-03-05T12:00:00Z", true, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct {
			struct policy p;
			bool kept;
		} rules[] = { { { .keep_daily = 2, .force = true }, rows[i].day },
			      { { .keep_weekly = 2, .force = true }, rows[i].week },
			      { { .keep_monthly = 2, .force = true }, rows[i].month },
			      { { .keep_last = 2, .force = true }, true } };

		for (size_t k = 0; k < ARRAY_SIZE(rules); k++) {
			struct policy_item items[] = { item(0, 1, rows[i].older, true),
						       item(0, 2, rows[i].newer, true) };

			cr_assert_eq(policy_apply(&rules[k].p, items, 2, NULL), 0);
			cr_expect_neq(reasons_of(items, 2, 0, 2), 0, "row %zu rule %zu", i, k);
			cr_expect_eq(reasons_of(items, 2, 0, 1) != 0, rules[k].kept,
				     "row %zu rule %zu", i, k);
		}
	}
}

Test(policy, of_two_at_the_same_moment_the_greater_writer_is_newer)
{
	struct policy_item items[] = { item(0, 7, "2026-03-01T00:00:00Z", true),
				       item(0, 9, "2026-03-01T00:00:00Z", true),
				       item(0, 8, "2026-03-01T00:00:00Z", true) };
	const struct policy p = { .keep_last = 1, .force = true };

	cr_assert_eq(policy_apply(&p, items, 3, NULL), 0);
	cr_expect_eq(reasons_of(items, 3, 0, 9), POLICY_LAST);
	cr_expect_eq(reasons_of(items, 3, 0, 8), 0);
}

Test(policy, the_newest_complete_one_stays_on_each_node_and_so_on_all)
{
	struct policy_item items[] = { item(0, 1, "2026-03-01T00:00:00Z", true),
				       item(0, 2, "2026-03-02T00:00:00Z", false),
				       item(0, 3, "2026-03-03T00:00:00Z", true),
				       item(1, 1, "2026-03-01T00:00:00Z", true),
				       item(2, 2, "2026-03-02T00:00:00Z", false) };
	const struct policy p = { .older_than_ms = 1, .now_ns = INT64_MAX };

	cr_assert_eq(policy_apply(&p, items, 5, NULL), 0);
	cr_expect_eq(reasons_of(items, 5, 0, 3), POLICY_NEWEST);
	cr_expect_eq(reasons_of(items, 5, 1, 1), POLICY_NEWEST);
	cr_expect_eq(reasons_of(items, 5, 0, 1), POLICY_OTHER_NODE);
	cr_expect_eq(reasons_of(items, 5, 2, 2), POLICY_NEWEST, "where none is complete");
	cr_expect_eq(reasons_of(items, 5, 0, 2), POLICY_OTHER_NODE);
}

Test(policy, what_one_node_cannot_judge_holds_up_no_other)
{
	struct policy_item items[] = { item(0, 1, "2026-03-01T00:00:00Z", true),
				       item(0, 2, "2026-03-02T00:00:00Z", true),
				       item(1, 1, "2026-03-01T00:00:00Z", true),
				       item(1, 2, "2026-03-02T00:00:00Z", true) };
	const struct policy p = { .keep_last = 1 };

	items[2].reasons = items[3].reasons = POLICY_UNREADABLE;
	cr_assert_eq(policy_apply(&p, items, 4, NULL), 0);
	cr_expect_eq(reasons_of(items, 4, 0, 1), 0);
	cr_expect_eq(reasons_of(items, 4, 1, 1), POLICY_UNREADABLE);
}

Test(policy, an_item_without_time_is_kept_and_takes_no_place)
{
	struct policy_item items[] = { item(0, 1, "2026-03-01T00:00:00Z", true),
				       item(0, 2, NULL, true), item(0, 3, NULL, true) };
	const struct policy p = { .keep_last = 1, .force = true };

	items[2].store_time_ns = -5;
	cr_assert_eq(policy_apply(&p, items, 3, NULL), 0);
	cr_expect_eq(reasons_of(items, 3, 0, 1), POLICY_LAST);
	cr_expect_eq(reasons_of(items, 3, 0, 2), POLICY_NO_TIME);
	cr_expect_eq(reasons_of(items, 3, 0, 3), POLICY_NO_TIME);
}

Test(policy, nothing_is_kept_by_no_rule)
{
	cr_expect(policy_keeps_nothing(&(struct policy){ .force = true }));
	cr_expect_not(policy_keeps_nothing(&(struct policy){ .keep_monthly = 1 }));
	cr_expect_not(policy_keeps_nothing(&(struct policy){ .older_than_ms = 1 }));
	cr_assert_eq(policy_apply(&(struct policy){ .keep_last = 1 }, NULL, 0, NULL), 0);
}
