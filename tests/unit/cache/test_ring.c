/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "cache/ring.h"
#include "tests/unit/base/tmpdir.h"

#define BLOCK RING_SLOT_BYTES
#define OBJECT_BYTES (8 * MIB)
#define ALL UINT64_MAX

struct fixture {
	struct tmpdir t;
	char path[100], kv_path[100];
	struct kv *kv;
	struct metrics *metrics;
	struct ring *ring;
	uint8_t *data, *back;
};

static void open_ring(struct fixture *f, uint64_t bytes)
{
	struct err e = ERR_INIT;

	cr_assert_eq(kv_open(f->kv_path, 64 * MIB, &f->kv, &e), 0, "%s", e.message);
	cr_assert_eq(ring_open(f->path, bytes, f->kv, f->metrics, &f->ring, &e), 0, "%s",
		     e.message);
}

static void close_ring(struct fixture *f)
{
	ring_close(steal_pointer(&f->ring));
	kv_close(steal_pointer(&f->kv));
}

static struct fixture fixture_new(uint64_t bytes)
{
	struct fixture f = { .t = tmpdir_new() };

	snprintf(f.path, sizeof(f.path), "%s/ring", f.t.path);
	snprintf(f.kv_path, sizeof(f.kv_path), "%s/kv", f.t.path);
	f.metrics = metrics_new();
	f.data = malloc(OBJECT_BYTES);
	f.back = malloc(OBJECT_BYTES);
	open_ring(&f, bytes);
	return f;
}

static void fixture_deinit(struct fixture *f)
{
	close_ring(f);
	metrics_free(f->metrics);
	free(f->data);
	free(f->back);
	tmpdir_deinit(&f->t);
}

#define _cleanup_fixture_ _cleanup_(fixture_deinit)

static struct id256 id_of(unsigned n)
{
	return digest_sha256(&n, sizeof(n));
}

/* Every byte says to which object and block it belongs. */
static void make_content(uint8_t *out, unsigned n, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += (uint32_t)BLOCK)
		memset(out + i, (int)(n * 67 + i / BLOCK), MIN_OF(BLOCK, len - i));
}

static void write_object(struct fixture *f, unsigned n, uint32_t len, uint64_t blocks)
{
	struct id256 id = id_of(n);

	make_content(f->data, n, len);
	ring_write(f->ring, &id, len, blocks, f->data);
}

/* Which of the blocks come back, each with its own content. */
static uint64_t read_object(struct fixture *f, unsigned n, uint32_t len, uint64_t blocks)
{
	struct id256 id = id_of(n);
	uint64_t got;

	memset(f->back, 0xee, OBJECT_BYTES);
	got = ring_read(f->ring, &id, len, blocks, f->back);
	make_content(f->data, n, len);
	for (unsigned i = 0; i < 64; i++)
		if (got >> i & 1)
			cr_assert_eq(memcmp(f->back + i * BLOCK, f->data + i * BLOCK,
					    MIN_OF(BLOCK, len - i * BLOCK)),
				     0, "object %u block %u", n, i);
	return got;
}

