/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/cache/blocks_help.h"

Test(blocks_disk, what_was_loaded_comes_back_from_disk)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object part = fake_object(1, OBJECT, false),
			    pack = fake_object(2, 2 * MIB + 3, true);
	struct block_object ahead = fake_object(3, MIB, false),
			    passing = fake_object(4, MIB, false);

	fixture_init_with_ring(&f);
	expect_range(&f, &part, 3 * BLOCK, 2 * BLOCK);
	expect_range(&f, &pack, 0, 1);
	cr_expect(blocks_prefetch(f.b, &ahead, 0, MIB, 0));
	cr_expect(blocks_prefetch(f.b, &passing, 0, MIB, BLOCKS_PASSING));
	expect_range(&f, &ahead, 0, MIB);
	expect_range(&f, &passing, 0, MIB);
	close_blocks(&f);
	cr_expect_eq(f.loader.loads, 4);
	cr_expect_eq(f.loader.kept, 3);
	open_blocks(&f, MEMORY, 4);
	expect_range(&f, &part, 3 * BLOCK, 2 * BLOCK);
	expect_range(&f, &pack, 5, 2 * MIB - 2);
	expect_range(&f, &ahead, 0, MIB);
	cr_expect_eq(f.loader.loads, 4, "nothing was loaded again");
	cr_expect_geq(f.loader.verifies, 3);
	expect_range(&f, &part, 2 * BLOCK, 4 * BLOCK);
	cr_expect_eq(f.loader.loads, 6, "the blocks on both sides");
	expect_range(&f, &passing, 0, MIB);
	cr_expect_eq(f.loader.loads, 7);
}

static void read_in_passing(struct fixture *f, const struct block_object *o)
{
	struct block_pin pin;

	blocks_prefetch(f->b, o, 0, o->plain_bytes, BLOCKS_PASSING);
	cr_assert_eq(blocks_get(f->b, o, 0, o->plain_bytes, BLOCKS_WAIT | BLOCKS_PASSING, &pin,
				NULL, NULL),
		     0);
	cr_assert(fake_fits(o, 0, o->plain_bytes, pin.data));
	blocks_unpin(f->b, &pin);
}

/* Objects that memory does not hold; the ring has 64 MiB. */
static uint64_t written_by_passes(unsigned objects, unsigned passes, unsigned *ret_loads)
{
	_cleanup_fixture_ struct fixture f;
	uint64_t written;

	fixture_init_with_ring(&f);
	close_blocks(&f);
	open_blocks(&f, MEMORY, 1); /* one thread finds the time to write everything */
	for (unsigned pass = 0; pass < passes; pass++)
		for (unsigned n = 0; n < objects; n++) {
			struct block_object o = fake_object(n, (uint32_t)(4 * MIB), n % 3 == 0);

			read_in_passing(&f, &o);
		}
	blocks_free(steal_pointer(&f.b)); /* what is under way is done */
	written = metric_get(metrics_counter(f.metrics, "cache_disk_written_bytes", NULL));
	*ret_loads = f.loader.loads;
	return written;
}

Test(blocks_disk, what_passes_once_is_not_written_what_comes_again_is_and_then_is_not_loaded)
{
	unsigned first, second, fourth, sixth;

	cr_expect_eq(written_by_passes(14, 1, &first), 0);
	cr_expect_geq(written_by_passes(14, 2, &second), 6 * 4 * MIB, "memory had the others");
	cr_expect_leq(written_by_passes(14, 2, &second), 14 * 4 * MIB);
	written_by_passes(14, 4, &fourth);
	written_by_passes(14, 6, &sixth);
	/* What memory had, and so is not on disk, depends on what is pinned at which moment. */
	cr_expect_leq(sixth - fourth, 7, "of 28: %u, %u", fourth, sixth);
}

Test(blocks_disk, what_comes_again_later_than_the_ring_could_hold_it_is_not_written)
{
	unsigned loads;

	cr_expect_eq(written_by_passes(40, 3, &loads), 0);
}

Test(blocks_disk, what_was_asked_for_stays_on_disk_while_much_else_passes)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object hot = fake_object(1000, OBJECT, false);
	unsigned before;

	fixture_init_with_ring(&f);
	close_blocks(&f);
	open_blocks(&f, MEMORY, 1); /* as above */
	for (uint32_t at = 0; at < OBJECT; at += 7 * BLOCK)
		expect_range(&f, &hot, at + 100, 4096);
	for (unsigned n = 0; n < 80; n++) {
		struct block_object o = fake_object(n, OBJECT, false);

		read_in_passing(&f, &o);
	}
	close_blocks(&f);
	open_blocks(&f, MEMORY, 4);
	before = f.loader.loads;
	for (uint32_t at = 0; at < OBJECT; at += 7 * BLOCK)
		expect_range(&f, &hot, at + 100, 4096);
	cr_expect_eq(f.loader.loads, before);
}

