/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include "fs/order.h"

#define _cleanup_order_ _cleanup_(order_freep)
#define FILES 10
#define SIZE 100

/* As listed: 70, 30, 90, ...; by number in another order. */
static const uint64_t listed[FILES] = { 70, 30, 90, 10, 100, 50, 20, 80, 60, 40 };

static struct order *order_with(uint64_t dir)
{
	struct order *o = order_new();

	order_list(o, dir, 0, listed, 4);
	order_list(o, dir, 3, listed + 3, FILES - 3); /* goes on in the middle */
	return o;
}

static uint64_t next_of(struct order *o, uint64_t opened, uint64_t room)
{
	struct order_want want;

	if (!order_next(o, opened, room, &want))
		return 0;
	order_fetched(o, &want, SIZE, SIZE);
	return want.ino;
}

Test(order, files_opened_as_listed_or_by_number_say_what_comes_next)
{
	for (int by_number = 0; by_number < 2; by_number++) {
		_cleanup_order_ struct order *o = order_with(1);

		for (unsigned i = 0; i + 1 < FILES; i++) {
			uint64_t ino = by_number ? (i + 1) * 10 : listed[i];
			bool in_order = order_open(o, ino, SIZE);

			cr_expect_eq(in_order, i >= ORDER_PROOF - 1, "%d %u", by_number, i);
			cr_expect_eq(next_of(o, ino, SIZE),
				     !in_order	 ? 0
				     : by_number ? ino + 10
						 : listed[i + 1],
				     "%d %u", by_number, i);
		}
	}
}

Test(order, any_other_order_says_nothing)
{
	_cleanup_order_ struct order *o = order_with(1);
	static const uint64_t opened[] = { 10, 30, 20, 90, 70, 60, 100, 10, 80, 20 };

	for (unsigned i = 0; i < ARRAY_SIZE(opened); i++) {
		cr_expect_not(order_open(o, opened[i], SIZE));
		cr_expect_eq(next_of(o, opened[i], 1000), 0, "%u", i);
	}
	cr_expect_not(order_open(o, 12345, SIZE), "it was never listed");
}

Test(order, it_fetches_as_many_as_there_is_room_for_and_more_when_they_are_opened)
{
	_cleanup_order_ struct order *o = order_with(1);

	for (uint64_t ino = 10; ino <= 30; ino += 10)
		order_open(o, ino, SIZE);
	cr_expect_eq(next_of(o, 30, 3 * SIZE), 40);
	cr_expect_eq(next_of(o, 30, 3 * SIZE), 50);
	cr_expect_eq(next_of(o, 30, 3 * SIZE), 60);
	cr_expect_eq(next_of(o, 30, 3 * SIZE), 0);
	cr_expect_eq(next_of(o, 20, 9 * SIZE), 0, "it is not the one that was opened last");
	cr_expect(order_open(o, 40, SIZE));
	cr_expect_eq(next_of(o, 40, 3 * SIZE), 70);
	cr_expect_eq(next_of(o, 40, 3 * SIZE), 0);
	cr_expect(order_open(o, 40, SIZE), "once more");
	cr_expect_not(order_open(o, 90, SIZE));
	cr_expect_eq(next_of(o, 90, 3 * SIZE), 0);
}

Test(order, a_file_is_fetched_in_parts)
{
	_cleanup_order_ struct order *o = order_with(1);
	struct order_want want, other;

	for (uint64_t ino = 10; ino <= 30; ino += 10)
		order_open(o, ino, SIZE);
	cr_assert(order_next(o, 30, 250, &want));
	cr_expect_not(order_next(o, 30, 250, &other), "one at a time");
	cr_expect_eq(want.from, 0);
	cr_expect_eq(want.bytes, 250);
	order_fetched(o, &want, 200, 1000);
	cr_assert(order_next(o, 30, 300, &want));
	cr_expect_eq(want.ino, 40);
	cr_expect_eq(want.from, 200);
	cr_expect_eq(want.bytes, 100);
	order_fetched(o, &want, 300, 1000);
	cr_expect_not(order_next(o, 30, 300, &want));
	cr_assert(order_next(o, 30, 2000, &want));
	order_fetched(o, &want, 1000, 1000);
	cr_assert(order_next(o, 30, 2000, &want));
	cr_expect_eq(want.ino, 50);
	cr_expect_eq(want.from, 0);
	cr_expect_eq(want.bytes, 1000);
	order_open(o, 40, 1000);
	order_fetched(o, &want, 1000, 1000); /* late, and still right */
	cr_assert(order_next(o, 40, 2000, &want));
	cr_expect_eq(want.ino, 60);
	order_fetched(o, &want, 0, 1000);
	cr_expect_not(order_open(o, 20, SIZE));
	order_open(o, 30, SIZE);
	order_open(o, 40, SIZE);
	cr_assert(order_next(o, 40, 100, &want));
	cr_expect_eq(want.ino, 50, "what was fetched before is forgotten");
	cr_expect_eq(want.bytes, 100);
	order_fetched(o, &want, 0, 100);
}

