/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "catalog/source.h"
#include "tests/unit/catalog/fixture.h"

#define FRAME ((uint32_t)FORMAT_FRAME_BYTES)

/* One backup of one file, whose first extent the tests read. */
struct sample {
	struct fixture *f;
	struct record *record;
	struct run *run;
	const struct entry *entry;
	const struct object_ref *ref;
	uint8_t *data, *buffer, *content; /* content: buffer + SOURCE_HEADROOM */
	char key[KEY_BYTES];
};

enum bytes { RANDOM, TEXT };

static struct sample sample_new(enum bytes bytes, size_t len, enum object_compression compression,
				enum object_verify how)
{
	struct sample s = { .f = fixture_new(how) };
	struct fixture_file files[2];

	s.data = bytes == RANDOM ? fixture_random(1, len) : fixture_text(1, len);
	files[0] = (struct fixture_file){ .path = "data/ks/t-1/nb-1-big-Data.db",
					  .data = s.data,
					  .len_bytes = len };
	/* Not a multiple of frames: what is packed with a small file is not uniform. */
	files[1] = (struct fixture_file){ .path = "data/ks/t-1/nb-1-big-Index.db",
					  .data = s.data + 1,
					  .len_bytes = 5000 };
	s.record = fixture_backup(s.f, "b1", files, 2, compression);
	s.entry = fixture_find(s.f, s.record, "data/ks/t-1/nb-1-big-Data.db", &s.run);
	cr_assert(s.entry);
	s.ref = &s.entry->extents[0].object;
	keys_object(s.key, &s.record->where, KEY_OBJECT_DATA, &s.ref->writer, &s.ref->id);
	s.buffer = malloc(SOURCE_HEADROOM + FORMAT_OBJECT_BYTES);
	cr_assert(s.buffer);
	s.content = s.buffer + SOURCE_HEADROOM;
	s.f->wire->gets = 0;
	return s;
}

static void sample_deinit(struct sample *s)
{
	run_free(s->run);
	record_free(s->record);
	fixture_free(s->f);
	free(s->data);
	free(s->buffer);
}
#define _cleanup_sample_ _cleanup_(sample_deinit)

static int fetch(struct sample *s, struct err *e)
{
	return source_fetch(s->f->source, &s->record->where, KEY_OBJECT_DATA, s->ref, s->content,
			    NULL, NULL, NULL, e);
}

static int fetch_range(struct sample *s, uint32_t offset, uint32_t len, uint32_t *ret_start,
		       uint32_t *ret_end, struct err *e)
{
	return source_fetch_range(s->f->source, &s->record->where, KEY_OBJECT_DATA, s->ref, offset,
				  len, s->content, NULL, ret_start, ret_end, NULL, e);
}

static uint64_t counter(struct sample *s, const char *name)
{
	return metric_get(metrics_counter(s->f->metrics, name, NULL));
}

static const struct {
	const char *what;
	enum bytes bytes;
	size_t len;
	enum object_compression compression;
	unsigned flags;
} kinds[] = {
	{ "raw and uniform", RANDOM, 2 * MIB + 77, OBJECT_COMPRESS_NONE,
	  OBJECT_RAW | OBJECT_UNIFORM },
	{ "uniform, compressed", TEXT, 2 * MIB + 77, OBJECT_COMPRESS_ZSTD, OBJECT_UNIFORM },
	{ "a raw pack", RANDOM, 300 * KIB + 5, OBJECT_COMPRESS_NONE, OBJECT_RAW },
	{ "a compressed pack", TEXT, 300 * KIB + 5, OBJECT_COMPRESS_ZSTD, 0 },
	{ "the largest object", RANDOM, FORMAT_OBJECT_BYTES, OBJECT_COMPRESS_ZSTD,
	  OBJECT_RAW | OBJECT_UNIFORM },
};

Test(source, a_whole_object_arrives_in_one_request_whatever_its_kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (int how = OBJECT_VERIFY_XXH3; how <= OBJECT_VERIFY_SHA256; how++) {
			_cleanup_sample_ struct sample s = sample_new(kinds[i].bytes, kinds[i].len,
								      kinds[i].compression,
								      (enum object_verify)how);
			struct err e = ERR_INIT;

			cr_expect_eq(s.ref->flags, kinds[i].flags, "%s", kinds[i].what);
			cr_assert_eq(fetch(&s, &e), 0, "%s: %s", kinds[i].what, e.message);
			cr_expect_arr_eq(s.content + s.entry->extents[0].offset, s.data,
					 s.entry->extents[0].len_bytes, "%s", kinds[i].what);
			cr_expect_eq(s.f->wire->gets, 1);
		}
}

