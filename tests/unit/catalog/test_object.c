/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include "tests/unit/catalog/sample.h"

#define FRAME ((size_t)FORMAT_FRAME_BYTES)

/* The bytes of an image in one buffer. */
static uint8_t *flatten(const struct object_image *image)
{
	uint8_t *all = malloc(image->total_bytes);
	size_t n = 0;

	cr_assert(all);
	for (int i = 0; i < image->iov_count; i++) {
		cr_assert(n + image->iov[i].iov_len <= image->total_bytes);
		memcpy(all + n, image->iov[i].iov_base, image->iov[i].iov_len);
		n += image->iov[i].iov_len;
	}
	cr_assert_eq(n, image->total_bytes);
	return all;
}

static struct object_builder *new_builder(enum object_compression compression)
{
	struct object_builder *b = object_builder_new(compression);

	cr_assert(b);
	return b;
}

static uint32_t add(struct object_builder *b, const void *data, size_t len, bool borrow)
{
	struct err e = ERR_INIT;
	uint32_t offset;

	cr_assert_eq(object_builder_add(b, data, len, borrow, NULL, &offset, &e), 0, "%s",
		     e.message);
	return offset;
}

static struct object_image finish(struct object_builder *b)
{
	struct object_image image;
	struct err e = ERR_INIT;

	cr_assert_eq(object_builder_finish(b, &image, &e), 0, "%s", e.message);
	return image;
}

static struct object_head *parse(const uint8_t *object, const struct id256 *id)
{
	ssize_t len = object_head_length(object);
	struct object_head *h = NULL;
	struct err e = ERR_INIT;

	cr_assert_gt(len, 0);
	cr_assert_eq(object_head_parse(object, (size_t)len, id, &h, &e), 0, "%s", e.message);
	return h;
}

/* Decodes every frame and compares with the plain bytes. */
static void expect_content(const uint8_t *object, const struct object_head *h, const uint8_t *plain,
			   enum object_verify how)
{
	_cleanup_(zcodec_freep) struct zcodec *z = zcodec_new();
	_cleanup_free_ uint8_t *dst = malloc(FRAME);
	struct err e = ERR_INIT;

	for (uint32_t i = 0; i < h->frame_count; i++) {
		const struct object_frame *f = &h->frames[i];

		cr_assert_eq(object_frame_decode(h, i, object + h->head_bytes + f->stored_offset,
						 dst, z, how, &e),
			     0, "%s", e.message);
		cr_assert_eq(memcmp(dst, plain + f->plain_offset, f->plain_bytes), 0);
	}
}

Test(object, pieces_come_back_as_they_were)
{
	static const struct {
		size_t len;
		bool text, borrow;
	} pieces[] = { { 1, false, false },	     { 131072, true, true },
		       { 131073, false, true },	     { 513, true, false },
		       { 131071, false, false },     { 3 * 131072, true, true },
		       { 20 * 131072, false, true }, { 700, false, true } };

	for (int compression = 0; compression < 2; compression++) {
		_cleanup_(object_builder_freep) struct object_builder *b = new_builder(compression);
		uint8_t *data[ARRAY_SIZE(pieces)];
		uint8_t *plain = calloc(1, FORMAT_OBJECT_BYTES);
		uint32_t end = 0;

		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
			data[i] = pieces[i].text ? sample_text(i, pieces[i].len)
						 : sample_bytes(i, pieces[i].len);
			cr_expect_eq(add(b, data[i], pieces[i].len, pieces[i].borrow), end);
			memcpy(plain + end, data[i], pieces[i].len);
			end += (uint32_t)pieces[i].len;
		}
		cr_expect_eq(object_builder_plain_bytes(b), end);

		struct object_image image = finish(b);
		_cleanup_free_ uint8_t *object = flatten(&image);
		_cleanup_(object_head_freep) struct object_head *h = parse(object, &image.id);

		cr_expect_eq(h->plain_bytes, end);
		cr_expect_eq((uint64_t)h->head_bytes + h->stored_bytes, image.total_bytes);
		cr_expect_eq(h->flags & OBJECT_RAW, compression ? 0 : OBJECT_RAW);
		cr_expect_eq(h->flags & OBJECT_UNIFORM, 0);
		cr_expect(memcmp(h, image.head,
				 sizeof(*h) + h->frame_count * sizeof(h->frames[0])) == 0);
		expect_content(object, h, plain, OBJECT_VERIFY_XXH3);
		expect_content(object, h, plain, OBJECT_VERIFY_SHA256);
		for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
			free(data[i]);
		free(plain);
	}
}

