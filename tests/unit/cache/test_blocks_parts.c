/* SPDX-License-Identifier: Apache-2.0 */
/* Loads that tell of what has arrived before they are through. */
#include <criterion/criterion.h>
#include <errno.h>
#include "tests/unit/cache/blocks_help.h"

#define PART 2 /* blocks */

/* A load of all of the object, of which the first `parts` parts have arrived; the gate is closed. */
static void begin_load(struct fixture *f, const struct block_object *o, unsigned parts)
{
	f->loader.part_blocks = PART;
	fake_set_gate(&f->loader, true);
	cr_assert(blocks_prefetch(f->b, o, 0, o->plain_bytes, 0));
	fake_wait_at_gate(&f->loader, 1);
	for (unsigned i = 0; i < parts; i++)
		fake_pass(&f->loader);
}

static int get_now(struct fixture *f, const struct block_object *o, uint32_t block, uint32_t count)
{
	struct block_pin pin = { 0 };
	int r = blocks_get(f->b, o, block * BLOCK, count * BLOCK, 0, &pin, NULL, NULL);

	if (r == 0)
		cr_expect(fake_fits(o, block * BLOCK, count * BLOCK, pin.data));
	blocks_unpin(f->b, &pin);
	return r;
}

struct waiting {
	struct fixture *f;
	const struct block_object *o;
	uint32_t block, count;
	struct cancel cancel;
	int result;
	bool right;
	pthread_t thread;
};

static void *wait_for_blocks(void *arg)
{
	struct waiting *w = arg;
	struct block_pin pin = { 0 };

	w->result = blocks_get(w->f->b, w->o, w->block * BLOCK, w->count * BLOCK, BLOCKS_WAIT, &pin,
			       &w->cancel, NULL);
	if (w->result == 0)
		w->right = fake_fits(w->o, w->block * BLOCK, w->count * BLOCK, pin.data);
	blocks_unpin(w->f->b, &pin);
	return NULL;
}

static void start_waiting(struct waiting *w, struct fixture *f, const struct block_object *o,
			  uint32_t block, uint32_t count)
{
	*w = (struct waiting){ .f = f, .o = o, .block = block, .count = count };
	cr_assert_eq(pthread_create(&w->thread, NULL, wait_for_blocks, w), 0);
}

static void expect_sound(struct fixture *f)
{
	const char *broken = blocks_check(f->b);

	cr_expect_null(broken, "%s", broken);
}

Test(blocks_parts, what_has_arrived_is_read_while_the_rest_is_loading)
{
	struct block_object o = fake_object(1, 8 * BLOCK - 5, false);
	_cleanup_fixture_ struct fixture f;
	struct waiting early, across;

	fixture_init(&f, MEMORY, 2);
	begin_load(&f, &o, 0);
	start_waiting(&early, &f, &o, 1, 1);
	start_waiting(&across, &f, &o, 1, 4);
	cr_expect_eq(get_now(&f, &o, 0, 1), BLOCKS_WOULD_BLOCK);
	fake_pass(&f.loader);
	pthread_join(early.thread, NULL);
	cr_expect(early.result == 0 && early.right, "the waiter of the first part is told");
	cr_expect_eq(get_now(&f, &o, 0, PART), 0);
	cr_expect_eq(get_now(&f, &o, PART, 1), BLOCKS_WOULD_BLOCK);
	cr_expect_eq(get_now(&f, &o, PART - 1, 2), BLOCKS_WOULD_BLOCK);
	expect_sound(&f);
	fake_pass(&f.loader);
	cr_expect_eq(get_now(&f, &o, 0, 2 * PART), 0);
	expect_sound(&f);
	fake_set_gate(&f.loader, false);
	pthread_join(across.thread, NULL);
	cr_expect(across.result == 0 && across.right);
	expect_range(&f, &o, 0, 8 * BLOCK - 5);
	cr_expect_eq(f.loader.loads, 1);
	cr_expect_eq(metric_get(metrics_counter(f.metrics, "cache_loaded_bytes", NULL)),
		     8 * BLOCK - 5);
}