Test(source, a_range_brings_the_frames_that_cover_it)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_sample_ struct sample s = sample_new(
			kinds[i].bytes, kinds[i].len, kinds[i].compression, OBJECT_VERIFY_XXH3);
		const struct extent *x = &s.entry->extents[0];
		const uint32_t ranges[][2] = { { 0, 1 },
					       { FRAME - 1, 2 },
					       { FRAME, FRAME },
					       { 2 * FRAME + 9, x->len_bytes - 2 * FRAME - 9 },
					       { x->len_bytes - 1, 1 },
					       { 0, x->len_bytes } };

		for (size_t k = 0; k < ARRAY_SIZE(ranges); k++) {
			uint32_t start, end, from = x->offset + ranges[k][0];
			struct err e = ERR_INIT;

			memset(s.content, 0xee, x->object.plain_bytes);
			cr_assert_eq(fetch_range(&s, from, ranges[k][1], &start, &end, &e), 0,
				     "%s, range %zu: %s", kinds[i].what, k, e.message);
			cr_assert(start <= from && end >= from + ranges[k][1]);
			cr_expect((start - x->offset) % FRAME == 0, "%s", kinds[i].what);
			cr_expect_arr_eq(s.content + from, s.data + ranges[k][0], ranges[k][1],
					 "%s, range %zu", kinds[i].what, k);
			if (start > 0)
				cr_expect_eq(s.content[start - 1], 0xee);
			if (end < x->object.plain_bytes)
				cr_expect_eq(s.content[end], 0xee);
		}
		/* One request each, and one for the head, which is kept. */
		cr_expect_eq(s.f->wire->gets, ARRAY_SIZE(ranges) + 1, "%s", kinds[i].what);
	}
}

Test(source, a_head_is_asked_for_once_and_comes_as_a_copy)
{
	_cleanup_sample_ struct sample s =
		sample_new(TEXT, 300 * KIB, OBJECT_COMPRESS_ZSTD, OBJECT_VERIFY_XXH3);

	for (int i = 0; i < 3; i++) {
		_cleanup_(object_head_freep) struct object_head *h = NULL;

		cr_assert_eq(source_head(s.f->source, &s.record->where, KEY_OBJECT_DATA, s.ref, &h,
					 NULL, NULL),
			     0);
		cr_expect_eq(h->plain_bytes, s.ref->plain_bytes);
		cr_expect_arr_eq(&h->id, &s.ref->id, sizeof(h->id));
	}
	cr_expect_eq(s.f->wire->gets, 1);
}

/* Offsets of bytes to flip: negative ones count from the end. */
static const struct {
	const char *what;
	long offset;
} flips[] = {
	{ "the magic", 0 },	    { "the frame count", 12 },	 { "the plain length", 16 },
	{ "a frame's length", 24 }, { "a frame's SHA-256", 33 }, { "a frame's XXH3", 70 },
	{ "the first frame", -1 }, /* set by the test: behind the head */
	{ "the last frame", -1 },
};

Test(source, a_flipped_byte_of_any_class_is_refused_and_named)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_sample_ struct sample s = sample_new(
			kinds[i].bytes, kinds[i].len, kinds[i].compression, OBJECT_VERIFY_XXH3);

		for (size_t k = 0; k < ARRAY_SIZE(flips); k++) {
			long at = k == 6 ? (long)s.ref->head_bytes + 3 : flips[k].offset;
			struct err e = ERR_INIT, range_e = ERR_INIT;
			uint32_t start, end;

			fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
			fixture_flip(s.f, s.key, at);
			cr_expect_eq(fetch(&s, &e), -EBADMSG, "%s: %s", kinds[i].what,
				     flips[k].what);
			cr_expect_eq(e.kind, ERR_CORRUPT);
			cr_expect_str_eq(e.key, s.key);
			cr_expect_eq(counter(&s, "source_reread"), 1);
			cr_expect_eq(counter(&s, "source_damaged"), 1);
			cr_expect_eq(fetch_range(&s, 0, s.ref->plain_bytes, &start, &end, &range_e),
				     -EBADMSG, "%s: %s by range", kinds[i].what, flips[k].what);
			cr_expect_str_eq(range_e.key, s.key);
			fixture_flip(s.f, s.key, at);
			cr_expect_eq(fetch(&s, NULL), 0);
		}
	}
}