Test(object, a_piece_of_a_large_file_is_raw_uniform_and_not_copied)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ uint8_t *data = sample_bytes(1, FORMAT_OBJECT_BYTES);
	struct object_image image;

	add(b, data, FORMAT_OBJECT_BYTES, true);
	image = finish(b);
	cr_expect_eq(image.head->flags, OBJECT_RAW | OBJECT_UNIFORM);
	cr_expect_eq(image.iov_count, 2);
	cr_expect_eq(image.iov[1].iov_base, data);
	cr_expect_eq(image.iov[1].iov_len, FORMAT_OBJECT_BYTES);
	cr_expect_not(object_builder_fits(b, 1));
}

Test(object, what_lacks_a_whole_frame_before_its_end_is_not_uniform)
{
	static const struct {
		size_t a, b;
		unsigned flags;
	} cases[] = { { 131072, 1, OBJECT_RAW | OBJECT_UNIFORM },
		      { 1, 1, OBJECT_RAW },
		      { 262144, 100, OBJECT_RAW | OBJECT_UNIFORM },
		      { 131071, 131072, OBJECT_RAW } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(object_builder_freep) struct object_builder *b =
			new_builder(OBJECT_COMPRESS_NONE);
		_cleanup_free_ uint8_t *data = sample_bytes(i, 300000);

		add(b, data, cases[i].a, false);
		add(b, data, cases[i].b, false);
		cr_expect_eq(finish(b).head->flags, cases[i].flags, "case %zu", i);
	}
}

Test(object, the_same_pieces_give_the_same_bytes_borrowed_or_not_and_after_a_reset)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ uint8_t *text = sample_text(1, 3 * FRAME + 7),
			       *noise = sample_bytes(2, 2 * FRAME);
	struct id256 first = { { 0 } };

	for (int i = 0; i < 4; i++) {
		struct id256 id;

		object_builder_reset(b);
		add(b, noise, 2 * FRAME, i & 1);
		add(b, text, 3 * FRAME + 7, i & 2);
		id = finish(b).id;
		if (i == 0)
			first = id;
		cr_expect_eq(memcmp(first.b, id.b, sizeof(id.b)), 0, "round %d", i);
	}
}

Test(object, digests_that_are_given_are_taken)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_NONE);
	_cleanup_free_ uint8_t *data = sample_bytes(1, FRAME + 1);
	struct frame_digest digests[2];
	struct err e = ERR_INIT;
	uint32_t offset;

	object_digest_frames(data, FRAME + 1, digests);
	digests[1].sha256.b[0] ^= 1;
	cr_assert_eq(object_builder_add(b, data, FRAME + 1, true, digests, &offset, &e), 0);
	cr_expect_eq(memcmp(finish(b).head->frames[1].sha256.b, digests[1].sha256.b, SHA256_BYTES),
		     0);
}

Test(object, compression_is_kept_only_where_it_saves_a_quarter_and_512_bytes)
{
	static const struct {
		size_t text, noise; /* bytes of one frame */
		bool raw;
	} cases[] = { { 131072, 0, false },    { 0, 131072, true }, { 40000, 91072, true },
		      { 60000, 71072, false }, { 600, 0, true },    { 2000, 0, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(object_builder_freep) struct object_builder *b =
			new_builder(OBJECT_COMPRESS_ZSTD);
		_cleanup_free_ uint8_t *data = sample_text(i, cases[i].text + cases[i].noise);
		_cleanup_free_ uint8_t *noise = sample_bytes(i, cases[i].noise);

		memcpy(data + cases[i].text, noise, cases[i].noise);
		add(b, data, cases[i].text + cases[i].noise, false);
		cr_expect_eq(finish(b).head->flags & OBJECT_RAW, cases[i].raw ? OBJECT_RAW : 0,
			     "case %zu", i);
	}
}

Test(object, after_a_frame_that_did_not_pay_the_next_fifteen_are_not_tried)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ uint8_t *data = sample_text(1, 20 * FRAME), *noise = sample_bytes(1, FRAME);
	struct object_image image;

	memcpy(data, noise, FRAME);
	add(b, data, 20 * FRAME, true);
	image = finish(b);
	for (uint32_t i = 0; i < 20; i++)
		cr_expect_eq(image.head->frames[i].stored_bytes < FRAME, i >= 16, "frame %u", i);
	/* The next piece is judged afresh. */
	object_builder_reset(b);
	add(b, noise, FRAME, true);
	add(b, data + FRAME, FRAME, true);
	cr_expect_lt(finish(b).head->frames[1].stored_bytes, FRAME);
}

