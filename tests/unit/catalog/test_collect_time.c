/* SPDX-License-Identifier: Apache-2.0 */
/* What a collector ends or removes because the store has not heard of it for long, by the store's own clock. */
#include "catalog/hold.h"
#include "tests/unit/catalog/collect_help.h"

#define WRITER "01JD8ZP4V7Q3K5N2M9R6T8W0XY"

static const struct collect_options plain;

Test(collect_time, a_backup_that_was_not_renewed_for_long_is_ended)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *open = NULL;
	_cleanup_(collect_result_freep) struct collect_result *early = NULL, *late = NULL;
	char orphan[KEY_BYTES], writer[ULID_TEXT];

	collect_help_begin(&rig);
	open = collect_help_open(&rig, "b3");
	snprintf(orphan, sizeof(orphan),
		 "objects/%s/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
		 ulid_format(writer, &open->writer));
	collect_help_put(&rig, orphan, "x", 1);
	rig.wall_ns += DAY_NS;
	early = collect_help_run(&rig, &(struct collect_options){ .full = true });
	cr_expect_eq(early->wait_count, 1);
	cr_expect_eq(early->waits[0].renewed_ago_s, 24 * 3600);
	cr_expect_eq(rig_state(&rig, "b3"), RECORD_OPEN);
	cr_expect(collect_help_has(&rig, orphan), "what is being written is no candidate");
	rig.wall_ns += 1;
	late = collect_help_run(&rig, &plain);
	cr_expect_eq(late->wait_count, 0);
	cr_expect_eq(rig_state(&rig, "b3"), RECORD_ABORTED);
	cr_expect_not(collect_help_has(&rig, orphan));
	collect_help_expect_exact(&rig);
	cr_expect_eq(collect_help_write(&rig, open, NULL), REG_LOST, "it cannot go on");
}

/* 292 years are 2^63 ns: 1000y, the most that --fence-after takes, is more than these. */
Test(collect_time, an_age_of_centuries_ends_nothing)
{
	static const int64_t years[] = { 292, 293, 600, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(years); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *open = NULL;
		_cleanup_(collect_result_freep) struct collect_result *r = NULL;

		collect_help_begin(&rig);
		open = collect_help_open(&rig, "b3");
		rig.wall_ns += 1000 * DAY_NS;
		r = collect_help_run(&rig,
				     &(struct collect_options){ .fence_ms = years[i] * 365 *
									    (DAY_NS / 1000000) });
		cr_expect_eq(r->wait_count, 1, "%d years", (int)years[i]);
		cr_expect_eq(rig_state(&rig, "b3"), RECORD_OPEN);
	}
}

static struct record *renewed;

static void renew(struct rig *rig)
{
	cr_assert_eq(collect_help_write(rig, renewed, NULL), 0);
}

Test(collect_time, a_backup_that_is_renewed_at_the_last_moment_is_not_ended)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *open = NULL;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	collect_help_begin(&rig);
	renewed = open = collect_help_open(&rig, "b3");
	rig.wall_ns += 2 * DAY_NS;
	collect_help_at(&rig, "put", "/records/b3/", 1, renew);
	r = collect_help_run(&rig, &plain);
	cr_assert(collect_event.fired);
	cr_expect_eq(rig_state(&rig, "b3"), RECORD_OPEN);
	cr_expect_eq(r->wait_count, 1);
}

Test(collect_time, a_dry_run_ends_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *open = NULL;

	collect_help_begin(&rig);
	open = collect_help_open(&rig, "b3");
	rig.wall_ns += 2 * DAY_NS;
	collect_result_free(collect_help_run(&rig, &(struct collect_options){ .dry_run = true }));
	cr_expect_eq(rig_state(&rig, "b3"), RECORD_OPEN);
}

static int64_t wall_1960(void *ctx)
{
	return -INT64_C(315619200000000000);
}

