/* SPDX-License-Identifier: Apache-2.0 */
/* Content that is told of while the rest of it still arrives. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "catalog/source.h"
#include "tests/unit/catalog/fixture.h"

#define FRAME ((uint32_t)FORMAT_FRAME_BYTES)
#define LEN (5 * MIB)
#define BAD_FRAME 20
#define MARK_AT 7 /* a byte of the first frame that the test writes over once it was told of */

/* One file of one object; its store may damage a frame of the first answer. */
struct scene {
	struct fixture *f;
	struct record *record;
	struct run *run;
	const struct object_ref *ref;
	uint8_t *data, *buffer, *content;
	char key[KEY_BYTES];
	struct source_listener listener;
	/* what the listener saw */
	unsigned calls;
	uint32_t begin, end;
	bool wrong, marked;
	/* what the store saw */
	unsigned damage; /* so many answers from now on; but not of heads */
	uint64_t offsets[8];
	unsigned gets;
};

static void note_arrival(void *ctx, uint32_t end)
{
	struct scene *s = ctx;
	uint32_t from = MAX_OF(s->begin, s->end);

	s->wrong |= end <= s->end || memcmp(s->content + from, s->data + from, end - from) != 0;
	s->end = end;
	s->calls++;
	if (!s->marked)
		s->content[s->begin + MARK_AT] ^= 0xff;
	s->marked = true;
}

static void before_get(void *ctx, const struct store_get *req);

static void flip(struct scene *s)
{
	s->f->wire->before_get = NULL;
	fixture_flip(s->f, s->key, (long)(s->ref->head_bytes + BAD_FRAME * FRAME + 3));
	s->f->wire->before_get = before_get;
}

/* The frame is damaged during the gets that are to see it so. */
static void before_get(void *ctx, const struct store_get *req)
{
	static bool damaged; /* each test has a process of its own */
	struct scene *s = ctx;
	bool is_head = !req->whole && req->offset == 0;
	bool damage = !is_head && s->damage > 0;

	if (s->gets < ARRAY_SIZE(s->offsets) && !is_head)
		s->offsets[s->gets++] = req->offset;
	s->damage -= damage;
	if (is_head || damage == damaged)
		return;
	flip(s);
	damaged = damage;
}

static void scene_init(struct scene *s)
{
	struct fixture_file file = { .path = "data/ks/t-1/nb-1-big-Data.db", .len_bytes = LEN };
	const struct entry *entry;

	*s = (struct scene){ .f = fixture_new(OBJECT_VERIFY_XXH3) };
	file.data = s->data = fixture_random(1, LEN);
	s->record = fixture_backup(s->f, "b1", &file, 1, OBJECT_COMPRESS_NONE);
	entry = fixture_find(s->f, s->record, file.path, &s->run);
	s->ref = &entry->extents[0].object;
	keys_object(s->key, &s->record->where, KEY_OBJECT_DATA, &s->ref->writer, &s->ref->id);
	s->buffer = malloc(SOURCE_HEADROOM + FORMAT_OBJECT_BYTES);
	cr_assert(s->buffer);
	s->content = s->buffer + SOURCE_HEADROOM;
	s->listener = (struct source_listener){ note_arrival, s };
	s->f->wire->before_get = before_get;
	s->f->wire->ctx = s;
}

static void scene_deinit(struct scene *s)
{
	run_free(s->run);
	record_free(s->record);
	fixture_free(s->f);
	free(s->data);
	free(s->buffer);
}
#define _cleanup_scene_ _cleanup_(scene_deinit)

static int fetch(struct scene *s)
{
	return source_fetch(s->f->source, &s->record->where, KEY_OBJECT_DATA, s->ref, s->content,
			    &s->listener, NULL, NULL, NULL);
}

static int fetch_range(struct scene *s, uint32_t offset, uint32_t len)
{
	uint32_t start, end;

	s->begin = offset;
	return source_fetch_range(s->f->source, &s->record->where, KEY_OBJECT_DATA, s->ref, offset,
				  len, s->content, &s->listener, &start, &end, NULL, NULL);
}

/* All is right but the byte that was written over after it was told of: nobody wrote it again. */
static void expect_untouched(struct scene *s, uint32_t end)
{
	cr_expect(!s->wrong);
	cr_expect_eq(s->end, end);
	cr_expect_eq(s->content[s->begin + MARK_AT], s->data[s->begin + MARK_AT] ^ 0xff);
	s->content[s->begin + MARK_AT] ^= 0xff;
	cr_expect_arr_eq(s->content + s->begin, s->data + s->begin, end - s->begin);
}

Test(source_arrivals, content_is_told_of_piece_by_piece_when_it_is_right)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s);
	cr_assert_eq(fetch(&s), 0);
	cr_expect_gt(s.calls, 2);
	expect_untouched(&s, LEN);
}

Test(source_arrivals, a_range_is_told_of_too_whether_its_head_is_known_or_not)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s);
	for (int known = 0; known < 2; known++) {
		s.calls = s.end = 0;
		s.marked = false;
		memset(s.content, 0, LEN);
		cr_assert_eq(fetch_range(&s, 2 * FRAME, LEN - 4 * FRAME), 0);
		cr_expect_geq(s.calls, known ? 3u : 1u, "the head may come late");
		expect_untouched(&s, LEN - 2 * FRAME);
	}
}

Test(source_arrivals, what_was_told_of_is_not_fetched_again_with_what_was_damaged_on_the_way)
{
	_cleanup_scene_ struct scene s;
	uint64_t from;

	scene_init(&s);
	s.damage = 1;
	cr_assert_eq(fetch(&s), 0);
	expect_untouched(&s, LEN);
	cr_assert_eq(s.gets, 2);
	from = s.offsets[1] - s.ref->head_bytes;
	cr_expect(from > 0 && from <= BAD_FRAME * FRAME && from % FRAME == 0, "from %u",
		  (unsigned)from);
}

Test(source_arrivals, so_it_is_with_ranges)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s);
	for (int known = 0; known < 2; known++) {
		s.calls = s.end = s.gets = 0;
		s.marked = false;
		memset(s.content, 0, LEN);
		s.damage = 1;
		cr_assert_eq(fetch_range(&s, FRAME, LEN - FRAME), 0);
		expect_untouched(&s, LEN);
		cr_assert_eq(s.gets, 2);
		cr_expect(s.offsets[1] <= s.ref->head_bytes + BAD_FRAME * FRAME);
		cr_expect(!known || s.offsets[1] > s.ref->head_bytes + FRAME);
	}
}

Test(source_arrivals, damage_that_stays_is_an_error_behind_what_was_right)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s);
	s.damage = 2;
	cr_expect_eq(fetch(&s), -EBADMSG);
	cr_expect(!s.wrong);
	cr_expect(s.end > 0 && s.end <= BAD_FRAME * FRAME);
	cr_expect_eq(s.gets, 2);
}

Test(source_arrivals, with_sha256_too)
{
	_cleanup_scene_ struct scene s;

	scene_init(&s);
	fixture_restart(s.f, OBJECT_VERIFY_SHA256, NULL);
	cr_assert_eq(fetch(&s), 0);
	cr_expect_gt(s.calls, 2);
	expect_untouched(&s, LEN);
}