Test(object, a_pack_ends_at_2048_frames_and_stays_few_iovecs)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_ZSTD);
	uint8_t *pieces[2048];
	struct object_image image;
	struct err e = ERR_INIT;
	uint32_t offset;

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		cr_assert(object_builder_fits(b, 3000));
		pieces[i] = i % 2 ? sample_text(i, 3000) : sample_bytes(i, 3000);
		add(b, pieces[i], 3000, true);
	}
	cr_expect_not(object_builder_fits(b, 1));
	cr_expect_eq(object_builder_add(b, pieces[0], 1, true, NULL, &offset, &e), -EINVAL);
	image = finish(b);
	cr_expect_lt(image.iov_count, 512);

	_cleanup_free_ uint8_t *object = flatten(&image), *plain = malloc((size_t)2048 * 3000);
	_cleanup_(object_head_freep) struct object_head *h = parse(object, &image.id);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		memcpy(plain + i * 3000, pieces[i], 3000);
	expect_content(object, h, plain, OBJECT_VERIFY_SHA256);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		free(pieces[i]);
}

Test(object, an_empty_piece_and_an_empty_object_are_refused)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_NONE);
	struct object_image image;
	struct err e = ERR_INIT;
	uint32_t offset;

	cr_expect_eq(object_builder_add(b, "", 0, false, NULL, &offset, &e), -EINVAL);
	cr_expect_eq(object_builder_finish(b, &image, &e), -EINVAL);
}

Test(object, the_frame_of_an_offset_is_found)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_NONE);
	_cleanup_free_ uint8_t *data = sample_bytes(1, 4 * FRAME);
	const struct object_head *h;

	for (int uniform = 0; uniform < 2; uniform++) {
		object_builder_reset(b);
		if (!uniform) {
			add(b, data, 10, false);
			add(b, data, 1, false);
		}
		add(b, data, 3 * FRAME + 5, false);
		h = finish(b).head;
		for (uint32_t i = 0; i < h->frame_count; i++) {
			const struct object_frame *f = &h->frames[i];

			cr_expect_eq(object_frame_at(h, f->plain_offset), i);
			cr_expect_eq(object_frame_at(h, f->plain_offset + f->plain_bytes - 1), i);
		}
	}
}

/* ---- damage ---- */

/* A pack of three frames, the middle one compressed. */
static uint8_t *small_object(struct id256 *ret_id, uint32_t *ret_head_bytes, size_t *ret_len)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		new_builder(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ uint8_t *noise = sample_bytes(1, 2000), *text = sample_text(2, 3000);
	struct object_image image;

	add(b, noise, 1000, true);
	add(b, text, 3000, true);
	add(b, noise + 1000, 1000, true);
	image = finish(b);
	*ret_id = image.id;
	*ret_head_bytes = image.head->head_bytes;
	*ret_len = image.total_bytes;
	return flatten(&image);
}

static void expect_corrupt(const void *head, size_t len, const struct id256 *id, const char *why)
{
	struct object_head *h = NULL;
	struct err e = ERR_INIT;

	cr_expect_eq(object_head_parse(head, len, id, &h, &e), -EBADMSG, "%s", why);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_null(h);
}

Test(object, a_flipped_bit_anywhere_in_the_head_is_refused)
{
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);

	for (size_t i = 0; i < (size_t)head_bytes * 8; i++) {
		object[i / 8] ^= (uint8_t)(1 << i % 8);
		expect_corrupt(object, head_bytes, &id, "flipped bit");
		object[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(object, a_head_cut_short_or_too_long_is_refused)
{
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);

	for (size_t n = 0; n < head_bytes; n++)
		expect_corrupt(object, n, &id, "cut short");
	expect_corrupt(object, head_bytes + 1, &id, "too long");
}

/* The id that fits whatever head: what somebody could store who knows the rule. */
static struct id256 id_of(const void *head, size_t len)
{
	return digest_sha256_2("sstablefs/1 object", sizeof("sstablefs/1 object"), head, len);
}

Test(object, a_head_that_hashes_to_its_id_is_still_checked)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *why;
	} changes[] = {
		{ 0, 'X', "begin with" },
		{ 8, 2, "version" },
		{ 10, 1, "flags" },
		{ 10, 2, "flags" },
		{ 10, 4, "unknown flags" },
		{ 12, 0, "number of frames" },
		{ 12, 2, "length" },
		{ 16, 0, "add up" },
		{ 23, 1, "size" },
		{ 24, 0, "add up or flags" },
		{ 25, 0x20, "stored length" },
		{ 28, 0xe9, "add up" },
	};
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		uint8_t old = object[changes[i].at];

		cr_assert_neq(old, changes[i].value, "%s", changes[i].why);
		object[changes[i].at] = changes[i].value;
		if (changes[i].at == 24) /* and the stored length 1000 -> 0 */
			object[25] = 0;
		id = id_of(object, head_bytes);
		expect_corrupt(object, head_bytes, &id, changes[i].why);
		object[changes[i].at] = old;
		if (changes[i].at == 24)
			object[25] = 1000 >> 8;
	}
	id = id_of(object, head_bytes + 1);
	expect_corrupt(object, head_bytes + 1, &id, "too long");
	id = id_of(object, head_bytes);
	object_head_free(parse(object, &id));
}

