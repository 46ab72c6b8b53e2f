/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include "catalog/window.h"

#define STEP (128 * KIB)

/* A reader of steps from `at` to `end`; checks that what is planned follows on and stays within the limit. Returns what was planned last. */
static uint64_t read_in_order(struct windows *all, uint64_t at, uint64_t end, uint64_t file_bytes,
			      uint64_t limit, uint64_t ahead)
{
	for (; at < end; at += STEP) {
		struct window_plan p =
			windows_note(all, at, MIN_OF(STEP, end - at), file_bytes, limit);

		cr_assert(p.is_open, "at %lu", (unsigned long)at);
		if (p.to == p.from)
			continue;
		cr_assert_eq(p.from, MAX_OF(ahead, at), "at %lu", (unsigned long)at);
		cr_assert_leq(p.to, file_bytes);
		cr_assert_leq(p.to, at + STEP + limit + WINDOW_OBJECT + WINDOW_REST);
		ahead = p.to;
	}
	return ahead;
}

Test(window, a_file_read_in_order_is_fetched_once_and_ever_further_ahead)
{
	static const uint64_t sizes[] = { 1, 100, MIB, 8 * MIB, 8 * MIB + 1, 200 * MIB - 17 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct windows all = { 0 };

		cr_expect_eq(read_in_order(&all, 0, sizes[i], sizes[i], 64 * MIB, 0), sizes[i]);
	}
}

Test(window, it_doubles_up_to_the_limit)
{
	const uint64_t size = 10 * GIB, limit = 64 * MIB;
	struct windows all = { 0 };
	uint64_t most = 0, ahead = 0;

	for (uint64_t at = 0; at < 400 * MIB; at += STEP) {
		struct window_plan p = windows_note(&all, at, STEP, size, limit);

		if (p.to > p.from)
			ahead = p.to;
		if (ahead - at > most)
			most = ahead - at;
		if (at == 0)
			cr_expect_eq(p.to, WINDOW_FIRST + STEP);
		if (at >= 8 * MIB)
			cr_assert_geq(ahead, at + STEP + 4 * MIB);
		if (at >= 200 * MIB) {
			cr_assert_geq(ahead, at + limit - 2 * WINDOW_OBJECT);
			cr_assert_eq(ahead % WINDOW_OBJECT, 0);
		}
	}
	cr_expect_geq(most, limit);
	cr_expect_leq(most, limit + WINDOW_OBJECT);
}

Test(window, it_shrinks_with_the_limit)
{
	struct windows all = { 0 };
	uint64_t ahead = read_in_order(&all, 0, 200 * MIB, GIB, 64 * MIB, 0);
	struct window_plan p = { 0 };

	for (uint64_t at = 200 * MIB; p.to == p.from; at += STEP) {
		p = windows_note(&all, at, STEP, GIB, 0);
		if (p.to > p.from)
			cr_expect_lt(ahead - at, 2 * WINDOW_LEAST);
	}
	cr_expect_eq(p.from, ahead);
	cr_expect_leq(p.to, ahead + 2 * WINDOW_LEAST);
}

Test(window, parallel_reads_may_come_in_another_order)
{
	enum { GROUP = 16 };
	const uint64_t size = 100 * MIB;
	struct windows all = { 0 };
	uint64_t ahead = 0;

	for (uint64_t at = 0; at < size; at += GROUP * STEP) {
		for (unsigned k = 0; k < GROUP; k++) {
			uint64_t offset = at + (at == 0 ? k : (k * 7 + 3) % GROUP) * STEP;
			struct window_plan p;

			if (offset >= size)
				continue;
			p = windows_note(&all, offset, STEP, size, 32 * MIB);
			cr_assert(p.is_open);
			cr_assert_eq(p.forget_from, p.forget_to);
			if (p.to == p.from)
				continue;
			cr_assert_eq(p.from, ahead);
			ahead = p.to;
		}
	}
	cr_expect_eq(ahead, size);
}

Test(window, random_reads_fetch_nothing_ahead)
{
	struct windows all = { 0 };
	uint64_t random = 1;

	for (int i = 0; i < 2000; i++) {
		uint64_t offset;
		struct window_plan p;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* 11 MiB or more from the last two. */
		offset = (uint64_t)(i % 3) * 100 * MIB + ((random >> 40) % 4096) * 16 * KIB + MIB;
		p = windows_note(&all, offset, 16 * KIB, GIB, 64 * MIB);
		cr_assert_not(p.is_open);
		cr_assert_eq(p.to, p.from);
	}
}

Test(window, who_jumps_about_in_a_small_file_does_not_read_in_order)
{
	const uint64_t size = 6 * MIB;
	struct windows all = { 0 };
	uint64_t random = 1, fetched = 0;

	for (int i = 0; i < 500; i++) {
		uint64_t at;
		struct window_plan p;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		at = i ? (random >> 40) % (size / (4 * KIB)) * 4 * KIB : 0;
		p = windows_note(&all, at, 4 * KIB, size, 64 * MIB);
		fetched += p.to - p.from;
	}
	cr_expect_eq(fetched, 0);
}

