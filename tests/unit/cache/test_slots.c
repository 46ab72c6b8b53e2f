/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "cache/slots.h"

#define BLOCK BLOCKS_BLOCK_BYTES
#define LIMIT (25 * MIB) /* three objects, and a headroom */

static struct block_object object_of(unsigned n, uint32_t plain_bytes, bool whole)
{
	return (struct block_object){ .id = digest_sha256(&n, sizeof(n)),
				      .plain_bytes = plain_bytes,
				      .whole = whole };
}

static void check(const struct slots *s)
{
	const char *broken = slots_check(s);

	cr_assert_null(broken, "%s", broken);
}

/* Loads blocks; pinned while that goes on. */
static struct slot *load(struct slots *s, const struct block_object *o, uint64_t blocks,
			 enum slots_effort effort)
{
	struct slot *slot = slots_reserve(s, o, blocks, blocks == slots_all_of(o), effort);

	if (!slot)
		return NULL;
	slots_pin(slot);
	check(s);
	slots_loaded(s, slot, blocks);
	slots_unpin(s, slot);
	check(s);
	return slot;
}

Test(slots, spans_cover_the_blocks_that_are_touched)
{
	static const struct {
		uint32_t offset, len;
		uint64_t expected;
	} rows[] = {
		{ 0, 1, 1 },
		{ 0, BLOCK, 1 },
		{ 0, BLOCK + 1, 3 },
		{ BLOCK - 1, 2, 3 },
		{ BLOCK, BLOCK, 2 },
		{ 63 * BLOCK, BLOCK, UINT64_C(1) << 63 },
		{ 0, 64 * BLOCK, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(slots_span(rows[i].offset, rows[i].len), rows[i].expected, "row %zu",
			     i);
}

Test(slots, blocks_read_to_their_end_are_used)
{
	static const struct {
		uint32_t offset, len;
		uint64_t expected;
	} rows[] = {
		{ 0, 1, 0 },
		{ 0, BLOCK, 1 },
		{ 1, BLOCK - 1, 1 },
		{ 1, BLOCK, 1 },
		{ BLOCK, BLOCK + 1, 2 },
		{ 3 * BLOCK, 100, 8 }, /* the last, short block */
		{ 0, 3 * BLOCK + 100, 15 },
		{ 3 * BLOCK, 99, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct block_object o = object_of(1, 3 * BLOCK + 100, false);
		struct slots s;
		struct slot *slot;

		cr_assert_eq(slots_init(&s, LIMIT), 0);
		slot = load(&s, &o, 15, SLOTS_ANY);
		slots_touch(&s, slot, rows[i].offset, rows[i].len, false);
		cr_expect_eq(slot->used, rows[i].expected, "row %zu", i);
		slots_deinit(&s);
	}
}

Test(slots, what_was_read_goes_first_then_the_least_recently_used_but_never_what_is_pinned)
{
	struct block_object a = object_of(1, 8 * MIB, false), b = object_of(2, 8 * MIB, false);
	struct block_object c = object_of(3, 7 * MIB, true), d = object_of(4, 8 * MIB, false);
	struct slots s;
	struct slot *slot;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	cr_assert(load(&s, &a, slots_all_of(&a), SLOTS_ANY));
	slot = load(&s, &b, slots_all_of(&b), SLOTS_ANY);
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_ANY));
	cr_expect_null(load(&s, &d, slots_all_of(&d), SLOTS_READ_ONLY));
	slots_touch(&s, slot, 0, 8 * MIB, false); /* b is the newest, but was read */
	cr_assert(load(&s, &d, slots_all_of(&d), SLOTS_READ_ONLY));
	cr_expect_null(slots_find(&s, &b.id));
	cr_expect_not_null(slots_find(&s, &a.id));
	cr_expect_eq(s.dropped_unread, 0);
	slots_pin(slots_find(&s, &a.id));
	cr_assert(load(&s, &b, slots_all_of(&b), SLOTS_ANY));
	cr_expect_not_null(slots_find(&s, &a.id), "it was pinned");
	cr_expect_null(slots_find(&s, &c.id), "it was the oldest that was not");
	cr_expect_eq(s.dropped_unread, 7 * MIB);
	slots_pin(slots_find(&s, &b.id));
	slots_pin(slots_find(&s, &d.id));
	cr_expect_null(load(&s, &c, slots_all_of(&c), SLOTS_ANY), "all are pinned");
	slots_deinit(&s);
}

Test(slots, an_object_that_is_whole_goes_as_a_whole)
{
	struct block_object pack = object_of(1, 8 * MIB, true), a = object_of(2, 8 * MIB, false);
	struct block_object b = object_of(3, 8 * MIB, false), c = object_of(4, 6 * MIB, false);
	struct slots s;
	struct slot *slot;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	slot = load(&s, &pack, slots_all_of(&pack), SLOTS_ANY);
	slots_touch(&s, slot, 0, 4 * MIB, false);
	slot = load(&s, &a, slots_all_of(&a), SLOTS_ANY);
	slots_touch(&s, slot, 0, 6 * MIB, false);
	cr_assert(load(&s, &b, ~slots_span(0, 4 * MIB), SLOTS_READ_ONLY));
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_READ_ONLY));
	cr_expect_not_null(slots_find(&s, &pack.id));
	slot = slots_find(&s, &a.id);
	cr_assert_not_null(slot);
	cr_expect_eq(slot->present, ~slots_span(0, 6 * MIB), "only what was read went");
	slots_deinit(&s);
}

