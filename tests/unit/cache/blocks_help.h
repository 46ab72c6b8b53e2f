/* SPDX-License-Identifier: Apache-2.0 */
/* A cache of blocks over a made-up loader, with or without a disk ring. */
#ifndef SSTABLEFS_TESTS_BLOCKS_HELP_H
#define SSTABLEFS_TESTS_BLOCKS_HELP_H

#include <criterion/criterion.h>
#include <stdio.h>
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/cache/fake_loader.h"

#define BLOCK ((uint32_t)BLOCKS_BLOCK_BYTES)
#define OBJECT ((uint32_t)BLOCKS_OBJECT_BYTES)
#define MEMORY (32 * MIB)

struct fixture {
	struct fake_loader loader;
	struct metrics *metrics;
	struct blocks *b;
	struct tmpdir t; /* with a ring only */
	char kv_path[100], ring_path[100];
	struct kv *kv;
};

static inline void open_blocks(struct fixture *f, uint64_t memory, unsigned threads)
{
	struct blocks_options o = { .memory_bytes = memory,
				    .threads = threads,
				    .loader = fake_loader_of(&f->loader),
				    .metrics = f->metrics };
	struct err e = ERR_INIT;

	if (f->t.fd > 0) {
		cr_assert_eq(kv_open(f->kv_path, 64 * MIB, &f->kv, &e), 0, "%s", e.message);
		o.kv = f->kv;
		o.ring_path = f->ring_path;
		o.ring_bytes = 64 * MIB;
	}
	cr_assert_eq(blocks_new(&o, &f->b, &e), 0, "%s", e.message);
}

static inline void close_blocks(struct fixture *f)
{
	blocks_free(steal_pointer(&f->b));
	kv_close(steal_pointer(&f->kv));
}

static inline void fixture_init(struct fixture *f, uint64_t memory, unsigned threads)
{
	*f = (struct fixture){ .loader = FAKE_LOADER_INIT, .metrics = metrics_new() };
	open_blocks(f, memory, threads);
}

static inline void fixture_init_with_ring(struct fixture *f)
{
	*f = (struct fixture){ .loader = FAKE_LOADER_INIT,
			       .metrics = metrics_new(),
			       .t = tmpdir_new() };
	snprintf(f->kv_path, sizeof(f->kv_path), "%s/kv", f->t.path);
	snprintf(f->ring_path, sizeof(f->ring_path), "%s/ring", f->t.path);
	open_blocks(f, MEMORY, 4);
}

static inline void fixture_deinit(struct fixture *f)
{
	if (f->b) {
		const char *broken = blocks_check(f->b);

		cr_expect_null(broken, "%s", broken);
	}
	close_blocks(f);
	metrics_free(f->metrics);
	if (f->t.fd > 0)
		tmpdir_deinit(&f->t);
}

#define _cleanup_fixture_ _cleanup_(fixture_deinit)

/* Gets, checks the content, unpins. */
static inline void expect_range(struct fixture *f, const struct block_object *o, uint32_t offset,
				uint32_t len)
{
	struct err e = ERR_INIT;
	struct block_pin pin;

	cr_assert_eq(blocks_get(f->b, o, offset, len, BLOCKS_WAIT, &pin, NULL, &e), 0, "%s",
		     e.message);
	cr_assert(fake_fits(o, offset, len, pin.data), "wrong bytes at %u", offset);
	blocks_unpin(f->b, &pin);
}

static inline int try(struct fixture *f, const struct block_object *o, uint32_t offset,
		      uint32_t len)
{
	struct block_pin pin = { 0 };
	int r = blocks_get(f->b, o, offset, len, 0, &pin, NULL, NULL);

	blocks_unpin(f->b, &pin);
	return r;
}
#endif
