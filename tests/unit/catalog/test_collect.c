/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/catalog/collect_help.h"

#define LARGE (MIB + 1000)

static const struct collect_options plain;

static void fill(struct rig *rig)
{
	rig_init(rig, OBJECT_COMPRESS_NONE);
	rig_put_random(rig, "nb-1-big-Data.db", 1, LARGE);
	rig_put_random(rig, "nb-1-big-Index.db", 2, 30000);
}

/* b1 has SSTables 1 and 2, b2 has 1 and 3. */
static void two_backups(struct rig *rig)
{
	fill(rig);
	rig_put_random(rig, "nb-2-big-Data.db", 3, LARGE);
	record_free(rig_commit(rig, "b1"));
	rig_remove(rig, "nb-2-big-Data.db");
	rig_put_random(rig, "nb-3-big-Data.db", 4, LARGE);
	record_free(rig_commit(rig, "b2"));
}

Test(collect, what_a_deleted_backup_alone_reached_goes)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL, *again = NULL;
	size_t before;

	two_backups(&rig);
	collect_help_delete(&rig, "b1");
	before = rig_count(&rig, "objects/") + rig_count(&rig, "trees/");
	r = collect_help_run(&rig, &plain);
	cr_expect_gt(r->deleted_objects, 0);
	cr_expect_eq(r->condemned_objects, r->deleted_objects);
	cr_expect_eq(r->condemned_bytes, r->deleted_bytes);
	cr_expect_geq(r->deleted_bytes, LARGE);
	cr_expect_eq(before - r->deleted_objects,
		     rig_count(&rig, "objects/") + rig_count(&rig, "trees/"));
	cr_expect_eq(r->awaiting_objects, 0);
	cr_expect_eq(r->kept_records, 1);
	cr_expect_eq(r->wait_count + r->unreadable_count + r->foreign_count + r->undeleted_count,
		     0);
	collect_help_expect_exact(&rig);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
	cr_expect_eq(rig_count(&rig, "probe/"), 0);
	again = collect_help_run(&rig, &plain);
	cr_expect_eq(again->condemned_objects + again->deleted_objects, 0);
}

Test(collect, a_dry_run_says_what_it_would_be_and_writes_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *dry = NULL, *r = NULL;
	struct trace_counts before, after;

	two_backups(&rig);
	collect_help_delete(&rig, "b1");
	before = rig_counts(&rig);
	dry = collect_help_run(&rig, &(struct collect_options){ .dry_run = true });
	after = rig_counts(&rig);
	cr_expect_eq(before.put, after.put);
	cr_expect_eq(before.delete_many, after.delete_many);
	r = collect_help_run(&rig, &plain);
	cr_expect_eq(dry->condemned_objects, r->condemned_objects);
	cr_expect_eq(dry->condemned_bytes, r->condemned_bytes);
	cr_expect_eq(dry->deleted_objects, 0);
}

Test(collect, a_repository_without_backups_is_fine)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	r = collect_help_run(&rig, &(struct collect_options){ .full = true });
	cr_expect_eq(r->condemned_objects + r->deleted_objects, 0);
}
