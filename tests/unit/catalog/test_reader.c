/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "catalog/reader_state.h"
#include "tests/unit/catalog/reader_help.h"

/* ---- right bytes ---- */

static const size_t sizes[] = { 513,	 STEP - 1,    STEP,	   STEP + 1,
				MIB - 1, MIB,	      MIB + 1,	   8 * MIB - 1,
				8 * MIB, 8 * MIB + 1, 9 * MIB + 5, 20 * MIB + 12345 };

Test(reader, files_of_every_size_read_as_they_were_in_order_and_at_random)
{
	for (int text = 0; text < 2; text++) {
		struct fixture_file files[ARRAY_SIZE(sizes)];
		char paths[ARRAY_SIZE(sizes)][40];
		uint64_t random = 7;
		struct rig g;

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			snprintf(paths[i], sizeof(paths[i]), DIR "nb-%zu-big-Data.db", i);
			files[i] =
				(struct fixture_file){ .path = paths[i],
						       .data = text ? fixture_text(i, sizes[i])
								    : fixture_random(i, sizes[i]),
						       .len_bytes = sizes[i] };
		}
		g = rig_new(files, ARRAY_SIZE(sizes),
			    text ? OBJECT_COMPRESS_ZSTD : OBJECT_COMPRESS_NONE, text);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct stream *s = open_file(&g, paths[i]);

			for (int k = 0; k < 40; k++) {
				uint64_t at = draw(&random, sizes[i]);

				expect_range(s, files[i].data, at,
					     1 + draw(&random, MIN_OF(sizes[i] - at, 2 * MIB)));
			}
			stream_close(s);
			expect_file(&g, paths[i], files[i].data, sizes[i], i % 2 ? STEP : 300000);
		}
		cr_expect_leq(reader_memory(g.r), MEMORY);
		rig_deinit(&g);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			free((void *)(uintptr_t)files[i].data);
	}
}

Test(reader, reads_end_where_the_file_ends)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, 3 * MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, 3 * MIB, false);
	struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
	struct stream_read rd;

	cr_assert_eq(stream_read(s, 3 * MIB - 10, 100, true, &rd, NULL, NULL), 0);
	cr_expect_eq(rd.len_bytes, 10);
	stream_release(s, &rd);
	cr_assert_eq(stream_read(s, 3 * MIB, 100, true, &rd, NULL, NULL), 0);
	cr_expect_eq(rd.len_bytes, 0);
	cr_assert_eq(stream_read(s, UINT64_MAX, 100, true, &rd, NULL, NULL), 0);
	cr_expect_eq(rd.len_bytes, 0);
	cr_assert_eq(stream_read(s, 5, 0, true, &rd, NULL, NULL), 0);
	cr_expect_eq(rd.len_bytes, 0);
	stream_close(s);
}

Test(reader, extents_that_do_not_make_up_the_file_are_refused)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, 9 * MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, 9 * MIB, false);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, DIR "nb-1-big-Data.db", &run);
	struct stream *s = NULL;
	struct extent x[2];

	cr_assert_eq(entry->extent_count, 2);
	memcpy(x, entry->extents, sizeof(x));
	cr_expect_eq(stream_open(g.r, &g.node, 9 * MIB + 1, x, 2, &s, NULL), -EBADMSG);
	cr_expect_eq(stream_open(g.r, &g.node, 9 * MIB, x, 1, &s, NULL), -EBADMSG);
	cr_expect_eq(stream_open(g.r, &g.node, 0, x, 0, &s, NULL), -EBADMSG);
	x[1].offset = x[1].object.plain_bytes;
	cr_expect_eq(stream_open(g.r, &g.node, 9 * MIB, x, 2, &s, NULL), -EBADMSG);
	x[1].offset = 1;
	cr_expect_eq(stream_open(g.r, &g.node, 9 * MIB, x, 2, &s, NULL), -EBADMSG);
}

/* ---- what is fetched ---- */

Test(reader, a_file_read_in_order_costs_few_requests)
{
	const size_t len = 80 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	unsigned before = gets(&g);

	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_leq(gets(&g) - before, 10 + 10,
		      "10 objects, and the parts and the head of the first ones");
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL)), len);
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_dropped_unread_bytes", NULL)),
		     0);
}