Test(collect_time, the_clock_of_this_host_decides_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *open = NULL;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;
	_cleanup_(repo_freep) struct repo *repo = NULL, *real = NULL;
	struct clock mine;
	struct err e = ERR_INIT;

	collect_help_begin(&rig);
	open = collect_help_open(&rig, "b3");
	mine = rig.clock;
	mine.wall_ns = wall_1960;
	cr_assert_eq(repo_open(rig.store, REPO_READ | REPO_WRITE | REPO_COLLECT, &mine, NULL, &repo,
			       &e),
		     0);
	real = rig.repo;
	rig.repo = repo;
	r = collect_help_run(&rig, &plain);
	cr_expect_eq(r->wait_count, 1);
	rig.repo = steal_pointer(&real);
	cr_expect_eq(rig_state(&rig, "b3"), RECORD_OPEN);
	collect_help_expect_whole(&rig);
}

Test(collect_time, a_dead_pin_is_ended_and_what_it_held_goes)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *b2 = NULL;
	_cleanup_(collect_result_freep) struct collect_result *early = NULL, *late = NULL;
	struct hold *hold = NULL;
	struct err e = ERR_INIT;

	collect_help_begin(&rig);
	b2 = rig_read_record(&rig, "b2");
	cr_assert_eq(hold_begin(&(struct hold_options){ .repo = rig.repo,
							.record = b2,
							.purpose = "test" },
				&hold, NULL, &e),
		     0);
	collect_help_delete(&rig, "b2");
	rig.wall_ns += DAY_NS;
	early = collect_help_run(&rig, &plain);
	cr_expect_eq(rig_count(&rig, "pins/"), 1);
	cr_expect_gt(rig_count(&rig, "objects/"), 0);
	rig.wall_ns += 1;
	late = collect_help_run(&rig, &plain);
	cr_expect_eq(rig_count(&rig, "pins/"), 0);
	cr_expect_eq(rig_count(&rig, "objects/") + rig_count(&rig, "trees/"), 0);
	hold_end(hold);
	cr_expect_eq(rig_count(&rig, "pins/"), 0);
}

Test(collect_time, records_go_after_their_objects_and_not_before_thirty_days)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *first = NULL, *early = NULL,
							      *late = NULL;

	collect_help_begin(&rig);
	first = collect_help_run(&rig, &plain);
	cr_expect_eq(first->kept_records, 1);
	rig.wall_ns += 100 * DAY_NS;
	early = collect_help_run(&rig, &plain);
	cr_expect_eq(early->kept_records, 1, "b2 uses an object of b1's writer");
	collect_help_delete(&rig, "b2");
	collect_help_gc(&rig);
	rig.wall_ns += 30 * DAY_NS - 60 * INT64_C(1000000000);
	collect_help_gc(&rig);
	cr_expect_eq(rig_count(&rig, "records/"), 1, "b1 went, b2 is not 30 days deleted");
	/* Something of it is there again: as long as that is so, the record stays. */
	rig.wall_ns += DAY_NS;
	{
		_cleanup_(record_freep) struct record *b2 = rig_read_record(&rig, "b2");
		_cleanup_(collect_result_freep) struct collect_result *r = NULL;
		char key[KEY_BYTES], writer[ULID_TEXT];

		snprintf(
			key, sizeof(key),
			"trees/%s/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
			ulid_format(writer, &b2->writer));
		collect_help_put(&rig, key, "x", 1);
		r = collect_help_run(&rig, &plain);
		cr_expect_eq(r->deleted_objects, 1);
		cr_expect_eq(r->kept_records, 1);
	}
	late = collect_help_run(&rig, &plain);
	cr_expect_eq(late->removed_records, 1);
	cr_expect_eq(late->kept_records, 0);
	cr_expect_eq(rig_count(&rig, "records/"), 0);
}

Test(collect_time, what_a_probe_left_goes_after_a_day)
{
	_cleanup_rig_ struct rig rig;

	collect_help_begin(&rig);
	collect_help_put(&rig, "probe/" WRITER, "1", 1);
	rig.wall_ns += DAY_NS;
	collect_help_gc(&rig);
	cr_expect_eq(rig_count(&rig, "probe/"), 1);
	rig.wall_ns += 1;
	collect_help_gc(&rig);
	cr_expect_eq(rig_count(&rig, "probe/"), 0);
}
