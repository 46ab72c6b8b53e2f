/* SPDX-License-Identifier: Apache-2.0 */
/* Packs decay as retention goes on, and are left behind before they waste much. */
#include "tests/unit/catalog/decay_sim.h"

#define COLD "nb-1-big-Index.db"
#define HOT "nb-2-big-Index.db"
#define LEN 20000

/* One pack with both, of which a committed backup reaches only the first. */
static void decayed(struct rig *rig, size_t cold_bytes, size_t hot_bytes)
{
	rig_init(rig, OBJECT_COMPRESS_NONE);
	rig_put_random(rig, COLD, 1, cold_bytes);
	rig_put_random(rig, HOT, 2, hot_bytes);
	record_free(rig_commit(rig, "b1"));
	rig_put_random(rig, HOT, 3, hot_bytes);
	record_free(rig_commit(rig, "b2"));
	collect_help_delete(rig, "b1");
}

static uint64_t new_bytes(struct rig *rig, const char *name)
{
	_cleanup_(record_freep) struct record *record = rig_commit(rig, name);

	rig_expect_random(rig, record, COLD, 1, LEN);
	return record->new_bytes;
}

Test(decay, what_lies_in_a_pack_of_which_little_is_live_is_stored_anew_once)
{
	_cleanup_rig_ struct rig rig;

	decayed(&rig, LEN, 15 * LEN);
	cr_expect_eq(new_bytes(&rig, "b3"), LEN);
	cr_expect_eq(new_bytes(&rig, "b4"), 0);
	collect_help_delete(&rig, "b2");
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
	cr_expect_eq(rig_count(&rig, "objects/"), 2, "the pack of b1 is gone");
	cr_expect_eq(new_bytes(&rig, "b5"), 0);
}

Test(decay, survivors_do_not_lie_with_what_is_new)
{
	_cleanup_rig_ struct rig rig;
	size_t before;

	decayed(&rig, LEN, 15 * LEN);
	rig_put_random(&rig, HOT, 4, 15 * LEN);
	before = rig_count(&rig, "objects/");
	cr_expect_eq(new_bytes(&rig, "b3"), 16 * LEN);
	cr_expect_eq(rig_count(&rig, "objects/"), before + 2);
}

Test(decay, a_quarter_is_enough)
{
	_cleanup_rig_ struct rig rig;

	decayed(&rig, LEN, 3 * LEN);
	cr_expect_eq(new_bytes(&rig, "b3"), 0);
}

Test(decay, other_backups_count_too)
{
	_cleanup_rig_ struct rig rig;

	decayed(&rig, LEN, 15 * LEN);
	/* The content that b2 does not hold, in another backup: it lies where it lay. */
	collect_help_set_state(&rig, "b1", RECORD_COMMITTED);
	cr_expect_eq(new_bytes(&rig, "b3"), 0);
}

Test(decay, what_two_files_hold_is_stored_anew_once)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *third = NULL;

	decayed(&rig, LEN, 15 * LEN);
	rig_put_random(&rig, "nb-7-big-Index.db", 1, LEN);
	third = rig_commit(&rig, "b3");
	cr_expect_eq(third->new_bytes, LEN);
	rig_expect_random(&rig, third, "nb-7-big-Index.db", 1, LEN);
	rig_expect_random(&rig, third, COLD, 1, LEN);
}

static struct hints *open_hints(struct rig *rig)
{
	static const struct node_name node = { "c1", "n1" };
	char dir[128];
	const struct hints_options o = { .directory = dir,
					 .repository_id = repo_id(rig->repo),
					 .where = &node,
					 .host_id = "",
					 .machine = "",
					 .clock = &rig->clock };

	snprintf(dir, sizeof(dir), "%s/state", rig->tmp.path);
	return hints_new(&o);
}