Test(reader, a_file_goes_to_disk_when_it_is_read_in_order_again_and_comes_from_there_then)
{
	const size_t len = 60 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	struct metric *written = metrics_counter(g.f->metrics, "cache_disk_written_bytes", NULL);
	uint64_t twice;

	close_reader(&g);
	open_reader(&g, 20 * MIB);
	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_eq(metric_get(written), 0);
	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	twice = metric_get(loaded);
	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_geq(metric_get(written) + 8 * MIB, twice - len,
		      "what was loaded for the second time, the last perhaps not yet");
	cr_expect_leq(metric_get(loaded), twice + 20 * MIB, "but for what memory had before");
	twice = metric_get(loaded);
	for (int i = 0; i < 2; i++)
		expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_leq(metric_get(loaded), twice + 20 * MIB);
}

Test(reader, what_was_asked_for_needs_no_request_after_much_was_copied)
{
	const size_t len = 400 * MIB, hot = 3 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	struct fixture_file files[2] = {
		{ .path = DIR "nb-1-big-Data.db", .data = data, .len_bytes = len },
		{ .path = DIR "nb-1-big-Index.db", .data = data + 999, .len_bytes = hot },
	};
	_cleanup_rig_ struct rig g = rig_new(files, 2, OBJECT_COMPRESS_NONE, true);
	unsigned before;

	close_reader(&g);
	open_reader(&g, 20 * MIB);
	ask_for_file(&g, files[1].path, files[1].data, hot);
	for (int i = 0; i < 2; i++)
		expect_file(&g, files[0].path, data, len, STEP);
	before = gets(&g);
	ask_for_file(&g, files[1].path, files[1].data, hot);
	cr_expect_eq(gets(&g), before);
}

Test(reader, a_random_read_fetches_only_its_frames)
{
	const size_t len = 40 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	static const uint64_t at[] = { 30 * MIB + 5, 12 * MIB + 77, 38 * MIB, 3 * MIB };

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		expect_range(s, data, at[i], 4096);
		cr_expect_eq(metric_get(loaded), (i + 1) * STEP);
	}
	expect_range(s, data, 3 * MIB + STEP - 1, 2);
	cr_expect_eq(metric_get(loaded), 5 * STEP);
	stream_close(s);
}

Test(reader, nothing_is_started_by_a_read_that_does_not_wait)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, 3 * MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, 3 * MIB, false);
	struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
	struct stream_read rd;
	unsigned before = gets(&g);

	cr_expect_eq(stream_read(s, 0, 4096, false, &rd, NULL, NULL), STREAM_WOULD_BLOCK);
	cr_expect_eq(rd.pin_count, 0);
	cr_expect_eq(gets(&g), before);
	expect_range(s, data, 0, 4096);
	cr_assert_eq(stream_read(s, 0, 4096, false, &rd, NULL, NULL), 0);
	cr_expect_eq(rd.len_bytes, 4096);
	stream_release(s, &rd);
	stream_close(s);
}

Test(reader, a_pack_is_fetched_once_for_all_its_files_and_a_hint_fetches_it_ahead)
{
	struct fixture_file files[SMALL];
	char paths[SMALL][40];
	_cleanup_rig_ struct rig g = rig_with_small(files, paths, false);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, paths[7], &run);

	for (int i = 0; i < 3; i++)
		reader_hint(g.r, &g.node, entry->extents, entry->extent_count);
	for (int i = 0; i < SMALL; i++)
		expect_file(&g, paths[i], files[i].data, files[i].len_bytes, 50000);
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL)),
		     entry->extents[0].object.plain_bytes);
	free_small(files);
}

/* As Cassandra does with every Data.db when it starts. */
Test(reader, a_large_file_that_is_opened_and_not_read_fetches_nothing)
{
	const size_t len = 8 * MIB, count = 12;
	struct fixture_file files[12];
	char paths[12][40];
	struct rig g;

	for (size_t i = 0; i < count; i++) {
		snprintf(paths[i], 40, DIR "nb-%02zu-big-Data.db", i);
		files[i] = (struct fixture_file){ .path = paths[i],
						  .data = fixture_random(i, len),
						  .len_bytes = len };
	}
	g = rig_new(files, count, OBJECT_COMPRESS_NONE, false);
	close_reader(&g);
	g.connections = 1;
	open_reader(&g, 40 * MIB);
	for (size_t i = 0; i < count; i++) {
		_cleanup_(run_freep) struct run *run = NULL;
		const struct entry *entry = fixture_find(g.f, g.record, paths[i], &run);

		reader_hint(g.r, &g.node, entry->extents, entry->extent_count);
	}
	cr_expect_eq(reader_memory(g.r), 0);
	close_reader(&g); /* waits for what is under way */
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL)), 0);
	open_reader(&g, 40 * MIB);
	rig_deinit(&g);
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)files[i].data);
}