/* Every block of the file, one after the other. */
Test(blocks_disk, damaged_bytes_of_the_ring_are_never_served)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object part = fake_object(1, MIB, false),
			    pack = fake_object(2, MIB - 77, true);
	struct metric *damaged;

	fixture_init_with_ring(&f);
	expect_range(&f, &part, 0, MIB);
	expect_range(&f, &pack, 0, 1);
	damaged = metrics_counter(f.metrics, "cache_disk_unfit_blocks", NULL);
	for (unsigned block = 0; block < 16; block++) {
		unsigned before = f.loader.loads, is_pack;
		_cleanup_close_ int fd = -1;
		uint8_t byte;

		close_blocks(&f);
		fd = open(f.ring_path, O_RDWR | O_CLOEXEC);
		cr_assert_eq(pread(fd, &byte, 1, block * BLOCK + 1234), 1);
		byte ^= 4;
		cr_assert_eq(pwrite(fd, &byte, 1, block * BLOCK + 1234), 1);
		open_blocks(&f, MEMORY, 1); /* one thread: each block finds its slot again */
		is_pack = f.loader.loads;
		expect_range(&f, &part, 0, MIB);
		is_pack = f.loader.loads == is_pack;
		expect_range(&f, &pack, 0, MIB - 77);
		cr_expect_eq(f.loader.loads, before + 1, "block %u", block);
		cr_expect_eq(metric_get(damaged), is_pack ? 8 : 1, "block %u", block);
		metric_set(damaged, 0);
		/* What was loaded again is in new slots: begin anew. */
		close_blocks(&f);
		cr_assert_eq(io_remove_tree(AT_FDCWD, f.kv_path), 0);
		cr_assert_eq(unlink(f.ring_path), 0);
		open_blocks(&f, MEMORY, 1);
		expect_range(&f, &part, 0, MIB);
		expect_range(&f, &pack, 0, 1);
	}
}

Test(blocks_disk, a_pack_of_which_the_ring_lost_a_part_is_loaded)
{
	_cleanup_fixture_ struct fixture f;
	struct block_object pack = fake_object(2, MIB, true);
	uint8_t key[SHA256_BYTES + 4] = { 0 };

	fixture_init_with_ring(&f);
	expect_range(&f, &pack, 0, 1);
	close_blocks(&f);
	open_blocks(&f, MEMORY, 4);
	memcpy(key, pack.id.b, SHA256_BYTES);
	key[SHA256_BYTES] = 5;
	cr_assert_eq(kv_delete(f.kv, KV_RING, key, sizeof(key), NULL), 0);
	expect_range(&f, &pack, 0, 1);
	cr_expect_eq(f.loader.loads, 2);
	cr_expect_eq(blocks_check(f.b), NULL);
	expect_range(&f, &pack, 0, MIB);
	cr_expect_eq(f.loader.loads, 2);
}

Test(blocks_disk, a_ring_that_cannot_be_opened_is_an_error)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct fake_loader loader = FAKE_LOADER_INIT;
	struct blocks_options o = { .memory_bytes = MEMORY,
				    .threads = 1,
				    .loader = fake_loader_of(&loader) };
	_cleanup_(kv_closep) struct kv *kv = NULL;
	struct blocks *b = NULL;
	struct err e = ERR_INIT;
	char path[100];

	snprintf(path, sizeof(path), "%s/kv", t.path);
	cr_assert_eq(kv_open(path, 0, &kv, NULL), 0);
	o.kv = kv;
	o.ring_bytes = 64 * MIB;
	snprintf(path, sizeof(path), "%s/absent/ring", t.path);
	o.ring_path = path;
	cr_expect_eq(blocks_new(&o, &b, &e), -ENOENT);
	cr_expect(strstr(e.message, path));
}

Test(blocks_disk, the_cache_can_be_deleted_while_it_is_used)
{
	_cleanup_fixture_ struct fixture f;

	fixture_init_with_ring(&f);
	for (uint32_t n = 0; n < 40; n++) {
		struct block_object o = fake_object(n, 4 * MIB, n % 2 == 0);

		if (n == 10) {
			cr_assert_eq(io_remove_tree(AT_FDCWD, f.kv_path), 0);
			cr_assert_eq(unlink(f.ring_path), 0);
		}
		expect_range(&f, &o, 0, 4 * MIB);
		o = fake_object(n / 2, 4 * MIB, n / 2 % 2 == 0);
		expect_range(&f, &o, 0, 4 * MIB);
	}
}
