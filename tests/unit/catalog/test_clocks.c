/* SPDX-License-Identifier: Apache-2.0 */
/* Writer, collector and reader each believe another time, and the writer's clock jumps while it works: nothing is lost, as no clocks of two machines are compared. */
#include "catalog/hold.h"
#include "tests/unit/catalog/collect_help.h"

struct actor { /* a machine */
	struct rig *rig;
	_Atomic int64_t off_ns; /* its clock from the store's */
	struct clock clock;
	struct repo *repo;
};

static int64_t actor_wall(void *ctx)
{
	struct actor *a = ctx;

	return a->rig->wall_ns + a->off_ns;
}

static int64_t actor_elapsed(void *ctx)
{
	return ((struct actor *)ctx)->rig->elapsed_ns;
}

static void actor_random(void *ctx, void *out, size_t len_bytes)
{
	rig_random(((struct actor *)ctx)->rig, out, len_bytes);
}

static void actor_init(struct actor *a, struct rig *rig, int64_t off_ns)
{
	struct err e = ERR_INIT;

	*a = (struct actor){ .rig = rig, .off_ns = off_ns };
	a->clock = (struct clock){ actor_wall, actor_elapsed, actor_random, a };
	cr_assert_eq(repo_open(rig->store, REPO_READ | REPO_WRITE | REPO_COLLECT, &a->clock, NULL,
			       &a->repo, &e),
		     0, "%s", e.message);
}

static void actor_deinit(struct actor *a)
{
	repo_free(a->repo);
}

static struct { /* what happens while the writer uploads */
	struct actor *writer, *collector;
	int64_t jump_ns, store_jump_ns;
	bool done;
} meanwhile;

static void collect_as(struct actor *a)
{
	struct rig_view v = rig_open_view(a->rig);
	const struct collect_options o = {
		.repo = a->repo, .meta = v.meta, .where = &collect_where, .connections = 1
	};
	struct collect_result *result = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(collect_run(&o, &result, &e), 0, "%s", e.message);
	collect_result_free(result);
	rig_close_view(&v);
}

static enum fault jump(struct rig *rig, const char *method, const char *key)
{
	if (strcmp(method, "put") != 0 || !strstr(key, "/objects/"))
		return FAULT_NONE;
	rig->fault = NULL;
	meanwhile.writer->off_ns += meanwhile.jump_ns;
	rig->wall_ns += meanwhile.store_jump_ns;
	collect_as(meanwhile.collector);
	meanwhile.done = true;
	return FAULT_NONE;
}

static struct record *back_up(struct rig *rig, struct actor *writer, const char *name)
{
	rig->options.repo = writer->repo;
	return rig_commit(rig, name);
}

/* b0 is pinned, deleted and collected while b2 is being made. */
static void live_through(int64_t writer_off, int64_t collector_off, int64_t reader_off,
			 int64_t writer_jump, int64_t store_jump)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(actor_deinit) struct actor writer = { 0 }, collector = { 0 }, reader = { 0 };
	_cleanup_(record_freep) struct record *b0 = NULL, *b1 = NULL, *b2 = NULL;
	struct hold_options pin = { .purpose = "mount", .by_hand = true };
	struct hold *hold = NULL;
	struct err e = ERR_INIT;
	size_t missing, spare;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.connections = rig.options.jobs = 1;
	actor_init(&writer, &rig, writer_off);
	actor_init(&collector, &rig, collector_off);
	actor_init(&reader, &rig, reader_off);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 30000);
	b0 = back_up(&rig, &writer, "b0");
	rig_remove(&rig, "nb-2-big-Data.db");
	b1 = back_up(&rig, &writer, "b1");
	pin.repo = reader.repo;
	pin.record = b0;
	cr_assert_eq(hold_begin(&pin, &hold, NULL, &e), 0, "%s", e.message);
	collect_help_delete(&rig, "b0");
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 30000);
	rig_put_random(&rig, "nb-3-big-Data.db", 3, 40000);
	meanwhile.writer = &writer;
	meanwhile.collector = &collector;
	meanwhile.jump_ns = writer_jump;
	meanwhile.store_jump_ns = store_jump;
	meanwhile.done = false;
	rig.fault = jump;
	b2 = back_up(&rig, &writer, "b2");
	cr_assert(meanwhile.done);
	collect_help_compare(&rig, &b0->root, &missing, &spare);
	cr_expect_eq(missing, 0, "what is pinned and what is committed is there");
	cr_expect_eq(hold_check(hold, &e), 0, "%s", e.message);
	hold_end(hold);
	collect_as(&collector);
	collect_as(&collector);
	collect_help_expect_exact(&rig);
	rig_expect_random(&rig, b2, "nb-2-big-Data.db", 2, 30000);
	cr_expect_gt(record_compare_age(b2, b1), 0, "by the store's time");
	rig.options.repo = rig.repo;
}

Test(clocks, machines_that_are_hours_off_in_any_direction_lose_nothing)
{
	static const int64_t offs[] = { -10 * HOUR_NS, 0, 10 * HOUR_NS };

	for (size_t w = 0; w < 3; w++)
		for (size_t c = 0; c < 3; c++)
			for (size_t r = 0; r < 3; r++)
				live_through(offs[w], offs[c], offs[r], 0, 0);
}

Test(clocks, a_clock_that_jumps_during_a_backup_changes_nothing)
{
	static const int64_t jumps[] = { -40 * 365 * DAY_NS, -10 * HOUR_NS, 10 * HOUR_NS,
					 40 * 365 * DAY_NS };

	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++)
		live_through(0, 0, 0, jumps[i], 0);
}

/* The store's own clock: backwards it makes everything look younger, so what is dead is ended later. */
Test(clocks, a_store_whose_clock_goes_back_ends_nothing_too_early)
{
	live_through(0, 0, 0, 0, -3 * HOUR_NS);
	live_through(10 * HOUR_NS, -10 * HOUR_NS, 0, 0, -40 * 365 * DAY_NS);
}

Test(clocks, a_dead_backup_is_continued_later_where_the_store_s_clock_went_back)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(actor_deinit) struct actor writer = { 0 };
	_cleanup_(record_freep) struct record *open = NULL, *record = NULL;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	open = collect_help_open(&rig, "b1");
	actor_init(&writer, &rig, 100 * HOUR_NS); /* by its clock it would be dead for long */
	rig.options.repo = writer.repo;
	rig.wall_ns -= HOUR_NS;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBUSY);
	rig.wall_ns += HOUR_NS;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBUSY);
	rig.wall_ns += HOUR_NS;
	writer.off_ns = -100 * HOUR_NS; /* and by this one alive */
	record = rig_commit(&rig, "b1");
	cr_expect_eq(memcmp(&record->writer, &open->writer, sizeof(open->writer)), 0);
	rig.options.repo = rig.repo;
}