Test(source, damage_of_one_frame_leaves_the_others_readable)
{
	_cleanup_sample_ struct sample s =
		sample_new(RANDOM, 5 * MIB, OBJECT_COMPRESS_NONE, OBJECT_VERIFY_XXH3);
	uint32_t start, end;

	fixture_flip(s.f, s.key, (long)(s.ref->head_bytes + 3 * FRAME + 1));
	cr_expect_eq(fetch_range(&s, 3 * FRAME, 1, &start, &end, NULL), -EBADMSG);
	cr_expect_eq(fetch_range(&s, 2 * FRAME, FRAME, &start, &end, NULL), 0);
	cr_expect_eq(fetch_range(&s, 4 * FRAME, FRAME, &start, &end, NULL), 0);
}

Test(source, an_object_of_another_length_is_damaged)
{
	static const long cuts[] = { 1, 100, 200000, 400000 };

	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
			_cleanup_sample_ struct sample s = sample_new(
				RANDOM, 305 * KIB + 5, OBJECT_COMPRESS_NONE, OBJECT_VERIFY_XXH3);
			size_t size = s.ref->head_bytes + s.ref->plain_bytes;
			struct err e = ERR_INIT;

			fixture_truncate(s.f, s.key,
					 size > (size_t)cuts[k] ? size - (size_t)cuts[k] : 0);
			cr_expect_eq(fetch(&s, &e), -EBADMSG);
			cr_expect_eq(e.kind, ERR_CORRUPT);
			cr_expect_str_eq(e.key, s.key);
		}
}

Test(source, a_longer_object_is_damaged)
{
	for (size_t i = 0; i < 4; i++) {
		_cleanup_sample_ struct sample s = sample_new(
			kinds[i].bytes, kinds[i].len, kinds[i].compression, OBJECT_VERIFY_XXH3);
		_cleanup_free_ char *stored = NULL;
		size_t len;

		/* One byte more: the NUL that store_get_alloc puts behind. */
		cr_assert_eq(store_get_alloc(s.f->store, s.key, 1 << 23, &stored, &len, NULL, NULL,
					     NULL),
			     0);
		cr_assert_eq(store_put_bytes(s.f->store, s.key, stored, len + 1, STORE_ALWAYS, NULL,
					     NULL, NULL, NULL),
			     0);
		cr_expect_eq(fetch(&s, NULL), -EBADMSG, "%s", kinds[i].what);
	}
}

Test(source, a_missing_object_a_damaged_one_and_a_failing_store_are_told_apart)
{
	_cleanup_sample_ struct sample s =
		sample_new(RANDOM, 2 * MIB, OBJECT_COMPRESS_NONE, OBJECT_VERIFY_XXH3);
	struct err e = ERR_INIT;
	uint32_t start, end;

	s.f->wire->fail = -EIO;
	cr_expect_eq(fetch(&s, &e), -EIO);
	cr_expect_eq(e.kind, ERR_STORE);
	cr_expect_eq(fetch_range(&s, 0, 1, &start, &end, &e), -EIO);
	cr_expect_eq(e.kind, ERR_STORE);
	s.f->wire->fail = 0;
	cr_expect_eq(counter(&s, "source_reread"), 0, "a failing store is not asked again here");
	fixture_delete(s.f, s.key);
	e = ERR_INIT;
	cr_expect_eq(fetch(&s, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect_str_eq(e.key, s.key);
	e = ERR_INIT;
	cr_expect_eq(fetch_range(&s, 0, 1, &start, &end, &e), -ENOENT);
	cr_expect_str_eq(e.key, s.key);
	cr_expect_eq(counter(&s, "source_missing"), 2);
	cr_expect_eq(counter(&s, "source_damaged"), 0);
}

Test(source, a_bit_that_was_flipped_on_the_way_is_asked_for_again)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned at_head = 0; at_head < 2; at_head++) {
			_cleanup_sample_ struct sample s = sample_new(kinds[i].bytes, kinds[i].len,
								      kinds[i].compression,
								      OBJECT_VERIFY_XXH3);
			uint32_t start, end;

			s.f->wire->flip_head = at_head;
			s.f->wire->flips = 1;
			cr_expect_eq(fetch(&s, NULL), 0, "%s", kinds[i].what);
			cr_expect_arr_eq(s.content + s.entry->extents[0].offset, s.data,
					 s.entry->extents[0].len_bytes);
			s.f->wire->flips = 1;
			cr_expect_eq(fetch_range(&s, s.entry->extents[0].offset, FRAME, &start,
						 &end, NULL),
				     0, "%s", kinds[i].what);
			cr_expect_arr_eq(s.content + s.entry->extents[0].offset, s.data, FRAME);
			cr_expect_eq(counter(&s, "source_reread"), 2);
			cr_expect_eq(counter(&s, "source_damaged"), 0);
			s.f->wire->flips = 2;
			cr_expect_eq(fetch(&s, NULL), -EBADMSG, "twice is damage");
		}
}

