/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>
#include "tests/unit/cache/blocks_help.h"

#define AT (3 * BLOCK + 100)
#define LEN (BLOCK + 5000)

static void read_in_passing(struct fixture *f, const struct block_object *o, uint32_t len)
{
	struct block_pin pin;

	cr_assert_eq(blocks_get(f->b, o, 0, len, BLOCKS_WAIT | BLOCKS_PASSING, &pin, NULL, NULL),
		     0);
	cr_assert(fake_fits(o, 0, len, pin.data));
	blocks_unpin(f->b, &pin);
}

/* So many other objects come; memory has room for three. */
static void press(struct fixture *f, uint32_t first, unsigned count)
{
	for (uint32_t n = first; n < first + count; n++) {
		struct block_object o = fake_object(n, OBJECT, true);

		read_in_passing(f, &o, 1);
	}
}

static uint64_t counted(struct fixture *f, const char *name)
{
	return metric_get(metrics_counter(f->metrics, name, NULL));
}

Test(blocks_alone, a_part_is_had_alone_where_the_whole_gave_way_before_it_was_read_through)
{
	struct block_object whole = fake_object(1, OBJECT, true), part = fake_part(&whole, AT, LEN);
	_cleanup_fixture_ struct fixture f;

	fixture_init(&f, MEMORY, 2);
	cr_expect(!blocks_alone(f.b, &part), "nothing is known");
	read_in_passing(&f, &whole, 1);
	cr_expect(!blocks_alone(f.b, &part), "it is here");
	press(&f, 2, 4);
	cr_expect(blocks_alone(f.b, &part));
	f.loader.loads = f.loader.loaded_blocks = 0;
	expect_range(&f, &part, 0, LEN);
	expect_range(&f, &part, 700, LEN - 900);
	cr_expect_eq(f.loader.loads, 1);
	cr_expect_eq(f.loader.loaded_blocks, 2);
	cr_expect_leq(blocks_memory(f.b), MEMORY);
}

Test(blocks_alone, a_part_that_is_here_by_itself_is_read_so)
{
	struct block_object whole = fake_object(1, OBJECT, true), part = fake_part(&whole, AT, LEN);
	_cleanup_fixture_ struct fixture f;

	fixture_init(&f, MEMORY, 2);
	read_in_passing(&f, &whole, 1);
	expect_range(&f, &part, 0, LEN);
	cr_expect(blocks_alone(f.b, &part));
}

Test(blocks_alone, what_was_read_through_is_loaded_as_a_whole_again)
{
	struct block_object whole = fake_object(1, OBJECT, true), part = fake_part(&whole, AT, LEN);
	_cleanup_fixture_ struct fixture f;

	fixture_init(&f, MEMORY, 2);
	read_in_passing(&f, &whole, OBJECT);
	press(&f, 2, 4);
	cr_expect_eq(try(&f, &whole, 0, 1), BLOCKS_WOULD_BLOCK);
	cr_expect(!blocks_alone(f.b, &part));
}

/* With one thread: what a load notes and writes is done before the next one begins. */
static void narrow_with_ring(struct fixture *f)
{
	fixture_init_with_ring(f);
	close_blocks(f);
	open_blocks(f, MEMORY, 1);
}

static void damage(const char *path)
{
	uint8_t wrong[4096];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);

	cr_assert_gt(size, 0);
	memset(wrong, 0xee, sizeof(wrong));
	for (off_t at = 0; at < size; at += sizeof(wrong))
		cr_assert_eq(pwrite(fd, wrong, sizeof(wrong), at), (ssize_t)sizeof(wrong));
	close(fd);
}

Test(blocks_alone, with_a_disk_the_whole_goes_there_and_parts_come_from_it)
{
	struct block_object whole = fake_object(1, OBJECT, true), part = fake_part(&whole, AT, LEN),
			    other = fake_part(&whole, 9 * BLOCK - 7, 20);
	_cleanup_fixture_ struct fixture f;
	unsigned loads;

	narrow_with_ring(&f);
	read_in_passing(&f, &whole, 1);
	press(&f, 2, 4);
	cr_expect(!blocks_alone(f.b, &part), "the disk will have it");
	read_in_passing(&f, &whole, 1);
	press(&f, 10, 4);
	cr_expect_eq(counted(&f, "cache_disk_written_bytes"), OBJECT);
	cr_expect(blocks_alone(f.b, &part));
	loads = f.loader.loads;
	expect_range(&f, &part, 0, LEN);
	cr_expect_eq(f.loader.loads, loads);
	cr_expect_eq(counted(&f, "cache_disk_read_bytes"), LEN);
	damage(f.ring_path);
	expect_range(&f, &other, 0, 20);
	cr_expect_eq(f.loader.loads, loads + 1);
	cr_expect_eq(counted(&f, "cache_disk_unfit_blocks"), 2);
	cr_expect_eq(counted(&f, "cache_disk_written_bytes"), OBJECT, "parts are not written");
}

Test(blocks_alone, what_the_disk_would_not_have_kept_is_loaded_as_a_whole_once)
{
	struct block_object whole = fake_object(1, OBJECT, true), part = fake_part(&whole, AT, LEN);
	_cleanup_fixture_ struct fixture f;

	narrow_with_ring(&f);
	read_in_passing(&f, &whole, 1);
	press(&f, 2, 9); /* the disk has room for eight */
	cr_expect(blocks_alone(f.b, &part));
	expect_range(&f, &part, 0, LEN);
	cr_expect_eq(counted(&f, "cache_disk_written_bytes"), 0);
}