Test(ring, blocks_come_back_and_others_are_absent)
{
	_cleanup_fixture_ struct fixture f = fixture_new(32 * MIB);
	static const struct {
		uint32_t len;
		uint64_t written, asked, expected;
	} rows[] = {
		{ OBJECT_BYTES, ALL, ALL, ALL },
		{ OBJECT_BYTES, 0xf0, ALL, 0xf0 },
		{ OBJECT_BYTES, 0xf0, 0x3c, 0x30 },
		{ OBJECT_BYTES, 0x8000000000000001, ALL, 0x8000000000000001 },
		{ OBJECT_BYTES, 0x5555, 0xff, 0x55 },
		{ 1, 1, 1, 1 },
		{ 3 * BLOCK + 1, 0xf, 0xf, 0xf },
		{ 3 * BLOCK - 1, 0x4, 0x7, 0x4 },
		{ OBJECT_BYTES, 0, ALL, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		write_object(&f, i, rows[i].len, rows[i].written);
		cr_expect_eq(read_object(&f, i, rows[i].len, rows[i].asked), rows[i].expected,
			     "row %u", i);
	}
	cr_expect_eq(read_object(&f, 1000, OBJECT_BYTES, ALL), 0);
}

Test(ring, the_oldest_goes_first_and_its_entries_with_it)
{
	_cleanup_fixture_ struct fixture f = fixture_new(24 * MIB);
	struct stat st;

	for (unsigned n = 0; n < 20; n++) {
		write_object(&f, n, 5 * MIB, UINT64_C(0xffffffffff));
		for (unsigned old = 0; old <= n; old++) {
			uint64_t got = read_object(&f, old, 5 * MIB, UINT64_C(0xffffffffff));

			if (old + 4 > n)
				cr_assert_eq(got, UINT64_C(0xffffffffff), "%u after %u", old, n);
			if (old + 5 <= n)
				cr_assert_eq(got, 0, "%u after %u", old, n);
		}
	}
	cr_assert_eq(fstatat(f.t.fd, "ring", &st, 0), 0);
	cr_expect_eq(st.st_size, 24 * MIB);
}

Test(ring, a_block_written_twice_is_found_at_its_new_place)
{
	_cleanup_fixture_ struct fixture f = fixture_new(8 * MIB);

	write_object(&f, 1, 2 * MIB, 0xffff);
	write_object(&f, 2, 2 * MIB, 0xffff);
	write_object(&f, 1, 2 * MIB, 0xffff);
	write_object(&f, 3, 2 * MIB, 0xffff);
	/* Takes the slots where 1 was first: 1 lies elsewhere by now. */
	write_object(&f, 4, 2 * MIB, 0xffff);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xffff), 0xffff);
	cr_expect_eq(read_object(&f, 2, 2 * MIB, 0xffff), 0xffff);
	write_object(&f, 5, 2 * MIB, 0xffff);
	cr_expect_eq(read_object(&f, 2, 2 * MIB, 0xffff), 0);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xffff), 0xffff);
}

Test(ring, it_is_remembered_with_its_cursor)
{
	_cleanup_fixture_ struct fixture f = fixture_new(16 * MIB);

	write_object(&f, 1, 6 * MIB, ALL >> 16);
	close_ring(&f);
	open_ring(&f, 16 * MIB);
	cr_expect_eq(read_object(&f, 1, 6 * MIB, ALL >> 16), ALL >> 16);
	write_object(&f, 2, 6 * MIB, ALL >> 16);
	cr_expect_eq(read_object(&f, 1, 6 * MIB, ALL >> 16), ALL >> 16);
	close_ring(&f);
	open_ring(&f, 8 * MIB); /* smaller now: the rest is cut off */
	cr_expect_eq(read_object(&f, 1, 6 * MIB, ALL >> 16), ALL >> 16);
	cr_expect_eq(read_object(&f, 2, 6 * MIB, ALL >> 16), 0xffff);
}

Test(ring, what_is_forgotten_is_absent)
{
	_cleanup_fixture_ struct fixture f = fixture_new(16 * MIB);
	struct id256 id = id_of(1);

	write_object(&f, 1, 2 * MIB, 0xffff);
	ring_forget(f.ring, &id, 0x00f1);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xffff), 0xff0e);
}

Test(ring, a_file_cut_short_or_deleted_loses_blocks_and_does_no_harm)
{
	_cleanup_fixture_ struct fixture f = fixture_new(16 * MIB);
	_cleanup_close_ int fd = -1;

	write_object(&f, 1, 2 * MIB, 0xffff);
	fd = openat(f.t.fd, "ring", O_RDWR | O_CLOEXEC);
	cr_assert_eq(ftruncate(fd, 5 * BLOCK + 7), 0);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0x001f), 0x001f);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xff00), 0);
	cr_assert_eq(unlinkat(f.t.fd, "ring", 0), 0);
	write_object(&f, 2, 2 * MIB, 0xffff);
	cr_expect_eq(read_object(&f, 2, 2 * MIB, 0xffff), 0xffff);
}

Test(ring, a_ring_too_small_holds_nothing)
{
	_cleanup_fixture_ struct fixture f = fixture_new(RING_MIN_BYTES - 1);

	write_object(&f, 1, 2 * MIB, 0xffff);
	cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xffff), 0);
	cr_expect_eq(ring_capacity(f.ring), 0);
}