static void hint_and_read(struct rig *g, const struct fixture_file *file)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g->f, g->record, file->path, &run);

	reader_hint(g->r, &g->node, entry->extents, entry->extent_count);
	expect_file(g, file->path, file->data, file->len_bytes, STEP);
}

/* Beside them a large file is read, which takes the memory of what may go: a pack that will be opened again must not be that. */
Test(reader, files_opened_in_any_order_do_not_load_their_packs_again_and_again)
{
	const size_t len = 900000, small = 60, large_len = 80 * MIB, packs = 7;
	struct fixture_file files[61];
	char paths[61][40];
	unsigned before;
	struct rig g;

	for (size_t i = 0; i <= small; i++) {
		snprintf(paths[i], 40, DIR "nb-%02zu-big-%s", i,
			 i < small ? "Index.db" : "Data.db");
		files[i] = (struct fixture_file){ .path = paths[i],
						  .len_bytes = i < small ? len : large_len };
		files[i].data = fixture_random(i, files[i].len_bytes);
	}
	g = rig_new(files, small + 1, OBJECT_COMPRESS_NONE, false);
	close_reader(&g);
	g.connections = 2;
	open_reader(&g, 112 * MIB);
	before = gets(&g);
	for (size_t i = 0; i < small; i++) {
		hint_and_read(&g, &files[i * 23 % small]);
		if (i % 20 == 19)
			expect_file(&g, files[small].path, files[small].data, large_len, STEP);
	}
	/* Its eight megabytes ahead push a pack out now and then, so each pack may come twice. */
	cr_expect_leq(gets(&g) - before, 2 * packs + 3 * (large_len / (8 * MIB)) + 12, "%u",
		      gets(&g) - before);
	rig_deinit(&g);
	for (size_t i = 0; i <= small; i++)
		free((void *)(uintptr_t)files[i].data);
}

/* ---- many at once ---- */

struct player {
	struct stream *s;
	const uint8_t *data;
	size_t len;
	uint64_t random;
	pthread_t thread;
};

static void *play(void *arg)
{
	struct player *p = arg;

	for (size_t at = 0; at < p->len; at += 3 * STEP) {
		uint64_t jump = draw(&p->random, p->len);

		expect_range(p->s, p->data, at, MIN_OF(2 * STEP, p->len - at));
		if (p->random % 4 == 0)
			expect_range(p->s, p->data, jump, MIN_OF(5000, p->len - jump));
	}
	return NULL;
}

Test(reader, threads_read_one_stream_at_once)
{
	const size_t len = 24 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, true);
	struct player players[6];
	struct stream *s;

	close_reader(&g);
	g.connections = 8;
	open_reader(&g, MEMORY);
	s = open_file(&g, DIR "nb-1-big-Data.db");
	for (unsigned i = 0; i < ARRAY_SIZE(players); i++) {
		players[i] = (struct player){ s, data, len, i, 0 };
		cr_assert_eq(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(players); i++)
		pthread_join(players[i].thread, NULL);
	stream_close(s);
}

/* So many that the memory is far too small for an object of each. */
Test(reader, many_streams_in_order_share_little_memory)
{
	enum { STREAMS = 32 };
	const size_t len = 12 * MIB, memory = 20 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len + STREAMS * 1000);
	struct fixture_file files[STREAMS];
	struct stream *s[STREAMS];
	char paths[STREAMS][40];
	struct metric *loaded;
	struct rig g;

	for (size_t i = 0; i < STREAMS; i++) {
		snprintf(paths[i], 40, DIR "nb-%02zu-big-Data.db", i);
		files[i] = (struct fixture_file){ .path = paths[i],
						  .data = data + i * 1000,
						  .len_bytes = len };
	}
	g = rig_new(files, STREAMS, OBJECT_COMPRESS_NONE, false);
	loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	close_reader(&g);
	open_reader(&g, memory);
	for (size_t i = 0; i < STREAMS; i++)
		s[i] = open_file(&g, paths[i]);
	for (size_t at = 0; at < len; at += STEP)
		for (size_t i = 0; i < STREAMS; i++) {
			expect_range(s[i], files[i].data, at, STEP);
			cr_assert_leq(reader_memory(g.r), memory);
		}
	cr_expect_leq(metric_get(loaded), STREAMS * len / 4 * 5,
		      "hardly anything is fetched twice");
	for (size_t i = 0; i < STREAMS; i++)
		stream_close(s[i]);
	rig_deinit(&g);
}

