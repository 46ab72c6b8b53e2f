/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "catalog/idmap.h"
#include "catalog/known.h"
#include "tests/unit/catalog/sample.h"

/* A content of whole objects, and a tail of 1,000 bytes in a pack. */
static struct content *make(uint64_t seed, uint32_t whole)
{
	struct content *c = content_new(whole * FORMAT_OBJECT_BYTES + 1000, whole + 1);

	cr_assert(c);
	c->id = sample_id(seed);
	for (uint32_t i = 0; i < whole; i++)
		c->extents[i] = (struct extent){ .object = sample_whole(1, seed * 100 + i,
									FORMAT_OBJECT_BYTES),
						 .len_bytes = FORMAT_OBJECT_BYTES };
	c->extents[whole] = (struct extent){ .object = sample_whole(1, seed * 100 + whole, 5000),
					     .offset = 2000,
					     .len_bytes = 1000 };
	return c;
}

static void add(struct known *k, uint64_t seed, uint32_t whole)
{
	_cleanup_(content_unrefp) struct content *c = make(seed, whole);

	cr_assert_eq(known_add(k, c), 0);
}

static bool knows(const struct known *k, uint64_t seed)
{
	struct id256 id = sample_id(seed);

	return known_find(k, &id) != NULL;
}

static int claim(struct known *k, uint64_t seed, uint64_t writer, struct object_ref *ret)
{
	*ret = sample_whole(writer, seed, FORMAT_OBJECT_BYTES);
	return known_claim(k, ret);
}

Test(idmap, finds_what_was_added_and_nothing_else)
{
	struct idmap m = IDMAP_OF(struct content, id);
	struct content *things[1000];

	for (uint64_t i = 0; i < ARRAY_SIZE(things); i++) {
		things[i] = make(i, 0);
		cr_assert_null(idmap_find(&m, &things[i]->id));
		cr_assert_eq(idmap_add(&m, things[i]), 0);
	}
	for (uint64_t i = 0; i < ARRAY_SIZE(things); i++) {
		struct id256 absent = sample_id(i + ARRAY_SIZE(things));

		cr_expect_eq(idmap_find(&m, &things[i]->id), things[i]);
		cr_expect_null(idmap_find(&m, &absent));
	}
	cr_expect_eq(m.count, ARRAY_SIZE(things));
	idmap_deinit(&m);
	cr_expect_null(idmap_find(&m, &things[0]->id));
	for (size_t i = 0; i < ARRAY_SIZE(things); i++)
		content_unref(things[i]);
}

Test(known, what_was_added_first_is_kept)
{
	_cleanup_(known_freep) struct known *k = known_new(MIB);
	_cleanup_(content_unrefp) struct content *first = make(1, 1), *second = make(1, 2);

	cr_assert_eq(known_add(k, first), 0);
	cr_assert_eq(known_add(k, second), 0);
	cr_expect_eq(known_find(k, &first->id), first);
}

Test(known, whole_objects_of_contents_need_no_upload)
{
	_cleanup_(known_freep) struct known *k = known_new(MIB);
	struct ulid old = sample_ulid(1);
	struct object_ref ref;

	add(k, 1, 2);
	cr_expect_eq(claim(k, 101, 9, &ref), KNOWN_THERE);
	cr_expect_eq(memcmp(&ref.writer, &old, sizeof(old)), 0, "the old one's name");
	cr_expect_eq(claim(k, 102, 9, &ref), 0, "a pack is no whole object");
}

Test(known, an_object_is_claimed_once)
{
	_cleanup_(known_freep) struct known *k = known_new(MIB);
	struct object_ref ref;

	cr_expect_eq(claim(k, 5, 9, &ref), 0);
	cr_expect_eq(claim(k, 5, 9, &ref), KNOWN_THERE);
	cr_expect_eq(claim(k, 6, 9, &ref), 0);
}

Test(known, nothing_is_taken_in_beyond_the_memory)
{
	_cleanup_(known_freep) struct known *k = known_new(20000);
	uint64_t n = 0;

	while (!known_is_full(k))
		add(k, n++, 1);
	cr_expect_gt(n, 40);
	cr_expect_lt(n, 100);
	cr_expect_lt(known_memory(k), 20500);
	add(k, n, 1);
	cr_expect_not(knows(k, n));
	cr_expect(knows(k, n - 1));
}

Test(known, a_rollback_forgets_contents_objects_and_places)
{
	_cleanup_(known_freep) struct known *k = known_new(MIB);
	struct place p1 = { .digest = sample_id(50) }, p2 = { .digest = sample_id(51) };
	struct known_mark mark;
	struct object_ref ref;
	uint64_t memory;

	add(k, 1, 1);
	cr_assert(known_add_place(k, &p1));
	memory = known_memory(k);
	mark = known_mark(k);
	add(k, 2, 1);
	cr_assert(known_add_place(k, &p2));
	cr_assert_eq(known_rollback(k, mark), 0);
	cr_expect(knows(k, 1));
	cr_expect_not(knows(k, 2));
	cr_expect(known_find_place(k, &p1.digest));
	cr_expect_null(known_find_place(k, &p2.digest));
	cr_expect_eq(known_memory(k), memory);
	cr_expect_eq(claim(k, 100, 9, &ref), KNOWN_THERE);
	cr_expect_eq(claim(k, 200, 9, &ref), 0);
}