Test(slots, what_was_read_in_passing_goes_before_what_was_read_at_all)
{
	struct block_object hot = object_of(1, 8 * MIB, false), a = object_of(2, 8 * MIB, false);
	struct block_object b = object_of(3, 7 * MIB, false), c = object_of(4, 8 * MIB, false);
	struct slots s;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	slots_touch(&s, load(&s, &hot, slots_all_of(&hot), SLOTS_ANY), 0, 8 * MIB, false);
	slots_touch(&s, load(&s, &a, slots_all_of(&a), SLOTS_ANY), 0, 8 * MIB, true);
	slots_touch(&s, load(&s, &b, slots_all_of(&b), SLOTS_ANY), 0, 6 * MIB, true);
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_READ_ONLY));
	cr_expect_not_null(slots_find(&s, &hot.id), "it was read long before");
	cr_expect_null(slots_find(&s, &a.id));
	cr_expect_not_null(slots_find(&s, &b.id), "its reader is not through");
	slots_deinit(&s);
}

Test(slots, what_is_guessed_gives_way_to_what_is_fetched_ahead_until_it_is_read)
{
	struct block_object a = object_of(1, 8 * MIB, false), b = object_of(2, 8 * MIB, false);
	struct block_object c = object_of(3, 7 * MIB, false), d = object_of(4, 8 * MIB, false);
	struct slots s;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	load(&s, &a, slots_all_of(&a), SLOTS_ANY)->guessed = true;
	load(&s, &b, slots_all_of(&b), SLOTS_ANY)->guessed = true;
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_ANY));
	slots_touch(&s, slots_find(&s, &a.id), 0, 1, true);
	cr_expect_null(load(&s, &d, slots_all_of(&d), SLOTS_READ_ONLY), "no guess for another");
	cr_assert(load(&s, &d, slots_all_of(&d), SLOTS_GUESSED));
	check(&s);
	cr_expect_not_null(slots_find(&s, &a.id), "somebody reads it");
	cr_expect_null(slots_find(&s, &b.id));
	cr_expect_null(load(&s, &b, slots_all_of(&b), SLOTS_GUESSED));
	slots_deinit(&s);
}

Test(slots, what_was_read_and_is_expected_again_is_as_if_it_were_unread)
{
	struct block_object a = object_of(1, 8 * MIB, false), b = object_of(2, 8 * MIB, false);
	struct block_object c = object_of(3, 7 * MIB, false), d = object_of(4, 8 * MIB, false);
	struct slots s;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	slots_touch(&s, load(&s, &a, slots_all_of(&a), SLOTS_ANY), 0, 8 * MIB, true);
	slots_touch(&s, load(&s, &b, slots_all_of(&b), SLOTS_ANY), 0, 8 * MIB, true);
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_ANY));
	slots_expect(&s, slots_find(&s, &b.id), slots_all_of(&b), false);
	cr_assert(load(&s, &d, slots_all_of(&d), SLOTS_READ_ONLY));
	cr_expect_null(slots_find(&s, &a.id));
	cr_expect_not_null(slots_find(&s, &b.id), "it was the first to go before");
	slots_deinit(&s);
}