Test(window, jumps_close_a_window_that_was_open_and_order_opens_it_again)
{
	struct windows all = { 0 };
	uint64_t at;

	cr_assert(windows_note(&all, 0, STEP, 100 * MIB, 64 * MIB).is_open);
	for (at = STEP; windows_in_order(&all, at, 4 * KIB, 100 * MIB); at += 500 * KIB)
		windows_note(&all, at, 4 * KIB, 100 * MIB, 64 * MIB);
	cr_expect_leq(at, 8 * MIB);
	for (int i = 0; i < 100; i++, at += STEP)
		windows_note(&all, at, STEP, 100 * MIB, 64 * MIB);
	cr_expect(windows_in_order(&all, at, STEP, 100 * MIB));
}

Test(window, one_that_is_expected_is_large_from_the_start)
{
	struct windows all = { 0 };

	windows_expect(&all, 40 * MIB);
	cr_expect_eq(windows_note(&all, 0, STEP, 100 * MIB, 64 * MIB).to, 48 * MIB);
	all = (struct windows){ .expected = 40 * MIB };
	cr_expect_eq(windows_note(&all, 0, STEP, 100 * MIB, 16 * MIB).to, 24 * MIB,
		     "within the limit");
	all = (struct windows){ .expected = 40 * MIB };
	cr_expect_not(windows_note(&all, 50 * MIB, 4 * KIB, 100 * MIB, 64 * MIB).is_open);
}

Test(window, a_reader_from_the_middle_must_prove_its_order)
{
	struct windows all = { 0 };
	struct window_plan p;
	uint64_t at = 500 * MIB;

	for (; at < 500 * MIB + WINDOW_PROOF - 64 * KIB; at += 64 * KIB)
		cr_assert_not(windows_note(&all, at, 64 * KIB, GIB, 64 * MIB).is_open);
	p = windows_note(&all, at, 64 * KIB, GIB, 64 * MIB);
	cr_expect(p.is_open);
	cr_expect_eq(p.from, at, "what was read is not fetched again");
	cr_expect_geq(p.to, at + WINDOW_FIRST);
}

Test(window, two_jumps_end_it_and_say_what_to_forget)
{
	struct windows all = { 0 };
	uint64_t ahead = read_in_order(&all, 0, 20 * MIB, GIB, 64 * MIB, 0);
	struct window_plan p;

	p = windows_note(&all, 500 * MIB, STEP, GIB, 64 * MIB);
	cr_expect_not(p.is_open);
	cr_expect_eq(p.forget_from, p.forget_to, "one jump: it may come back");
	p = windows_note(&all, 700 * MIB, STEP, GIB, 64 * MIB);
	cr_expect_not(p.is_open);
	cr_expect_eq(p.forget_from, 20 * MIB);
	cr_expect_eq(p.forget_to, ahead);
	cr_expect_not(windows_note(&all, 20 * MIB, STEP, GIB, 64 * MIB).is_open, "it has gone");
}

Test(window, a_reader_that_comes_back_after_one_jump_goes_on)
{
	struct windows all = { 0 };
	uint64_t ahead = read_in_order(&all, 0, 20 * MIB, GIB, 64 * MIB, 0);

	windows_note(&all, 900 * MIB, STEP, GIB, 64 * MIB);
	read_in_order(&all, 20 * MIB, 40 * MIB, GIB, 64 * MIB, ahead);
}

Test(window, two_readers_of_one_file_each_have_their_own)
{
	struct windows all = { 0 };
	uint64_t a = 0, b = 500 * MIB, a_ahead = 0, b_ahead = 0;

	for (; a < 50 * MIB; a += STEP, b += STEP) {
		struct window_plan p = windows_note(&all, a, STEP, GIB, 64 * MIB);

		cr_assert(p.is_open);
		if (p.to > p.from)
			a_ahead = p.to;
		p = windows_note(&all, b, STEP, GIB, 64 * MIB);
		if (p.to > p.from)
			b_ahead = p.to;
		cr_assert(p.is_open || b < 500 * MIB + WINDOW_PROOF);
	}
	cr_expect_geq(a_ahead, a + 16 * MIB);
	cr_expect_geq(b_ahead, b + 16 * MIB);
}

Test(window, what_could_not_be_begun_is_planned_again)
{
	struct windows all = { 0 };
	struct window_plan p = windows_note(&all, 0, STEP, GIB, 64 * MIB);

	windows_retract(&all, p.index, 512 * KIB);
	p = windows_note(&all, STEP, STEP, GIB, 64 * MIB);
	cr_expect_eq(p.from, 512 * KIB);
	cr_expect_geq(p.to, STEP + WINDOW_FIRST);
	windows_retract(&all, p.index, UINT64_MAX);
	p = windows_note(&all, 2 * STEP, STEP, GIB, 64 * MIB);
	cr_expect_eq(p.from, p.to);
}

Test(window, a_short_rest_of_the_file_is_taken_along)
{
	static const struct {
		uint64_t file, expected;
	} rows[] = {
		{ 2 * MIB, 2 * MIB },
		{ 2 * MIB + 128 * KIB, 2 * MIB + 128 * KIB },
		{ 2 * MIB + 128 * KIB + 1, MIB + 128 * KIB },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct windows all = { 0 };

		cr_expect_eq(windows_note(&all, 0, STEP, rows[i].file, 64 * MIB).to,
			     rows[i].expected, "row %zu", i);
	}
}