Test(object, the_length_of_a_head_is_told_only_of_a_fixed_part_that_is_right)
{
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);

	cr_expect_eq(object_head_length(object), (ssize_t)head_bytes);
	object[13] = 0x10; /* 4,099 frames */
	cr_expect_eq(object_head_length(object), -EBADMSG);
	object[13] = 0;
	object[10] = 4; /* a flag that is not known */
	cr_expect_eq(object_head_length(object), -EBADMSG);
}

Test(object, a_flipped_bit_in_a_frame_is_refused_by_either_digest)
{
	_cleanup_(zcodec_freep) struct zcodec *z = zcodec_new();
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);
	_cleanup_(object_head_freep) struct object_head *h = parse(object, &id);
	_cleanup_free_ uint8_t *dst = malloc(FRAME);

	cr_assert_eq(h->frame_count, 3);
	cr_assert_lt(h->frames[1].stored_bytes, h->frames[1].plain_bytes);
	for (uint32_t i = 0; i < h->frame_count; i++) {
		uint8_t *stored = object + head_bytes + h->frames[i].stored_offset;

		for (size_t k = 0; k < h->frames[i].stored_bytes; k += 5) {
			struct err e = ERR_INIT;
			int r;

			stored[k] ^= 0x10;
			r = object_frame_decode(h, i, stored, dst, z, (int)(k % 2), &e);
			/* Not every bit of a zstd frame counts: the bytes are right then. */
			if (r != 0 || h->frames[i].stored_bytes == h->frames[i].plain_bytes) {
				cr_expect_eq(r, -EBADMSG);
				cr_expect_eq(e.kind, ERR_CORRUPT);
				cr_expect(strstr(e.message, "frame"), "%s", e.message);
			}
			stored[k] ^= 0x10;
		}
	}
}

Test(object, a_raw_frame_is_decoded_in_place)
{
	struct id256 id;
	uint32_t head_bytes;
	size_t len;
	_cleanup_free_ uint8_t *object = small_object(&id, &head_bytes, &len);
	_cleanup_(object_head_freep) struct object_head *h = parse(object, &id);
	struct err e = ERR_INIT;

	cr_expect_eq(object_frame_decode(h, 0, object + head_bytes, object + head_bytes, NULL,
					 OBJECT_VERIFY_XXH3, &e),
		     0);
	cr_expect_eq(object_frame_check(h, 0, object + head_bytes, OBJECT_VERIFY_SHA256, &e), 0);
	object[head_bytes + 999] ^= 1;
	cr_expect_eq(object_frame_check(h, 0, object + head_bytes, OBJECT_VERIFY_XXH3, &e),
		     -EBADMSG);
	cr_expect_eq(object_frame_check(h, 0, object + head_bytes, OBJECT_VERIFY_SHA256, &e),
		     -EBADMSG);
}

/* ---- content ids ---- */

static void expect_hex(const struct id256 *id, const char *hex)
{
	char text[SHA256_HEX];

	util_hex(text, id->b, sizeof(id->b));
	cr_expect_str_eq(text, hex);
}

/* Computed with Python: see the ten lines in docs/format.md. */
Test(content, ids_are_what_another_program_computes)
{
	_cleanup_free_ uint8_t *data = calloc(1, 3 * FRAME);
	struct id256 id = content_id("", 0);

	expect_hex(&id, "bd71f3cb0745f0a8f2fb2a6d0be2ae9dcd3aeda97e898a870d03460812f1f696");
	id = content_id("hello\n", 6);
	expect_hex(&id, "33325a5809f74a85642857b2df587fcfe81464db5fb05d2c0d764bb06d2094e8");
	id = content_id(data, FRAME);
	expect_hex(&id, "c3d9ca579dc47bf384ec02a21d17e30ac35481c5686afcb33a79a79433d7c8f9");
	id = content_id(data, FRAME + 1);
	expect_hex(&id, "bdd635b2f654a4077b5596404d6fa7ce177d6a4eacc0c8d16705d7d380aec87c");
}

Test(content, the_hasher_gives_the_id_of_the_whole)
{
	_cleanup_free_ uint8_t *data = sample_bytes(1, 2 * FRAME + 9);
	_cleanup_(content_hasher_freep) struct content_hasher *h =
		content_hasher_new(2 * FRAME + 9);
	struct frame_digest digests[3];
	struct id256 a, b = content_id(data, 2 * FRAME + 9);

	object_digest_frames(data, 2 * FRAME + 9, digests);
	for (size_t i = 0; i < 3; i++)
		content_hasher_frame(h, &digests[i].sha256);
	a = content_hasher_final(h);
	cr_expect_eq(memcmp(a.b, b.b, sizeof(a.b)), 0);
}