Test(slots, what_is_forgotten_is_among_the_first_to_go)
{
	struct block_object a = object_of(1, 8 * MIB, false), b = object_of(2, 8 * MIB, false);
	struct block_object c = object_of(3, 8 * MIB, false), d = object_of(4, 8 * MIB, false);
	struct slots s;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	cr_assert(load(&s, &a, slots_all_of(&a), SLOTS_ANY));
	cr_assert(load(&s, &b, slots_all_of(&b), SLOTS_ANY));
	cr_assert(load(&s, &c, slots_all_of(&c), SLOTS_ANY));
	slots_forget(&s, slots_find(&s, &b.id));
	check(&s);
	cr_assert(load(&s, &d, slots_all_of(&d), SLOTS_READ_ONLY));
	cr_expect_not_null(slots_find(&s, &a.id));
	cr_expect_null(slots_find(&s, &b.id));
	slots_deinit(&s);
}

Test(slots, a_lower_limit_takes_what_is_not_pinned_at_once_and_the_rest_with_its_pin)
{
	struct block_object objects[4];
	struct slot *kept;
	struct slots s;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	for (unsigned i = 0; i < 4; i++)
		objects[i] = object_of(i, BLOCKS_OBJECT_BYTES, false);
	for (unsigned i = 0; i < 3; i++)
		cr_assert(load(&s, &objects[i], UINT64_MAX, SLOTS_ANY));
	kept = slots_find(&s, &objects[0].id);
	slots_pin(kept);
	slots_limit(&s, 4 * MIB);
	check(&s);
	cr_expect_eq(s.charged_bytes, BLOCKS_OBJECT_BYTES);
	cr_expect_eq(kept->present, UINT64_MAX, "somebody reads it");
	cr_expect_null(slots_reserve(&s, &objects[3], 1, false, SLOTS_ANY));
	cr_assert(slots_unpin(&s, kept));
	check(&s);
	cr_expect_leq(s.charged_bytes, 4 * MIB);
	cr_expect_null(slots_find(&s, &objects[0].id));
	slots_limit(&s, LIMIT);
	for (unsigned i = 0; i < 3; i++)
		cr_expect(load(&s, &objects[i], UINT64_MAX, SLOTS_GUESSED));
	slots_deinit(&s);
}

Test(slots, a_failed_load_leaves_nothing_behind)
{
	struct block_object o = object_of(1, 8 * MIB, false);
	struct slots s;
	struct slot *slot;

	cr_assert_eq(slots_init(&s, LIMIT), 0);
	slot = slots_reserve(&s, &o, UINT64_MAX, true, SLOTS_ANY);
	cr_assert_not_null(slot);
	slots_pin(slot);
	memset(slot->base - BLOCKS_HEADROOM, 1, BLOCKS_HEADROOM + 8 * MIB);
	cr_expect_eq(s.charged_bytes, 8 * MIB + BLOCKS_HEADROOM);
	slots_failed(&s, slot, UINT64_MAX);
	cr_expect_eq(s.charged_bytes, 0);
	slots_unpin(&s, slot);
	check(&s);
	cr_expect_null(slots_find(&s, &o.id));
	slots_deinit(&s);
}

/* ---- random steps against a model ---- */

enum { OBJECTS = 40 };

struct model {
	struct slots s;
	uint64_t random;
	struct block_object objects[OBJECTS];
	unsigned pins[OBJECTS], loads[OBJECTS];
	uint64_t pinned[OBJECTS]; /* blocks that must stay while there are pins */
	unsigned full;		  /* how often memory was short */
};

static unsigned draw(struct model *m, unsigned below)
{
	m->random = m->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)((m->random >> 33) % below);
}

static uint8_t *block_of(const struct slot *slot, unsigned i)
{
	return slot->base + i * BLOCK;
}

/* First and last bytes of a loaded block say whose it is. */
static void sign(const struct slot *slot, unsigned n, uint64_t blocks)
{
	for (unsigned i = 0; i < SLOTS_BLOCKS; i++)
		if (blocks >> i & 1)
			block_of(slot, i)[0] = block_of(slot, i)[BLOCK - 1] =
				(uint8_t)(n * 64 + i + 1);
}

