/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

static void open_reader(struct rig *g, uint64_t memory)
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

static void close_reader(struct rig *g)
{
	reader_free(steal_pointer(&g->r));
	kv_close(steal_pointer(&g->kv));
}

static struct rig rig_new(const struct fixture_file *files, size_t count, enum object_compression compression, bool on_disk)
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

static void rig_deinit(struct rig *g)
{
	close_reader(g);
	record_free(g->record);
	fixture_free(g->f);
	tmpdir_deinit(&g->t);
}

#define _cleanup_rig_ _cleanup_(rig_deinit)

static struct stream *open_file(struct rig *g, const char *path)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g->f, g->record, path, &run);
	struct stream *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_not_null(entry, "%s", path);
	cr_assert_eq(stream_open(g->r, &g->node, entry->size_bytes, entry->extents, entry->extent_count, &s, &e), 0, "%s",
		     e.message);
	return s;
}

/* Reads all of [offset, offset + len) by as many calls as it takes, and compares. Returns the first error. */
static int read_and_compare(struct stream *s, const uint8_t *data, uint64_t offset, size_t len, struct err *e)
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
			cr_assert_eq(memcmp(rd.iov[i].iov_base, data + offset + at, rd.iov[i].iov_len), 0, "at %lu",
				     (unsigned long)(offset + at));
			at += rd.iov[i].iov_len;
		}
		cr_assert_eq(at, rd.len_bytes);
		offset += rd.len_bytes;
		len -= rd.len_bytes;
		stream_release(s, &rd);
	}
	return 0;
}

static void expect_range(struct stream *s, const void *data, uint64_t offset, size_t len)
{
	struct err e = ERR_INIT;

	cr_assert_eq(read_and_compare(s, data, offset, len, &e), 0, "%s", e.message);
}

static void expect_file(struct rig *g, const char *path, const void *data, size_t len, size_t step)
{
	struct stream *s = open_file(g, path);

	for (size_t at = 0; at < len; at += step)
		expect_range(s, data, at, MIN_OF(step, len - at));
	stream_close(s);
}

static unsigned gets(struct rig *g)
{
	return g->f->wire->gets;
}

static uint32_t draw(uint64_t *random, uint64_t below)
{
	*random = *random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((*random >> 33) % below);
}

/* ---- right bytes ---- */

static const size_t sizes[] = { 513,	       STEP - 1,     STEP,	     STEP + 1,	   MIB - 1,	     MIB,
				MIB + 1,       8 * MIB - 1,  8 * MIB,	     8 * MIB + 1,  9 * MIB + 5,	     20 * MIB + 12345 };

Test(reader, files_of_every_size_read_as_they_were_in_order_and_at_random)
{
	for (int text = 0; text < 2; text++) {
		struct fixture_file files[ARRAY_SIZE(sizes)];
		char paths[ARRAY_SIZE(sizes)][40];
		uint64_t random = 7;
		struct rig g;

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			snprintf(paths[i], sizeof(paths[i]), DIR "nb-%zu-big-Data.db", i);
			files[i] = (struct fixture_file){ .path = paths[i],
							  .data = text ? fixture_text(i, sizes[i]) : fixture_random(i, sizes[i]),
							  .len_bytes = sizes[i] };
		}
		g = rig_new(files, ARRAY_SIZE(sizes), text ? OBJECT_COMPRESS_ZSTD : OBJECT_COMPRESS_NONE, text);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct stream *s = open_file(&g, paths[i]);

			for (int k = 0; k < 40; k++) {
				uint64_t at = draw(&random, sizes[i]);

				expect_range(s, files[i].data, at, 1 + draw(&random, MIN_OF(sizes[i] - at, 2 * MIB)));
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

/* A rig with one file. */
static struct rig rig_with(const char *path, const void *data, size_t len, bool on_disk)
{
	const struct fixture_file file = { .path = path, .data = data, .len_bytes = len };

	return rig_new(&file, 1, OBJECT_COMPRESS_NONE, on_disk);
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
	cr_expect_leq(gets(&g) - before, 10 + 10, "10 objects, and the parts and the head of the first ones");
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL)), len);
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_dropped_unread_bytes", NULL)), 0);
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

enum { SMALL = 60 };

/* Small files, which lie in a pack. */
static struct rig rig_with_small(struct fixture_file files[SMALL], char paths[SMALL][40], bool on_disk)
{
	for (int i = 0; i < SMALL; i++) {
		size_t len = (size_t)(600 + i * 3001);

		snprintf(paths[i], 40, DIR "nb-%02d-big-Filter.db", i);
		files[i] = (struct fixture_file){ .path = paths[i], .data = fixture_random((uint64_t)i, len), .len_bytes = len };
	}
	return rig_new(files, SMALL, OBJECT_COMPRESS_ZSTD, on_disk);
}

