/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sched.h>
#include <errno.h>
#include <string.h>
#include "cache/loads.h"
#include "tests/unit/cache/blocks_help.h"

Test(blocks, only_the_blocks_that_are_needed_are_loaded_and_only_once)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, OBJECT, false);

	fixture_init(&f, MEMORY, 4);
	cr_expect_eq(try(&f, &o, 0, 1), BLOCKS_WOULD_BLOCK);
	cr_expect_eq(f.loader.loads, 0, "without waiting nothing is started");
	expect_range(&f, &o, 5 * BLOCK + 17, 100);
	cr_expect_eq(f.loader.loaded_blocks, 1);
	expect_range(&f, &o, 5 * BLOCK, BLOCK);
	cr_expect_eq(f.loader.loaded_blocks, 1);
	cr_expect_eq(try(&f, &o, 5 * BLOCK, BLOCK), 0);
	expect_range(&f, &o, 4 * BLOCK, 3 * BLOCK);
	cr_expect_eq(f.loader.loaded_blocks, 3);
	cr_expect_eq(f.loader.loads, 3, "4 and 6 are not side by side");
	expect_range(&f, &o, 0, OBJECT);
	cr_expect_eq(f.loader.loaded_blocks, 64);
	cr_expect_eq(blocks_memory(f.b), OBJECT);
}

Test(blocks, an_object_that_is_whole_is_loaded_at_once)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, 3 * MIB + 5, true);

	fixture_init(&f, MEMORY, 4);
	expect_range(&f, &o, 7 * BLOCK, 10);
	cr_expect_eq(f.loader.loads, 1);
	cr_expect_eq(f.loader.loaded_blocks, 25);
	expect_range(&f, &o, 0, 3 * MIB + 5);
	cr_expect_eq(f.loader.loads, 1);
}

Test(blocks, of_the_memory_only_what_nobody_else_uses_is_used)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object a = fake_object(1, OBJECT, false), b = fake_object(2, OBJECT, false),
			    c = fake_object(3, OBJECT, false);

	fixture_init(&f, MEMORY, 4);
	blocks_limit(f.b, BLOCKS_MIN_MEMORY);
	expect_range(&f, &a, 0, OBJECT);
	expect_range(&f, &b, 0, OBJECT);
	cr_expect_not(blocks_prefetch(f.b, &c, 0, OBJECT, 0) &&
		      blocks_memory(f.b) > BLOCKS_MIN_MEMORY);
	blocks_limit(f.b, MEMORY);
	expect_range(&f, &a, 0, OBJECT);
	expect_range(&f, &b, 0, OBJECT);
	expect_range(&f, &c, 0, OBJECT);
	cr_expect_gt(blocks_memory(f.b), BLOCKS_MIN_MEMORY);
	blocks_limit(f.b, BLOCKS_MIN_MEMORY);
	cr_expect_leq(blocks_memory(f.b), BLOCKS_MIN_MEMORY);
	expect_range(&f, &c, 0, OBJECT);
}

Test(blocks, ranges_that_are_not_of_the_object_are_refused)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, 1000, false),
			    big = fake_object(2, OBJECT + 1, false);
	struct block_pin pin;
	static const struct {
		uint32_t offset, len;
	} rows[] = { { 0, 0 },	  { 1000, 1 },	     { 999, 2 },
		     { 0, 1001 }, { UINT32_MAX, 2 }, { 1, UINT32_MAX } };

	fixture_init(&f, MEMORY, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_eq(blocks_get(f.b, &o, rows[i].offset, rows[i].len, BLOCKS_WAIT, &pin,
					NULL, NULL),
			     -EBADMSG, "row %zu", i);
		cr_expect_not(blocks_prefetch(f.b, &o, rows[i].offset, rows[i].len, BLOCKS_PASSING),
			      "row %zu", i);
	}
	cr_expect_eq(blocks_get(f.b, &big, 0, 1, BLOCKS_WAIT, &pin, NULL, NULL), -EBADMSG);
	cr_expect_eq(f.loader.loads, 0);
}

Test(blocks, too_little_memory_or_no_thread_is_refused)
{
	struct fake_loader loader = FAKE_LOADER_INIT;
	struct blocks_options o = { .memory_bytes = BLOCKS_MIN_MEMORY - 1,
				    .threads = 1,
				    .loader = fake_loader_of(&loader) };
	struct blocks *b = NULL;

	cr_expect_eq(blocks_new(&o, &b, NULL), -EINVAL);
	o.memory_bytes = BLOCKS_MIN_MEMORY;
	o.threads = 0;
	cr_expect_eq(blocks_new(&o, &b, NULL), -EINVAL);
	o.threads = 1;
	cr_expect_eq(blocks_new(&o, &b, NULL), 0);
	blocks_free(b);
}