Test(blocks_parts, an_object_that_is_whole_comes_as_a_whole)
{
	struct block_object o = fake_object(1, 8 * BLOCK, true);
	_cleanup_fixture_ struct fixture f;

	fixture_init(&f, MEMORY, 2);
	begin_load(&f, &o, 3);
	cr_expect_eq(get_now(&f, &o, 0, 1), BLOCKS_WOULD_BLOCK);
	expect_sound(&f);
	fake_set_gate(&f.loader, false);
	expect_range(&f, &o, 0, 8 * BLOCK);
}

Test(blocks_parts, what_arrived_before_a_failure_stays_as_it_is)
{
	struct block_object o = fake_object(1, 8 * BLOCK, false);
	_cleanup_fixture_ struct fixture f;
	struct waiting late;
	struct block_pin pin = { 0 };

	fixture_init(&f, MEMORY, 2);
	f.loader.fail = 1;
	f.loader.fail_behind = 2 * PART + 1;
	begin_load(&f, &o, 1);
	cr_assert_eq(blocks_get(f.b, &o, 0, PART * BLOCK, 0, &pin, NULL, NULL), 0);
	start_waiting(&late, &f, &o, 5, 1);
	fake_pass(&f.loader); /* the load that failed waits behind its second part */
	expect_sound(&f);
	fake_set_gate(&f.loader, false);
	pthread_join(late.thread, NULL);
	/* It may have asked only after the failure, and so had a load of its own. */
	cr_expect(late.result == -EIO || (late.result == 0 && late.right));
	expect_range(&f, &o, 2 * PART * BLOCK, 4 * BLOCK);
	cr_expect_eq(get_now(&f, &o, 0, 2 * PART), 0);
	cr_expect(fake_fits(&o, 0, PART * BLOCK, pin.data), "pinned all along");
	cr_expect_leq(f.loader.loads, 4);
	cr_expect_leq(f.loader.loaded_blocks, 2 * PART + 1 + 4,
		      "no block came twice but the torn one");
	blocks_unpin(f.b, &pin);
}

Test(blocks_parts, a_reader_that_gives_up_leaves_the_load_to_others)
{
	struct block_object o = fake_object(1, 8 * BLOCK, false);
	_cleanup_fixture_ struct fixture f;
	struct waiting gone;

	fixture_init(&f, MEMORY, 2);
	begin_load(&f, &o, 1);
	start_waiting(&gone, &f, &o, 4, 2);
	cancel_set(&gone.cancel, 1);
	pthread_join(gone.thread, NULL);
	cr_expect_eq(gone.result, -ECANCELED);
	cr_expect_eq(get_now(&f, &o, 0, PART), 0);
	expect_sound(&f);
	fake_set_gate(&f.loader, false);
	expect_range(&f, &o, 0, 8 * BLOCK);
	cr_expect_eq(f.loader.loads, 1);
}

Test(blocks_parts, a_cache_that_is_closed_ends_a_load_in_its_middle)
{
	struct block_object o = fake_object(1, 8 * BLOCK, false);
	_cleanup_fixture_ struct fixture f;

	fixture_init(&f, MEMORY, 2);
	begin_load(&f, &o, 2);
	expect_sound(&f);
	close_blocks(&f);
	cr_expect_lt(f.loader.loaded_blocks, 8);
}

Test(blocks_parts, the_disk_gets_what_arrived_and_nothing_else)
{
	struct block_object o = fake_object(1, 8 * BLOCK, false);
	_cleanup_fixture_ struct fixture f;

	fixture_init_with_ring(&f);
	f.loader.part_blocks = PART;
	f.loader.fail = 1;
	f.loader.fail_behind = 2 * PART + 1;
	cr_assert(blocks_prefetch(f.b, &o, 0, o.plain_bytes, 0));
	close_blocks(&f);
	open_blocks(&f, MEMORY, 4);
	expect_range(&f, &o, 0, 2 * PART * BLOCK);
	cr_expect_eq(f.loader.loads, 1, "from the disk");
	expect_range(&f, &o, 2 * PART * BLOCK, BLOCK);
	cr_expect_eq(f.loader.loads, 2, "the torn block was not there");
	cr_expect_eq(metric_get(metrics_counter(f.metrics, "cache_disk_unfit_blocks", NULL)), 0);
}