static void free_small(struct fixture_file files[SMALL])
{
	for (int i = 0; i < SMALL; i++)
		free((void *)(uintptr_t)files[i].data);
}

Test(reader, a_pack_is_fetched_once_for_all_its_files_and_a_hint_fetches_it_ahead)
{
	struct fixture_file files[SMALL];
	char paths[SMALL][40];
	_cleanup_rig_ struct rig g = rig_with_small(files, paths, false);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, paths[7], &run);
	unsigned before = gets(&g);

	for (int i = 0; i < 3; i++)
		reader_hint(g.r, &g.node, entry->extents, entry->extent_count);
	for (int i = 0; i < SMALL; i++) {
		if (i > 0) /* metadata is read to find the file */
			before -= gets(&g);
		run_free(steal_pointer(&run));
		entry = fixture_find(g.f, g.record, paths[i], &run);
		if (i > 0)
			before += gets(&g);
		expect_file(&g, paths[i], files[i].data, files[i].len_bytes, 50000);
	}
	cr_expect_eq(metric_get(metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL)), entry->extents[0].object.plain_bytes);
	free_small(files);
}

Test(reader, hints_alone_do_not_fill_the_memory)
{
	const size_t len = 8 * MIB, count = 12;
	struct fixture_file files[12];
	char paths[12][40];
	struct rig g;

	for (size_t i = 0; i < count; i++) {
		snprintf(paths[i], 40, DIR "nb-%02zu-big-Data.db", i);
		files[i] = (struct fixture_file){ .path = paths[i], .data = fixture_random(i, len), .len_bytes = len };
	}
	g = rig_new(files, count, OBJECT_COMPRESS_NONE, false);
	close_reader(&g);
	open_reader(&g, 40 * MIB);
	for (size_t i = 0; i < count; i++) {
		_cleanup_(run_freep) struct run *run = NULL;
		const struct entry *entry = fixture_find(g.f, g.record, paths[i], &run);

		reader_hint(g.r, &g.node, entry->extents, entry->extent_count);
	}
	for (size_t i = 0; i < count; i++) {
		expect_file(&g, paths[i], files[i].data, len, STEP);
		cr_expect_leq(reader_memory(g.r), 40 * MIB);
	}
	rig_deinit(&g);
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)files[i].data);
}

/* ---- the disk ---- */

static void damage_file(const char *path, off_t at)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x20;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

Test(reader, what_was_read_comes_from_disk_after_a_restart_and_is_checked)
{
	const size_t len = 11 * MIB + 99;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	struct metric *unfit = metrics_counter(g.f->metrics, "cache_disk_unfit_blocks", NULL);
	uint64_t before;

	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_eq(metric_get(loaded), len);
	close_reader(&g);
	open_reader(&g, MEMORY);
	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	before = metric_get(loaded);
	cr_expect_eq(before, len);
	cr_expect_eq(metric_get(unfit), 0);
	close_reader(&g);
	for (unsigned i = 0; i < 80; i += 7)
		damage_file(g.ring_path, (off_t)(i * STEP + 1000));
	open_reader(&g, MEMORY);
	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	cr_expect_gt(metric_get(unfit), 8);
	cr_expect_geq(metric_get(loaded), before + 8 * STEP);
}

Test(reader, a_pack_comes_from_disk_as_a_whole_or_not_at_all)
{
	struct fixture_file files[SMALL];
	char paths[SMALL][40];
	_cleanup_rig_ struct rig g = rig_with_small(files, paths, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	uint64_t once;

	expect_file(&g, paths[0], files[0].data, files[0].len_bytes, 50000);
	once = metric_get(loaded);
	close_reader(&g);
	open_reader(&g, MEMORY);
	for (int i = 0; i < SMALL; i++)
		expect_file(&g, paths[i], files[i].data, files[i].len_bytes, 50000);
	cr_expect_eq(metric_get(loaded), once);
	close_reader(&g);
	damage_file(g.ring_path, 5 * STEP);
	open_reader(&g, MEMORY);
	for (int i = 0; i < SMALL; i++)
		expect_file(&g, paths[i], files[i].data, files[i].len_bytes, 50000);
	cr_expect_eq(metric_get(loaded), 2 * once);
	free_small(files);
}

Test(reader, without_its_head_nothing_from_disk_is_believed)
{
	const size_t len = 2 * MIB; /* one load */
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, DIR "nb-1-big-Data.db", &run);
	const struct id256 *id = &entry->extents[0].object.id;
	_cleanup_free_ void *head = NULL;
	size_t head_bytes;

	expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
	close_reader(&g);
	for (int wrong = 0; wrong < 2; wrong++) {
		open_reader(&g, MEMORY);
		cr_assert_eq(kv_get(g.kv, KV_HEADS, id->b, SHA256_BYTES, &head, &head_bytes, NULL), 0);
		if (wrong) {
			((uint8_t *)head)[FORMAT_HEAD_FIXED_BYTES + 50] ^= 1;
			cr_assert_eq(kv_put(g.kv, KV_HEADS, id->b, SHA256_BYTES, head, head_bytes, NULL), 0);
		} else {
			cr_assert_eq(kv_delete(g.kv, KV_HEADS, id->b, SHA256_BYTES, NULL), 0);
		}
		free(steal_pointer(&head));
		metric_set(loaded, 0);
		expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
		cr_expect_eq(metric_get(loaded), len);
		close_reader(&g);
	}
	open_reader(&g, MEMORY);
}