static void expect_signed(const struct slot *slot, unsigned n)
{
	for (unsigned i = 0; i < SLOTS_BLOCKS; i++) {
		uint8_t expected = (uint8_t)(n * 64 + i + 1);

		if (!(slot->present >> i & 1))
			continue;
		cr_assert_eq(block_of(slot, i)[0], expected);
		cr_assert_eq(block_of(slot, i)[BLOCK - 1], expected);
	}
}

static void begin_load(struct model *m, unsigned n)
{
	const struct block_object *o = &m->objects[n];
	struct slot *slot = slots_find(&m->s, &o->id);
	uint64_t blocks = slots_all_of(o);

	if (!o->whole)
		blocks &= slots_span(draw(m, o->plain_bytes), 1 + draw(m, 2 * MIB));
	if (slot)
		blocks &= ~(slot->present | slot->loading);
	if (!blocks)
		return;
	slot = slots_reserve(&m->s, o, blocks, blocks == slots_all_of(o), draw(m, 2));
	if (slot)
		slots_pin(slot);
	m->full += !slot;
	m->loads[n] += slot != NULL;
}

static void end_load(struct model *m, unsigned n)
{
	struct slot *slot = slots_find(&m->s, &m->objects[n].id);
	uint64_t blocks;

	if (!m->loads[n])
		return;
	cr_assert_not_null(slot);
	blocks = slot->loading;
	if (m->loads[n] > 1) /* one of several: some of the blocks */
		blocks &= draw(m, 2) ? UINT64_C(0x5555555555555555) : UINT64_C(0xff00ff00ff00ff);
	if (m->objects[n].whole || m->loads[n] == 1)
		blocks = slot->loading;
	if (draw(m, 5) == 0) {
		slots_failed(&m->s, slot, blocks);
	} else {
		sign(slot, n, blocks);
		slots_loaded(&m->s, slot, blocks);
	}
	m->loads[n]--;
	slots_unpin(&m->s, slot);
}

static void use(struct model *m, unsigned n)
{
	struct slot *slot = slots_find(&m->s, &m->objects[n].id);
	uint32_t offset = draw(m, m->objects[n].plain_bytes);

	if (!slot || !slot->present)
		return;
	slots_touch(&m->s, slot, offset, 1 + draw(m, m->objects[n].plain_bytes - offset),
		    draw(m, 2));
	if (m->pins[n] < 3) {
		slots_pin(slot);
		m->pins[n]++;
		m->pinned[n] |= slot->present;
	}
}

static void release(struct model *m, unsigned n)
{
	if (!m->pins[n])
		return;
	slots_unpin(&m->s, slots_find(&m->s, &m->objects[n].id));
	if (--m->pins[n] == 0)
		m->pinned[n] = 0;
}

static void expect_model(struct model *m)
{
	check(&m->s);
	for (unsigned n = 0; n < OBJECTS; n++) {
		struct slot *slot = slots_find(&m->s, &m->objects[n].id);

		cr_assert(slot || !(m->pins[n] || m->loads[n]));
		if (!slot)
			continue;
		cr_assert_eq(slot->pins, m->pins[n] + m->loads[n]);
		cr_assert_eq(m->pinned[n] & ~slot->present, 0, "a pinned block went");
		expect_signed(slot, n);
	}
}

Test(slots, random_steps_keep_every_invariant)
{
	for (unsigned seed = 1; seed <= 3; seed++) {
		struct model m = { .random = seed };

		cr_assert_eq(slots_init(&m.s, LIMIT + seed * 7777), 0);
		for (unsigned n = 0; n < OBJECTS; n++)
			m.objects[n] =
				object_of(n, 1 + draw(&m, n % 3 ? 8 * MIB : MIB), n % 4 == 0);
		for (int step = 0; step < 4000; step++) {
			unsigned n = draw(&m, OBJECTS), what = draw(&m, 16);

			if (what < 5)
				begin_load(&m, n);
			else if (what < 9)
				end_load(&m, n);
			else if (what < 11)
				use(&m, n);
			else if (what < 15)
				release(&m, n);
			else if (slots_find(&m.s, &m.objects[n].id))
				slots_forget(&m.s, slots_find(&m.s, &m.objects[n].id));
			expect_model(&m);
		}
		cr_expect_gt(m.full, 0, "memory was never short: this tests little");
		slots_deinit(&m.s);
	}
}
