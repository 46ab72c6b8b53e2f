/* SPDX-License-Identifier: Apache-2.0 */
/* The disk cache of a reader, and what goes wrong with it and with the store. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include "tests/unit/catalog/reader_help.h"

/* ---- the disk ---- */

static void damage_file(const char *path, off_t at)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 0x20;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
}

Test(reader_faults, what_was_read_comes_from_disk_after_a_restart_and_is_checked)
{
	const size_t len = 11 * MIB + 99;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	struct metric *unfit = metrics_counter(g.f->metrics, "cache_disk_unfit_blocks", NULL);
	uint64_t before;

	ask_for_file(&g, DIR "nb-1-big-Data.db", data, len);
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

Test(reader_faults, a_pack_comes_from_disk_as_a_whole_or_not_at_all)
{
	struct fixture_file files[SMALL];
	char paths[SMALL][40];
	_cleanup_rig_ struct rig g = rig_with_small(files, paths, true);
	struct metric *loaded = metrics_counter(g.f->metrics, "cache_loaded_bytes", NULL);
	uint64_t once;

	ask_for_file(&g, paths[0], files[0].data, files[0].len_bytes);
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

Test(reader_faults, without_its_head_nothing_from_disk_is_believed)
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

	for (int wrong = 0; wrong < 2; wrong++) {
		ask_for_file(&g, DIR "nb-1-big-Data.db", data, len);
		close_reader(&g);
		open_reader(&g, MEMORY);
		cr_assert_eq(kv_get(g.kv, KV_HEADS, id->b, SHA256_BYTES, &head, &head_bytes, NULL),
			     0);
		if (wrong) {
			((uint8_t *)head)[FORMAT_HEAD_FIXED_BYTES + 50] ^= 1;
			cr_assert_eq(kv_put(g.kv, KV_HEADS, id->b, SHA256_BYTES, head, head_bytes,
					    NULL),
				     0);
		} else {
			cr_assert_eq(kv_delete(g.kv, KV_HEADS, id->b, SHA256_BYTES, NULL), 0);
		}
		free(steal_pointer(&head));
		metric_set(loaded, 0);
		expect_file(&g, DIR "nb-1-big-Data.db", data, len, STEP);
		cr_expect_eq(metric_get(loaded), len);
		close_reader(&g);
		open_reader(&g, MEMORY);
	}
}

/* ---- what goes wrong ---- */

Test(reader_faults, a_damaged_object_is_an_error_and_never_data)
{
	const size_t len = 9 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = fixture_find(g.f, g.record, DIR "nb-1-big-Data.db", &run);
	char key[KEY_BYTES];

	keys_object(key, &g.node, KEY_OBJECT_DATA, &entry->extents[0].object.writer,
		    &entry->extents[0].object.id);
	for (int in_head = 0; in_head < 2; in_head++) {
		long at = in_head ? 30
				  : (long)(entry->extents[0].object.head_bytes + 20 * STEP + 5);
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

Test(reader_faults, a_store_that_fails_is_an_error_and_is_asked_again)
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

/* As the kernel does: where its read-ahead fails, it reads again what a program wants, a page at a time. */
Test(reader_faults, what_failed_ahead_of_a_reader_is_asked_for_again_in_one_piece)
{
	const size_t len = 8 * MIB;
	_cleanup_free_ uint8_t *data = fixture_random(1, len);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, len, false);
	struct stream *s = open_file(&g, DIR "nb-1-big-Data.db");
	struct err e = ERR_INIT;
	unsigned before;

	g.f->wire->fail = -ECONNREFUSED;
	for (int i = 0; i < 4; i++)
		cr_expect_lt(read_and_compare(s, data, 0, MIB, &e), 0);
	g.f->wire->fail = 0;
	before = gets(&g);
	for (size_t at = 0; at < 2 * MIB; at += 4096)
		expect_range(s, data, at, 4096);
	cr_expect_leq(gets(&g) - before, 4, "%u: the head, and two or three parts",
		      gets(&g) - before);
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

Test(reader_faults, a_cancelled_reader_goes_while_the_store_hangs)
{
	_cleanup_free_ uint8_t *data = fixture_random(1, 3 * MIB);
	_cleanup_rig_ struct rig g = rig_with(DIR "nb-1-big-Data.db", data, 3 * MIB, false);
	struct held held = { .lock = PTHREAD_MUTEX_INITIALIZER,
			     .changed = PTHREAD_COND_INITIALIZER,
			     .closed = true };
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