/* ---- little memory ---- */

static void *read_all_at_once(void *arg)
{
	struct player *p = arg;

	for (int i = 0; i < 8; i++)
		expect_range(p->s, p->data, 0, p->len);
	return NULL;
}

/* Each asks for all of the memory in one call. Held pins while waiting would stop them all. */
Test(reader, readers_that_want_more_than_there_is_get_less_and_never_hang)
{
	enum { FILES = 4 };
	const size_t len = 16 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len + FILES * 1000);
	struct fixture_file files[FILES];
	struct player players[FILES];
	char paths[FILES][40];
	struct rig g;

	for (size_t i = 0; i < FILES; i++) {
		snprintf(paths[i], 40, DIR "nb-%02zu-big-Data.db", i);
		files[i] = (struct fixture_file){ .path = paths[i],
						  .data = data + i * 1000,
						  .len_bytes = len };
	}
	g = rig_new(files, FILES, OBJECT_COMPRESS_NONE, false);
	close_reader(&g);
	open_reader(&g, BLOCKS_MIN_MEMORY);
	for (size_t i = 0; i < FILES; i++) {
		players[i] = (struct player){ open_file(&g, paths[i]), files[i].data, len, i, 0 };
		cr_assert_eq(
			pthread_create(&players[i].thread, NULL, read_all_at_once, &players[i]), 0);
	}
	for (size_t i = 0; i < FILES; i++) {
		pthread_join(players[i].thread, NULL);
		stream_close(players[i].s);
	}
	cr_expect_leq(reader_memory(g.r), BLOCKS_MIN_MEMORY);
	rig_deinit(&g);
}

Test(reader, what_memory_did_not_allow_is_fetched_ahead_when_it_does)
{
	const size_t len = 64 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	struct stream *s, *other;
	struct stream_read held[2];
	unsigned before;

	close_reader(&g);
	open_reader(&g, 26 * MIB);
	other = open_file(&g, DIR "nb-1-big-Data.db");
	s = open_file(&g, DIR "nb-1-big-Data.db");
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		cr_assert_eq(stream_read(other, (i + 5) * 8 * MIB, 8 * MIB, true, &held[i], NULL,
					 NULL),
			     0);
		cr_assert_eq(held[i].len_bytes, 8 * MIB);
	}
	for (size_t at = 0; at < 8 * MIB; at += STEP)
		expect_range(s, data, at, STEP);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		stream_release(other, &held[i]);
	stream_close(other);
	before = gets(&g);
	for (size_t at = 8 * MIB; at < 40 * MIB; at += STEP)
		expect_range(s, data, at, STEP);
	cr_expect_leq(gets(&g) - before, 30);
	stream_close(s);
}

Test(reader, those_who_read_in_order_now_share_the_memory)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, MIB, false);
	struct reader_share shares[3] = { 0 };

	close_reader(&g);
	open_reader(&g, 40 * MIB);
	cr_expect_eq(reader_window(g.r), 20 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		reader_share_use(g.r, &shares[i]);
		reader_share_use(g.r, &shares[i]);
		cr_expect_eq(reader_window(g.r), 20 * MIB / (i + 1));
	}
	reader_share_leave(g.r, &shares[1]);
	cr_expect_eq(reader_window(g.r), 10 * MIB);
	for (unsigned i = 0; i < READER_RECENT; i++)
		reader_share_use(g.r, &shares[0]);
	cr_expect_eq(reader_window(g.r), 20 * MIB, "the other one has not read for long");
	reader_share_use(g.r, &shares[2]);
	cr_expect_eq(reader_window(g.r), 10 * MIB);
	g.connections = 2;
	close_reader(&g);
	open_reader(&g, 40 * MIB);
	cr_expect_eq(reader_window(g.r), 16 * MIB, "as much as its connections can carry");
}
