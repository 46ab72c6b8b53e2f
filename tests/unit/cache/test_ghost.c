/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "cache/blocks.h"

#include "cache/ghost.h"

static struct id256 id_of(uint32_t n)
{
	struct id256 id = { { 0 } };
	uint64_t hash = n * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(id.b, &hash, sizeof(hash));
	return id;
}

static uint64_t note(struct ghost *g, uint32_t n, uint64_t blocks)
{
	struct id256 id = id_of(n);

	return ghost_note(g, &id, blocks);
}

static uint64_t find(struct ghost *g, uint32_t n)
{
	struct id256 id = id_of(n);

	return ghost_find(g, &id);
}

Test(ghost, it_knows_the_second_time_block_by_block)
{
	_cleanup_(ghost_freep) struct ghost *g = ghost_new(64 * MIB);

	cr_expect_eq(note(g, 1, 0x0f), 0);
	cr_expect_eq(note(g, 1, 0xf0), 0, "other blocks");
	cr_expect_eq(note(g, 2, 0x0f), 0, "another object");
	cr_expect_eq(find(g, 1), 0xff);
	cr_expect_eq(find(g, 1), 0xff, "who looks is not remembered");
	cr_expect_eq(find(g, 3), 0);
	cr_expect_eq(note(g, 1, 0x3c0), 0xc0);
	cr_expect_eq(note(g, 1, UINT64_MAX), 0x3ff);
	cr_expect_eq(note(g, 1, UINT64_MAX), UINT64_MAX);
}

Test(ghost, it_remembers_so_many_bytes_and_forgets_the_oldest)
{
	_cleanup_(ghost_freep) struct ghost *g = ghost_new(64 * MIB);

	for (uint32_t n = 0; n < 9; n++)
		cr_expect_eq(note(g, n, UINT64_MAX), 0);
	for (uint32_t n = 1; n < 9; n++)
		cr_expect_eq(note(g, n, UINT64_MAX), UINT64_MAX, "%u", n);
	cr_expect_eq(note(g, 0, 1), 0);
	cr_expect_eq(note(g, 1, UINT64_MAX), 0, "it had to go for that");
}

Test(ghost, it_is_bounded_by_objects_too)
{
	_cleanup_(ghost_freep) struct ghost *g = ghost_new(UINT64_C(1) << 50);

	for (uint32_t n = 0; n < 3 * GHOST_OBJECTS; n++)
		cr_assert_eq(note(g, n, 2), 0);
	for (uint32_t n = 2 * GHOST_OBJECTS; n < 3 * GHOST_OBJECTS; n++)
		cr_assert_eq(note(g, n, 3), 2, "%u", n);
	cr_expect_eq(note(g, 2 * GHOST_OBJECTS - 1, 3), 0);
}

Test(ghost, it_holds_nothing_for_a_disk_that_holds_nothing)
{
	_cleanup_(ghost_freep) struct ghost *g = ghost_new(0);

	for (int i = 0; i < 3; i++)
		cr_expect_eq(note(g, 7, 1), 0);
}