/* ---- readers that wait, each on a thread ---- */

struct reader {
	struct fixture *f;
	struct block_object o;
	uint32_t offset, len;
	struct cancel cancel;
	struct block_pin pin;
	struct err e;
	int result;
	bool right;
	pthread_t thread;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	r->result = blocks_get(r->f->b, &r->o, r->offset, r->len, BLOCKS_WAIT, &r->pin, &r->cancel,
			       &r->e);
	if (r->result == 0)
		r->right = fake_fits(&r->o, r->offset, r->len, r->pin.data);
	return NULL;
}

static void start(struct reader *r, struct fixture *f, struct block_object o, uint32_t offset,
		  uint32_t len)
{
	*r = (struct reader){ .f = f, .o = o, .offset = offset, .len = len };
	cr_assert_eq(pthread_create(&r->thread, NULL, read_one, r), 0);
}

static int join(struct reader *r)
{
	pthread_join(r->thread, NULL);
	blocks_unpin(r->f->b, &r->pin);
	return r->result;
}

Test(blocks, many_readers_of_a_block_cause_one_load)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, OBJECT, false);
	struct reader readers[12];

	fixture_init(&f, MEMORY, 4);
	fake_set_gate(&f.loader, true);
	for (unsigned i = 0; i < 12; i++)
		start(&readers[i], &f, o, 3 * BLOCK + i, 10);
	fake_wait_at_gate(&f.loader, 1);
	fake_set_gate(&f.loader, false);
	for (unsigned i = 0; i < 12; i++) {
		cr_expect_eq(join(&readers[i]), 0);
		cr_expect(readers[i].right);
	}
	cr_expect_eq(f.loader.loads, 1);
	cr_expect_eq(f.loader.loaded_blocks, 1);
}

Test(blocks, a_reader_that_is_cancelled_goes_and_the_load_goes_on)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, OBJECT, false);
	struct reader gone, stays;

	fixture_init(&f, MEMORY, 4);
	fake_set_gate(&f.loader, true);
	start(&gone, &f, o, 0, 10);
	start(&stays, &f, o, 0, 10);
	fake_wait_at_gate(&f.loader, 1);
	cancel_set(&gone.cancel, 1);
	blocks_wake(f.b);
	cr_expect_eq(join(&gone), -ECANCELED);
	fake_set_gate(&f.loader, false);
	cr_expect_eq(join(&stays), 0);
	cr_expect_eq(f.loader.loads, 1);
	cancel_set(&gone.cancel, 1);
	cr_expect_eq(blocks_get(f.b, &o, BLOCK, 1, BLOCKS_WAIT, &gone.pin, &gone.cancel, NULL),
		     -ECANCELED);
}

Test(blocks, a_failed_load_is_told_to_all_who_waited_and_then_tried_again)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, OBJECT, false);
	struct reader readers[4];

	fixture_init(&f, MEMORY, 4);
	for (unsigned whole = 0; whole < 2; whole++) {
		o.whole = whole != 0;
		o.id.b[5] ^= 1;
		fake_set_gate(&f.loader, true);
		f.loader.fail = 1;
		for (unsigned i = 0; i < 4; i++)
			start(&readers[i], &f, o, 0, 2 * BLOCK);
		fake_wait_at_gate(&f.loader, 1);
		cr_expect(blocks_prefetch(f.b, &o, BLOCK, BLOCK, BLOCKS_PASSING), "it is loading");
		fake_set_gate(&f.loader, false);
		for (unsigned i = 0; i < 4; i++) {
			/* One who came late made the next try. */
			if (join(&readers[i]) == 0)
				continue;
			cr_expect_eq(readers[i].result, -EIO);
			cr_expect_eq(readers[i].e.kind, ERR_STORE);
			cr_expect_str_eq(readers[i].e.message, "the store of the test failed");
		}
		expect_range(&f, &o, 0, 2 * BLOCK);
	}
}