/* ---- what goes wrong ---- */

Test(reader, a_damaged_object_is_an_error_and_never_data)
{
	const size_t len = 9 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, DIR "nb-1-big-Data.db", &run);
	char key[KEY_BYTES];

	keys_object(key, &g.node, KEY_OBJECT_DATA, &entry->extents[0].object.writer, &entry->extents[0].object.id);
	for (int in_head = 0; in_head < 2; in_head++) {
		long at = in_head ? 30 : (long)(entry->extents[0].object.head_bytes + 20 * STEP + 5);
		struct err e = ERR_INIT;
		struct stream *s;

		fixture_flip(g.f, key, at);
		fixture_restart(g.f, OBJECT_VERIFY_XXH3, NULL);
		close_reader(&g);
		open_reader(&g, MEMORY);
		s = open_file(&g, DIR "nb-1-big-Data.db");
		cr_expect_eq(read_and_compare(s, data, 20 * STEP, STEP, &e), -EBADMSG);
		cr_expect_eq(e.kind, ERR_CORRUPT);
		cr_expect_str_eq(e.key, key);
		expect_range(s, data, 8 * MIB, MIB);
		if (!in_head)
			expect_range(s, data, 40 * STEP, STEP);
		fixture_flip(g.f, key, at);
		expect_range(s, data, 20 * STEP, STEP); /* mended: read again */
		stream_close(s);
	}
	fixture_delete(g.f, key);
	close_reader(&g);
	open_reader(&g, MEMORY);
	{
		struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
		struct err e = ERR_INIT;

		cr_expect_eq(read_and_compare(s, data, 0, STEP, &e), -ENOENT);
		cr_expect_eq(e.kind, ERR_CORRUPT);
		stream_close(s);
	}
}

Test(reader, a_store_that_fails_is_an_error_and_is_asked_again)
{
	const size_t len = 9 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
	struct err e = ERR_INIT;

	g.f->wire->fail = -ECONNREFUSED;
	cr_expect_eq(read_and_compare(s, data, 0, STEP, &e), -ECONNREFUSED);
	cr_expect_eq(e.kind, ERR_STORE);
	g.f->wire->fail = 0;
	expect_range(s, data, 0, len);
	stream_close(s);
}

struct held { /* gets wait until it is opened */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	unsigned waiting;
};

static void hold_get(void *ctx, const struct store_get *req)
{
	struct held *h = ctx;

	pthread_mutex_lock(&h->lock);
	h->waiting++;
	pthread_cond_broadcast(&h->changed);
	while (h->closed)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

struct one_read {
	struct stream *s;
	struct cancel cancel;
	int result;
};

static void *read_one(void *arg)
{
	struct one_read *o = arg;
	struct stream_read rd;

	o->result = stream_read(o->s, 0, 100, true, &rd, &o->cancel, NULL);
	stream_release(o->s, &rd);
	return NULL;
}

Test(reader, a_cancelled_reader_goes_while_the_store_hangs)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, 3 * MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, 3 * MIB, false);
	struct held held = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .closed = true };
	struct one_read read = { .s = open_file(&g, DIR "nb-1-big-Data.db") };
	pthread_t thread;

	g.f->wire->ctx = &held;
	g.f->wire->before_get = hold_get;
	cr_assert_eq(pthread_create(&thread, NULL, read_one, &read), 0);
	pthread_mutex_lock(&held.lock);
	while (held.waiting == 0)
		pthread_cond_wait(&held.changed, &held.lock);
	pthread_mutex_unlock(&held.lock);
	cancel_set(&read.cancel, 1);
	reader_wake(g.r);
	pthread_join(thread, NULL);
	cr_expect_eq(read.result, -ECANCELED);
	pthread_mutex_lock(&held.lock);
	held.closed = false;
	pthread_cond_broadcast(&held.changed);
	pthread_mutex_unlock(&held.lock);
	expect_range(read.s, data, 0, 3 * MIB);
	stream_close(read.s);
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
		files[i] = (struct fixture_file){ .path = paths[i], .data = data + i * 1000, .len_bytes = len };
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
	cr_expect_leq(metric_get(loaded), STREAMS * len / 4 * 5, "hardly anything is fetched twice");
	for (size_t i = 0; i < STREAMS; i++)
		stream_close(s[i]);
	rig_deinit(&g);
}