/* Nothing of it is followed or written to: it is no cache of ours. */
Test(ring, what_is_no_plain_file_is_removed)
{
	_cleanup_fixture_ struct fixture f = fixture_new(16 * MIB);
	struct stat st;

	tmpdir_write(&f.t, "other", "precious", 8);
	for (int i = 0; i < 5; i++) {
		close_ring(&f);
		cr_assert_eq(unlinkat(f.t.fd, "ring", 0), 0);
		switch (i) {
		case 0:
			cr_assert_eq(symlinkat("other", f.t.fd, "ring"), 0);
			break;
		case 1:
			cr_assert_eq(symlinkat("nowhere", f.t.fd, "ring"), 0);
			break;
		case 2:
			cr_assert_eq(linkat(f.t.fd, "other", f.t.fd, "ring", 0), 0);
			break;
		case 3:
			cr_assert_eq(mkdirat(f.t.fd, "ring", 0700), 0);
			break;
		case 4:
			cr_assert_eq(mkfifoat(f.t.fd, "ring", 0600), 0);
			break;
		}
		open_ring(&f, 16 * MIB);
		write_object(&f, 1, 2 * MIB, 0xffff);
		cr_expect_eq(read_object(&f, 1, 2 * MIB, 0xffff), 0xffff, "%d", i);
		cr_assert_eq(fstatat(f.t.fd, "other", &st, 0), 0);
		cr_expect_eq(st.st_size, 8, "%d", i);
		cr_expect(fstatat(f.t.fd, "nowhere", &st, 0) < 0);
	}
}

/* RLIMIT_FSIZE stands for a disk that is full. Exit status: what went wrong, 0 nothing. */
static int with_full_disk(struct fixture *f, uint64_t limit, uint64_t expected_capacity)
{
	struct metric *errors = metrics_counter(f->metrics, "cache_disk_write_errors", NULL);

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ limit, limit });
	for (unsigned n = 0; n < 12; n++)
		write_object(f, n, 4 * MIB, 0xffffffff);
	if (ring_capacity(f->ring) != expected_capacity)
		return 1;
	if (metric_get(errors) != 1)
		return 2;
	if (expected_capacity == 0)
		return read_object(f, 11, 4 * MIB, 0xffffffff) == 0 ? 0 : 3;
	return read_object(f, 11, 4 * MIB, 0xffffffff) == 0xffffffff ? 0 : 4;
}

Test(ring, a_full_disk_makes_it_smaller_or_ends_its_use)
{
	static const struct {
		uint64_t limit, capacity;
	} rows[] = { { 18 * MIB, 16 * MIB }, { 5 * MIB, 0 } };

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_fixture_ struct fixture f = fixture_new(32 * MIB);
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(with_full_disk(&f, rows[i].limit, rows[i].capacity));
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "row %u status %x", i,
			  (unsigned)status);
	}
}

/* A model: which blocks were written, in order; the last so many slots must be there, nothing else may be. */
Test(ring, random_writes_agree_with_a_model)
{
	enum { SLOTS = 64, OBJECTS = 12, BLOCKS = 16 };
	_cleanup_fixture_ struct fixture f = fixture_new(SLOTS * BLOCK);
	unsigned holder[SLOTS], cursor = 0;
	uint32_t seed = 12345;

	memset(holder, 0xff, sizeof(holder));
	for (int step = 0; step < 600; step++) {
		unsigned n = (seed = seed * 1664525 + 1013904223) >> 16, object = n % OBJECTS;
		uint64_t blocks = ((seed = seed * 1664525 + 1013904223) >> 8) & 0xffff;
		uint64_t expected = 0;

		write_object(&f, object, BLOCKS * BLOCK - object, blocks);
		for (unsigned i = 0; i < BLOCKS; i++) {
			if (!(blocks >> i & 1))
				continue;
			for (unsigned s = 0; s < SLOTS; s++)
				if (holder[s] == object * BLOCKS + i)
					holder[s] = UINT32_MAX;
			holder[cursor] = object * BLOCKS + i;
			cursor = (cursor + 1) % SLOTS;
		}
		object = (n >> 8) % OBJECTS;
		for (unsigned s = 0; s < SLOTS; s++)
			if (holder[s] / BLOCKS == object)
				expected |= UINT64_C(1) << holder[s] % BLOCKS;
		cr_assert_eq(read_object(&f, object, BLOCKS * BLOCK - object, 0xffff), expected,
			     "step %d", step);
	}
}