Test(blocks, the_failure_of_some_blocks_is_not_that_of_others)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o = fake_object(1, OBJECT, false);
	struct reader first, second;

	fixture_init(&f, MEMORY, 1);
	fake_set_gate(&f.loader, true);
	f.loader.fail = 1;
	start(&first, &f, o, 0, 10);
	fake_wait_at_gate(&f.loader, 1);
	start(&second, &f, o, 2 * BLOCK, 10);
	fake_set_gate(&f.loader, false);
	cr_expect_eq(join(&first), -EIO);
	cr_expect_eq(join(&second), 0);
	cr_expect(second.right);
}

/* With all memory pinned a reader waits until a pin goes. */
Test(blocks, a_reader_waits_for_memory_until_a_pin_goes)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object a = fake_object(1, OBJECT, false), b = fake_object(2, OBJECT, false);
	struct block_object c = fake_object(3, OBJECT, false);
	struct reader waiting, cancelled;
	struct block_pin pin_a, pin_b;

	fixture_init(&f, BLOCKS_MIN_MEMORY, 2);
	cr_assert_eq(blocks_get(f.b, &a, 0, OBJECT, BLOCKS_WAIT, &pin_a, NULL, NULL), 0);
	cr_assert_eq(blocks_get(f.b, &b, 0, OBJECT, BLOCKS_WAIT, &pin_b, NULL, NULL), 0);
	cr_expect_not(blocks_prefetch(f.b, &c, 0, OBJECT, BLOCKS_PASSING));
	start(&waiting, &f, c, 0, OBJECT);
	start(&cancelled, &f, c, 0, OBJECT);
	cancel_set(&cancelled.cancel, 1);
	cr_expect_eq(join(&cancelled), -ECANCELED);
	cr_expect_eq(f.loader.loads, 2);
	blocks_unpin(f.b, &pin_b);
	cr_expect_eq(join(&waiting), 0);
	cr_expect(waiting.right);
	cr_expect(fake_fits(&a, 0, OBJECT, pin_a.data), "what is pinned stays");
	blocks_unpin(f.b, &pin_a);
	cr_expect_leq(blocks_memory(f.b), BLOCKS_MIN_MEMORY);
}

/* Until somebody waits for blocks of the object. */
static void await_waiter(struct fixture *f, const struct block_object *o)
{
	for (bool found = false; !found; sched_yield()) {
		struct slot *slot;

		pthread_mutex_lock(&f->b->lock);
		slot = slots_find(&f->b->slots, &o->id);
		found = slot && slot->waiters;
		pthread_mutex_unlock(&f->b->lock);
	}
}

Test(blocks, what_is_waited_for_goes_before_what_is_fetched_ahead)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o[6];
	struct reader demanded, promoted;

	fixture_init(&f, 64 * MIB, 1);
	for (uint32_t n = 0; n < 6; n++)
		o[n] = fake_object(n, OBJECT, false);
	fake_set_gate(&f.loader, true);
	cr_assert(blocks_prefetch(f.b, &o[0], 0, OBJECT, BLOCKS_PASSING));
	fake_wait_at_gate(&f.loader, 1);
	for (uint32_t n = 1; n < 5; n++)
		cr_assert(blocks_prefetch(f.b, &o[n], 0, OBJECT, BLOCKS_PASSING));
	start(&promoted, &f, o[3], BLOCK, 1);
	await_waiter(&f, &o[3]);
	start(&demanded, &f, o[5], 0, 1);
	await_waiter(&f, &o[5]);
	fake_set_gate(&f.loader, false);
	cr_expect_eq(join(&demanded), 0);
	cr_expect_eq(join(&promoted), 0);
	cr_expect_eq(f.loader.order[0], 0);
	cr_expect_eq(f.loader.order[1], 3);
	cr_expect_eq(f.loader.order[2], 5);
}

Test(blocks, what_is_fetched_ahead_leaves_a_thread_for_those_who_wait)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o[6], last = fake_object(9, OBJECT, false);
	struct reader r;

	fixture_init(&f, 96 * MIB, 3);
	fake_set_gate(&f.loader, true);
	for (uint32_t n = 0; n < 6; n++) {
		o[n] = fake_object(n, OBJECT, false);
		cr_assert(blocks_prefetch(f.b, &o[n], 0, OBJECT, BLOCKS_PASSING));
	}
	fake_wait_at_gate(&f.loader, 2);
	start(&r, &f, last, 0, 1);
	fake_wait_at_gate(&f.loader, 3);
	cr_expect_eq(f.loader.order_count, 3);
	cr_expect_eq(f.loader.order[2], 9);
	fake_set_gate(&f.loader, false);
	cr_expect_eq(join(&r), 0);
	for (uint32_t n = 0; n < 6; n++)
		expect_range(&f, &o[n], 0, OBJECT);
	cr_expect_eq(f.loader.loads, 7);
	cr_expect_leq(f.loader.most_running, 3);
}