Test(source, a_reference_that_is_not_what_the_head_says_is_refused)
{
	_cleanup_sample_ struct sample s =
		sample_new(RANDOM, 5 * MIB, OBJECT_COMPRESS_NONE, OBJECT_VERIFY_XXH3);
	struct object_ref wrong[5];
	uint32_t start, end;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		wrong[i] = *s.ref;
	wrong[0].plain_bytes--;
	wrong[1].head_bytes -= FORMAT_HEAD_FRAME_BYTES;
	wrong[2].flags = 0;
	wrong[3].plain_bytes = (uint32_t)FORMAT_OBJECT_BYTES + 1; /* must not be written to */
	wrong[4].head_bytes = FORMAT_HEAD_MAX_BYTES + 1;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		s.ref = &wrong[i];
		cr_expect_eq(fetch(&s, NULL), -EBADMSG, "reference %zu", i);
		cr_expect_eq(fetch_range(&s, 0, 1, &start, &end, NULL), -EBADMSG, "reference %zu",
			     i);
	}
	s.ref = &s.entry->extents[0].object;
	cr_expect_eq(fetch_range(&s, 5 * MIB - 1, 2, &start, &end, NULL), -EBADMSG);
	cr_expect_eq(fetch_range(&s, 0, 0, &start, &end, NULL), -EBADMSG);
	cr_expect_eq(fetch_range(&s, UINT32_MAX, 2, &start, &end, NULL), -EBADMSG);
}

Test(source, a_place_is_checked_against_its_digest_too)
{
	_cleanup_sample_ struct sample s =
		sample_new(RANDOM, 5000, OBJECT_COMPRESS_ZSTD, OBJECT_VERIFY_XXH3);
	struct place place = s.record->root;
	_cleanup_(tree_freep) struct tree *t = NULL;
	_cleanup_free_ void *data = NULL;
	struct err e = ERR_INIT;
	size_t len;

	cr_assert_eq(source_fetch_place(s.f->source, &s.record->where, &place, &data, &len, NULL,
					NULL),
		     0);
	cr_expect_eq(len, place.extent.len_bytes);
	cr_expect_eq(tree_parse(data, len, &t, NULL), 0);
	place.digest.b[7] ^= 1;
	cr_expect_eq(source_fetch_place(s.f->source, &s.record->where, &place, &data, &len, NULL,
					&e),
		     -EBADMSG);
	cr_expect(strstr(e.key, "/trees/"));
}

Test(source, a_cancelled_fetch_ends_as_cancelled)
{
	_cleanup_sample_ struct sample s =
		sample_new(RANDOM, 2 * MIB, OBJECT_COMPRESS_NONE, OBJECT_VERIFY_XXH3);
	struct cancel c = { .reason = 1 };
	uint32_t start, end;

	cr_expect_eq(source_fetch(s.f->source, &s.record->where, KEY_OBJECT_DATA, s.ref, s.content,
				  NULL, NULL, &c, NULL),
		     -ECANCELED);
	cr_expect_eq(source_fetch_range(s.f->source, &s.record->where, KEY_OBJECT_DATA, s.ref, 0, 1,
					s.content, NULL, &start, &end, &c, NULL),
		     -ECANCELED);
	cr_expect_eq(fetch_range(&s, 0, 1, &start, &end, NULL), 0, "and nothing of it stays");
}
