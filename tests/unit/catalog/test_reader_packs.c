/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of packs that do not fit into memory. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/catalog/reader_help.h"

enum { FILES = 400, PACKS = 12 };
#define NARROW (20 * MIB)

struct many {
	struct fixture_file files[FILES];
	char paths[FILES][40];
	uint64_t total_bytes;
	struct rig g;
};

/* 77 MiB. */
static struct many *many_new(bool text, bool on_disk)
{
	struct many *m = calloc(1, sizeof(*m));

	for (int i = 0; i < FILES; i++) {
		size_t len = (size_t)(3000 + i * 1000);

		snprintf(m->paths[i], 40, DIR "nb-%03d-big-Index.db", i);
		m->files[i] = (struct fixture_file){
			.path = m->paths[i],
			.data = text ? fixture_text((uint64_t)i, len)
				     : fixture_random((uint64_t)i, len),
			.len_bytes = len,
		};
		m->total_bytes += len;
	}
	m->g = rig_new(m->files, FILES, text ? OBJECT_COMPRESS_ZSTD : OBJECT_COMPRESS_NONE,
		       on_disk);
	close_reader(&m->g);
	open_reader(&m->g, NARROW);
	return m;
}

static void many_free(struct many **m)
{
	rig_deinit(&(*m)->g);
	for (int i = 0; i < FILES; i++)
		free((void *)(uintptr_t)(*m)->files[i].data);
	free(*m);
}

#define _cleanup_many_ _cleanup_(many_free)

static uint64_t counted(struct many *m, const char *name)
{
	return metric_get(metrics_counter(m->g.f->metrics, name, NULL));
}

static void read_all(struct many *m, unsigned step)
{
	for (unsigned i = 0, at = 0; i < FILES; i++, at = (at + step) % FILES)
		expect_file(&m->g, m->files[at].path, m->files[at].data, m->files[at].len_bytes,
			    MIB);
}

Test(reader_packs, who_jumps_between_them_loads_each_pack_once_and_then_each_file)
{
	for (int text = 0; text < 2; text++) {
		_cleanup_many_ struct many *m = many_new(text, false);
		unsigned before = gets(&m->g);

		read_all(m, 149);
		cr_expect_leq(counted(m, "cache_loaded_bytes"), 2 * m->total_bytes + 8 * MIB);
		cr_expect_leq(gets(&m->g) - before, FILES + 3 * PACKS, "the heads too");
		cr_expect_leq(reader_memory(m->g.r), NARROW);
	}
}

Test(reader_packs, who_goes_in_order_loads_each_pack_once_each_time)
{
	_cleanup_many_ struct many *m = many_new(false, false);
	unsigned before = gets(&m->g);

	read_all(m, 1);
	cr_expect_eq(counted(m, "cache_loaded_bytes"), m->total_bytes);
	read_all(m, 1);
	cr_expect_leq(counted(m, "cache_loaded_bytes"), 2 * m->total_bytes);
	cr_expect_leq(gets(&m->g) - before, 2 * PACKS);
}

Test(reader_packs, a_disk_that_holds_them_serves_each_file_by_itself)
{
	_cleanup_many_ struct many *m = many_new(true, true);
	uint64_t loaded, from_disk;

	read_all(m, 149);
	cr_expect_leq(counted(m, "cache_loaded_bytes"), 2 * m->total_bytes + 8 * MIB);
	loaded = counted(m, "cache_loaded_bytes");
	from_disk = counted(m, "cache_disk_read_bytes");
	read_all(m, 149);
	cr_expect_eq(counted(m, "cache_loaded_bytes"), loaded, "nothing comes from the store");
	cr_expect_leq(counted(m, "cache_disk_read_bytes") - from_disk, m->total_bytes);
	cr_expect_eq(counted(m, "cache_disk_unfit_blocks"), 0);
}

/* A part of a file that begins and ends inside frames, as another writer may refer to it. */
static void expect_inside(struct many *m, const struct fixture_file *file)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(m->g.f, m->g.record, file->path, &run);
	struct extent x = entry->extents[0];
	struct stream *s = NULL;

	x.offset += 1000;
	x.len_bytes -= 2000;
	cr_assert_eq(stream_open(m->g.r, &m->g.node, x.len_bytes, &x, 1, &s, NULL), 0);
	expect_range(s, (const uint8_t *)file->data + 1000, 0, x.len_bytes);
	stream_close(s);
}

Test(reader_packs, parts_that_begin_and_end_inside_frames_are_read_too)
{
	for (int on_disk = 0; on_disk < 2; on_disk++) {
		_cleanup_many_ struct many *m = many_new(false, on_disk);

		read_all(m, 149);
		for (unsigned i = 0; i < FILES; i += 7)
			expect_inside(m, &m->files[i]);
	}
}

Test(reader_packs, a_bit_that_was_flipped_in_a_file_by_itself_is_seen)
{
	_cleanup_many_ struct many *m = many_new(false, false);
	unsigned failed = 0;

	read_all(m, 149);
	for (unsigned i = 0; i < FILES; i += 3) {
		struct stream *s = open_file(&m->g, m->files[i].path);
		struct err e = ERR_INIT;

		m->g.f->wire->flips = 2;
		failed += read_and_compare(s, m->files[i].data, 0, m->files[i].len_bytes, &e) ==
			  -EBADMSG;
		m->g.f->wire->flips = 0;
		stream_close(s);
	}
	cr_expect_gt(failed, 0, "not all of it was in memory");
}