Test(blocks, fetching_ahead_gives_up_what_was_read_but_nothing_unread)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o[8];

	fixture_init(&f, 4 * (OBJECT + BLOCK), 4);
	for (uint32_t n = 0; n < 8; n++)
		o[n] = fake_object(n, OBJECT, false);
	for (unsigned n = 0; n < 4; n++)
		cr_assert(blocks_prefetch(f.b, &o[n], 0, OBJECT, BLOCKS_PASSING));
	cr_expect_not(blocks_prefetch(f.b, &o[4], 0, OBJECT, BLOCKS_PASSING));
	for (unsigned n = 0; n < 4; n++) /* what is still queued would be dropped, not forgotten */
		while (try(&f, &o[n], 0, 1) == BLOCKS_WOULD_BLOCK)
			sched_yield();
	expect_range(&f, &o[0], 0, OBJECT);
	expect_range(&f, &o[1], 0, OBJECT / 2);
	cr_expect(blocks_prefetch(f.b, &o[4], 0, OBJECT, BLOCKS_PASSING));
	expect_range(&f, &o[4], 0, 1);
	cr_expect_eq(try(&f, &o[0], 0, 1), BLOCKS_WOULD_BLOCK);
	cr_expect_eq(try(&f, &o[1], OBJECT / 2, 1), 0);
	blocks_forget(f.b, &o[2]);
	expect_range(&f, &o[2], 0, 1);
	cr_expect(blocks_prefetch(f.b, &o[5], 0, OBJECT, BLOCKS_PASSING));
}

/* All of it, without reading it. */
static bool is_here(struct fixture *f, const struct block_object *o)
{
	const struct slot *slot;
	bool here;

	pthread_mutex_lock(&f->b->lock);
	slot = slots_find(&f->b->slots, &o->id);
	here = slot && slot->present == slots_all_of(o) && slot->pins == 0;
	pthread_mutex_unlock(&f->b->lock);
	return here;
}

Test(blocks, what_is_guessed_gives_way_to_what_is_needed_soon_and_not_to_what_can_wait)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object o[7];

	fixture_init(&f, 4 * (OBJECT + BLOCK), 4);
	for (uint32_t n = 0; n < 7; n++)
		o[n] = fake_object(n, OBJECT, false);
	for (unsigned n = 0; n < 4; n++) {
		cr_assert(blocks_prefetch(f.b, &o[n], 0, OBJECT, BLOCKS_GUESSED));
		while (!is_here(&f, &o[n]))
			sched_yield();
	}
	cr_expect_not(blocks_prefetch(f.b, &o[4], 0, OBJECT, BLOCKS_PASSING | BLOCKS_SPARING));
	cr_expect_not(blocks_prefetch(f.b, &o[4], 0, OBJECT, BLOCKS_GUESSED));
	for (unsigned n = 0; n < 3; n++)
		blocks_expect(f.b, &o[n], 0, OBJECT);
	cr_expect(blocks_prefetch(f.b, &o[4], 0, OBJECT, BLOCKS_PASSING));
	cr_expect_eq(try(&f, &o[3], 0, 1), BLOCKS_WOULD_BLOCK, "the one that is a guess still");
	cr_expect_not(blocks_prefetch(f.b, &o[5], 0, OBJECT, BLOCKS_PASSING));
	expect_range(&f, &o[4], 0, OBJECT);
	for (unsigned n = 0; n < 3; n++)
		expect_range(&f, &o[n], 0, OBJECT);
	cr_expect_eq(f.loader.loads, 5);
	cr_expect(blocks_prefetch(f.b, &o[6], 0, OBJECT, BLOCKS_PASSING | BLOCKS_SPARING),
		  "what was read gives way to all");
}