Test(decay, a_file_that_would_not_be_read_is_read_for_it)
{
	_cleanup_rig_ struct rig rig;

	decayed(&rig, LEN, 15 * LEN);
	rig.options.copy_forward_bytes = 1;
	rig.options.hints = open_hints(&rig);
	cr_expect_eq(new_bytes(&rig, "b3"), 0);
	hints_free(rig.options.hints);
	rig.options.copy_forward_bytes = 0;
	rig.options.hints = open_hints(&rig);
	cr_expect_eq(new_bytes(&rig, "b4"), LEN);
	hints_free(rig.options.hints);
}

Test(decay, no_more_is_stored_anew_than_allowed)
{
	_cleanup_rig_ struct rig rig;

	decayed(&rig, LEN, 15 * LEN);
	rig.options.copy_forward_bytes = LEN - 1;
	cr_expect_eq(new_bytes(&rig, "b3"), 0);
	rig.options.copy_forward_bytes = LEN;
	cr_expect_eq(new_bytes(&rig, "b4"), LEN);
}

Test(decay, nothing_decays_where_a_record_cannot_be_read)
{
	_cleanup_rig_ struct rig rig;
	const struct node_name node = { "c1", "n1" };
	struct ulid writer;
	char key[KEY_BYTES];
	struct err e = ERR_INIT;

	decayed(&rig, LEN, 15 * LEN);
	writer = ulid_new(&rig.clock);
	keys_record(key, &node, "b0", &writer);
	cr_assert_eq(store_put_bytes(rig.store, key, "nonsense", 8, STORE_IF_ABSENT, NULL, NULL,
				     NULL, &e),
		     0);
	cr_expect_eq(new_bytes(&rig, "b3"), 0);
}

/* ---- for months ---- */

static double mib(uint64_t bytes)
{
	return (double)bytes / (double)MIB;
}

static void print(const struct sim *s, const struct sim_sizes *z)
{
	fprintf(stderr, "| %u | %zu | %.1f | %.1f | %.2f | %.1f | %.1f | %.2f | %.2f |\n", s->day,
		s->kept_count, mib(z->stored_data), mib(z->live_data),
		(double)z->stored_data / (double)z->live_data, mib(z->stored_meta),
		mib(z->live_meta), (double)z->stored_meta / (double)z->live_meta, sim_ratio(z));
}

/* Prints a row now and then, and returns what it is in the end. */
static double live(const struct sim_shape *shape, unsigned days, const struct policy *policy,
		   bool copy)
{
	struct sim s;
	struct sim_sizes z = { 0 };

	sim_init(&s, shape, policy);
	s.rig.options.copy_forward_bytes = copy ? 0 : 1;
	fprintf(stderr,
		"%s, %s copy-forward\n| day | backups | data, MiB | live | ratio | trees, MiB | live | ratio | both |\n",
		shape->name, copy ? "with" : "without");
	while (s.day < days) {
		sim_day(&s);
		if (s.day % MAX_OF(days / 10, 1u) == 0 || s.day == days) {
			z = sim_measure(&s);
			print(&s, &z);
		}
	}
	fprintf(stderr, "uploaded in all: %.1f MiB\n", mib(s.uploaded_bytes));
	collect_help_expect_exact(&s.rig);
	sim_deinit(&s);
	return sim_ratio(&z);
}

Test(decay, what_lives_long_leaves_what_does_not)
{
	static const struct policy last = { .keep_last = 3 };
	double with = live(&sim_hot_and_cold, 24, &last, true);
	double without = live(&sim_hot_and_cold, 24, &last, false);

	cr_expect_leq(with, 2);
	cr_expect_gt(without, 3);
}

/* Two hundred backups, with and without; takes minutes. */
Test(decay, after_two_hundred_backups_what_is_stored_is_near_what_is_live)
{
	static const struct policy gfs = { .keep_daily = 7, .keep_weekly = 4, .keep_monthly = 12 };
	bool all = getenv("SSTABLEFS_LONG") != NULL;

	cr_expect_leq(live(&sim_node, all ? 200 : 3, &gfs, true), 1.3);
	if (!all)
		return;
	live(&sim_node, 200, &gfs, false);
	live(&sim_small, 200, &gfs, true);
	live(&sim_small, 200, &gfs, false);
}
