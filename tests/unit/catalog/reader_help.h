/* SPDX-License-Identifier: Apache-2.0 */
/* A reader over a repository in memory, with or without a disk cache. */
#ifndef SSTABLEFS_TESTS_READER_HELP_H
#define SSTABLEFS_TESTS_READER_HELP_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "catalog/reader.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

#define MEMORY (64 * MIB)
#define STEP (128 * KIB)
#define DIR "data/ks/t-1/"

struct rig {
	struct fixture *f;
	struct reader *r;
	struct record *record;
	struct node_name node;
	struct tmpdir t;
	char kv_path[100], ring_path[100];
	struct kv *kv;
	bool on_disk;
	unsigned connections;
};

static inline void open_reader(struct rig *g, uint64_t memory)
{
	struct reader_options o = { .source = g->f->source,
				    .memory_bytes = memory,
				    .connections = g->connections,
				    .metrics = g->f->metrics };
	struct err e = ERR_INIT;

	if (g->on_disk) {
		cr_assert_eq(kv_open(g->kv_path, 64 * MIB, &g->kv, &e), 0, "%s", e.message);
		o.kv = g->kv;
		o.ring_path = g->ring_path;
		o.ring_bytes = 256 * MIB;
	}
	cr_assert_eq(reader_new(&o, &g->r, &e), 0, "%s", e.message);
}

static inline void close_reader(struct rig *g)
{
	reader_free(steal_pointer(&g->r));
	kv_close(steal_pointer(&g->kv));
}

static inline struct rig rig_new(const struct fixture_file *files, size_t count,
				 enum object_compression compression, bool on_disk)
{
	struct rig g = { .f = fixture_new(OBJECT_VERIFY_XXH3),
			 .node = { FIXTURE_CLUSTER, FIXTURE_NODE },
			 .t = tmpdir_new(),
			 .on_disk = on_disk,
			 /* One thread finds the time to write everything to disk. */
			 .connections = on_disk ? 1 : 8 };

	g.record = fixture_backup(g.f, "monday", files, count, compression);
	snprintf(g.kv_path, sizeof(g.kv_path), "%s/kv", g.t.path);
	snprintf(g.ring_path, sizeof(g.ring_path), "%s/ring", g.t.path);
	open_reader(&g, MEMORY);
	return g;
}

static inline void rig_deinit(struct rig *g)
{
	close_reader(g);
	record_free(g->record);
	fixture_free(g->f);
	tmpdir_deinit(&g->t);
}

#define _cleanup_rig_ _cleanup_(rig_deinit)

static inline struct stream *open_file(struct rig *g, const char *path)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g->f, g->record, path, &run);
	struct stream *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_not_null(entry, "%s", path);
	cr_assert_eq(stream_open(g->r, &g->node, entry->size_bytes, entry->extents,
				 entry->extent_count, &s, &e),
		     0, "%s", e.message);
	return s;
}

/* Reads all of [offset, offset + len) by as many calls as it takes, and compares. Returns the first error. */
static inline int read_and_compare(struct stream *s, const uint8_t *data, uint64_t offset,
				   size_t len, struct err *e)
{
	while (len > 0) {
		struct stream_read rd;
		size_t at = 0;
		int r = stream_read(s, offset, len, true, &rd, NULL, e);

		if (r < 0)
			return r;
		cr_assert_gt(rd.len_bytes, 0);
		cr_assert_leq(rd.len_bytes, len);
		for (int i = 0; i < rd.iov_count; i++) {
			cr_assert_eq(memcmp(rd.iov[i].iov_base, data + offset + at,
					    rd.iov[i].iov_len),
				     0, "at %lu", (unsigned long)(offset + at));
			at += rd.iov[i].iov_len;
		}
		cr_assert_eq(at, rd.len_bytes);
		offset += rd.len_bytes;
		len -= rd.len_bytes;
		stream_release(s, &rd);
	}
	return 0;
}

static inline void expect_range(struct stream *s, const void *data, uint64_t offset, size_t len)
{
	struct err e = ERR_INIT;

	cr_assert_eq(read_and_compare(s, data, offset, len, &e), 0, "%s", e.message);
}

static inline void expect_file(struct rig *g, const char *path, const void *data, size_t len,
			       size_t step)
{
	struct stream *s = open_file(g, path);

	for (size_t at = 0; at < len; at += step)
		expect_range(s, data, at, MIN_OF(step, len - at));
	stream_close(s);
}

/* Likewise all of it, but each step for itself, as by many who jump: what they ask for is kept on disk. */
static inline void ask_for_file(struct rig *g, const char *path, const void *data, size_t len)
{
	for (size_t at = 0; at < len; at += STEP) {
		struct stream *s = open_file(g, path);
		size_t from = MAX_OF(at, (size_t)1);

		expect_range(s, data, from, MIN_OF(at + STEP, len) - from);
		stream_close(s);
	}
}

static inline unsigned gets(struct rig *g)
{
	return g->f->wire->gets;
}

static inline uint32_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((*random >> 33) % below);
}

/* A rig with one file. */
static inline struct rig rig_with(const char *path, const void *data, size_t len, bool on_disk)
{
	const struct fixture_file file = { .path = path, .data = data, .len_bytes = len };

	return rig_new(&file, 1, OBJECT_COMPRESS_NONE, on_disk);
}

enum { SMALL = 60 };

/* Small files, which lie in a pack. */
static inline struct rig rig_with_small(struct fixture_file files[SMALL], char paths[SMALL][40],
					bool on_disk)
{
	for (int i = 0; i < SMALL; i++) {
		size_t len = (size_t)(600 + i * 3001);

		snprintf(paths[i], 40, DIR "nb-%02d-big-Filter.db", i);
		files[i] = (struct fixture_file){ .path = paths[i],
						  .data = fixture_random((uint64_t)i, len),
						  .len_bytes = len };
	}
	return rig_new(files, SMALL, OBJECT_COMPRESS_ZSTD, on_disk);
}

static inline void free_small(struct fixture_file files[SMALL])
{
	for (int i = 0; i < SMALL; i++)
		free((void *)(uintptr_t)files[i].data);
}
#endif