Test(blocks, what_is_forgotten_is_not_loaded_any_more_unless_somebody_waits)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object first = fake_object(0, OBJECT, false),
			    o = fake_object(1, OBJECT, false);
	struct block_object waited = fake_object(2, OBJECT, false);
	struct reader r;

	fixture_init(&f, 64 * MIB, 1);
	fake_set_gate(&f.loader, true);
	cr_assert(blocks_prefetch(f.b, &first, 0, OBJECT, BLOCKS_PASSING));
	fake_wait_at_gate(&f.loader, 1);
	cr_assert(blocks_prefetch(f.b, &o, 0, MIB, BLOCKS_PASSING));
	cr_assert(blocks_prefetch(f.b, &o, 2 * MIB, MIB, BLOCKS_PASSING));
	cr_assert(blocks_prefetch(f.b, &waited, 0, MIB, BLOCKS_PASSING));
	start(&r, &f, waited, 0, 1);
	await_waiter(&f, &waited);
	blocks_forget(f.b, &first); /* goes on, and goes first */
	blocks_forget(f.b, &o);
	blocks_forget(f.b, &waited);
	cr_expect_null(blocks_check(f.b));
	cr_expect_eq(blocks_memory(f.b), OBJECT + BLOCKS_HEADROOM + MIB);
	fake_set_gate(&f.loader, false);
	cr_expect_eq(join(&r), 0);
	cr_expect(r.right);
	expect_range(&f, &o, 0, 1);
	cr_expect_eq(f.loader.loads, 3);
	cr_expect_eq(f.loader.loaded_blocks, 64 + 8 + 1);
}

Test(blocks, closing_cancels_what_is_under_way_and_queued)
{
	struct fixture f;
	struct block_object o[6];

	fixture_init(&f, 64 * MIB, 2);
	fake_set_gate(&f.loader, true);
	for (uint32_t n = 0; n < 6; n++) {
		o[n] = fake_object(n, OBJECT, false);
		cr_assert(blocks_prefetch(f.b, &o[n], 0, OBJECT, BLOCKS_PASSING));
	}
	fake_wait_at_gate(&f.loader, 1);
	blocks_free(steal_pointer(&f.b));
	cr_expect_leq(f.loader.loads, 2);
	fixture_deinit(&f);
}

/* ---- random use against the content ---- */

struct player {
	struct fixture *f;
	uint64_t random;
	unsigned wrong, failed, over;
	pthread_t thread;
};

static uint32_t draw(struct player *p, uint32_t below)
{
	p->random = p->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((p->random >> 33) % below);
}

static void *play(void *arg)
{
	struct player *p = arg;

	for (int i = 0; i < 300; i++) {
		uint32_t n = draw(p, 12), bytes = 1 + (n + 1) * 600000 % OBJECT;
		struct block_object o = fake_object(n, bytes, n % 3 == 0);
		uint32_t offset = draw(p, bytes),
			 len = 1 + draw(p, MIN_OF(bytes - offset, 2 * (uint32_t)MIB));
		struct block_pin pin = { 0 };

		if (draw(p, 4) == 0)
			blocks_prefetch(p->f->b, &o, offset, len, draw(p, 2) ? BLOCKS_PASSING : 0);
		if (draw(p, 9) == 0)
			blocks_forget(p->f->b, &o);
		if (draw(p, 50) == 0)
			atomic_store(&p->f->loader.fail, 1);
		if (blocks_get(p->f->b, &o, offset, len, BLOCKS_WAIT, &pin, NULL, NULL) != 0) {
			p->failed++;
			continue;
		}
		p->wrong += !fake_fits(&o, offset, len, pin.data);
		p->over += blocks_memory(p->f->b) > BLOCKS_MIN_MEMORY || blocks_check(p->f->b);
		blocks_unpin(p->f->b, &pin);
	}
	return NULL;
}

Test(blocks, random_use_by_many_threads_gives_right_bytes_in_bounded_memory)
{
	for (int with_ring = 0; with_ring < 2; with_ring++) {
		_cleanup_fixture_ struct fixture f;
		struct player players[6];

		if (with_ring)
			fixture_init_with_ring(&f);
		else
			fixture_init(&f, MEMORY, 4);
		close_blocks(&f);
		open_blocks(&f, BLOCKS_MIN_MEMORY, 4);
		for (unsigned i = 0; i < 6; i++) {
			players[i] = (struct player){ .f = &f, .random = i + 1 };
			cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]),
				     0);
		}
		for (unsigned i = 0; i < 6; i++) {
			pthread_join(players[i].thread, NULL);
			cr_expect_eq(players[i].wrong, 0);
			cr_expect_eq(players[i].over, 0);
			cr_expect_lt(players[i].failed, 150);
		}
	}
}