Test(order, a_file_whose_rest_cannot_be_had_now_is_not_asked_for_again_at_once)
{
	_cleanup_order_ struct order *o = order_with(1);
	struct order_want want;

	for (uint64_t ino = 10; ino <= 30; ino += 10)
		order_open(o, ino, SIZE);
	cr_assert(order_next(o, 30, 250, &want));
	cr_expect_not(order_fetched(o, &want, 200, 1000));
	cr_assert(order_next(o, 30, 300, &want));
	cr_expect_not(order_fetched(o, &want, 200, 0), "its size is not at hand any more");
	cr_assert(order_next(o, 30, 2000, &want));
	cr_expect_eq(want.from, 200);
	cr_expect(order_fetched(o, &want, 1000, 1000));
	cr_assert(order_next(o, 30, 2000, &want));
	cr_expect_eq(want.ino, 50);
	cr_expect(order_fetched(o, &want, 0, 0), "an empty one");
	cr_assert(order_next(o, 30, 2000, &want));
	cr_expect_eq(want.ino, 60);
}

Test(order, files_that_another_backup_has_too_are_counted_where_they_are_opened)
{
	static const uint64_t newer[] = { 15, 25, 35, 70, 30, 90 };
	_cleanup_order_ struct order *o = order_new();
	struct order_want want;

	order_list(o, 2, 0, newer, ARRAY_SIZE(newer));
	for (unsigned i = 0; i < 3; i++)
		order_open(o, newer[i], SIZE);
	order_list(o, 1, 0, listed, FILES); /* by somebody else, meanwhile */
	for (unsigned i = 3; i < ARRAY_SIZE(newer); i++) {
		cr_assert(order_next(o, 35, 9 * SIZE, &want));
		cr_expect_eq(want.ino, newer[i]);
		cr_expect(order_fetched(o, &want, SIZE, SIZE));
	}
	cr_expect_not(order_next(o, 35, 9 * SIZE, &want));
}

Test(order, directories_that_were_used_least_recently_are_forgotten)
{
	_cleanup_order_ struct order *o = order_new();
	uint64_t inos[ORDER_DIRECTORIES + 1][3];

	for (unsigned d = 0; d <= ORDER_DIRECTORIES; d++) {
		for (unsigned i = 0; i < 3; i++)
			inos[d][i] = 1000 * (d + 1) + i;
		order_list(o, d + 1, 0, inos[d], 3);
	}
	for (unsigned d = 0; d <= ORDER_DIRECTORIES; d++) {
		for (unsigned i = 0; i < 2; i++)
			order_open(o, inos[d][i], SIZE);
		cr_expect_eq(order_open(o, inos[d][2], SIZE), d > 0, "%u", d);
	}
}

Test(order, a_listing_beyond_the_limit_and_one_with_a_hole_are_left)
{
	_cleanup_order_ struct order *o = order_new();
	_cleanup_free_ uint64_t *many = calloc(ORDER_FILES + 1, sizeof(*many));

	for (size_t i = 0; i <= ORDER_FILES; i++)
		many[i] = i + 1;
	order_list(o, 1, 0, many, ORDER_FILES + 1);
	order_list(o, 2, 5, many, 3);
	order_list(o, 3, 0, many, 3);
	order_list(o, 3, 5, many + 5, 3);
	for (uint64_t ino = 4; ino <= 8; ino++)
		cr_expect_not(order_open(o, ino, SIZE));
}
