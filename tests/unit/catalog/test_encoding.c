/* SPDX-License-Identifier: Apache-2.0 */
/* Runs and trees written by hand, byte for byte: the example of docs/format.md, and second encodings, which there must not be. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include "tests/unit/catalog/parsed.h"

/* ---- second encodings, written by hand: variant 0 is the one that is right ---- */

static void hand_writer(struct wbuf *b, uint64_t writer, unsigned objects)
{
	struct ulid u = { { (uint8_t)writer } };

	wbuf_put(b, u.b, ULID_BYTES);
	wbuf_varint(b, objects);
}

/* An object of 1,000 bytes; frames 0: uniform. */
static void hand_object(struct wbuf *b, uint8_t id, unsigned frames)
{
	struct id256 digest = { { id } };

	wbuf_put(b, digest.b, SHA256_BYTES);
	wbuf_varint(b, (FORMAT_OBJECT_BYTES - 1000) << 2 | (frames ? 0 : OBJECT_UNIFORM));
	if (frames)
		wbuf_varint(b, frames);
}

static void hand_name(struct wbuf *b, unsigned begin, bool bit, unsigned end, const char *middle)
{
	wbuf_varint(b, begin << 1 | bit);
	wbuf_varint(b, end);
	wbuf_string(b, middle, strlen(middle));
}

static void hand_attributes(struct wbuf *b, bool data_dir)
{
	wbuf_varint(b, 0644);
	wbuf_varint(b, 0);
	wbuf_varint(b, 0);
	if (data_dir)
		wbuf_varint(b, 1);
}

enum {
	RUN_RIGHT,
	RUN_WHOLE,
	RUN_SAME,
	RUN_BEGIN,
	RUN_END,
	RUN_WRITER,
	RUN_FRAMES,
	RUN_UNUSED,
	RUN_VARIANTS
};

/* Two files "ab.db" and "ac.db" with the same attributes, of 1,000 bytes each, in two objects. */
static void hand_run(struct wbuf *b, int variant)
{
	struct id256 content = { { 9 } };

	wbuf_put(b, "R\1", 2);
	wbuf_varint(b, variant == RUN_WRITER ? 2 : 1);
	hand_writer(b, 1, variant == RUN_WRITER ? 1 : variant == RUN_UNUSED ? 3 : 2);
	hand_object(b, 1, variant == RUN_FRAMES ? 1 : 0);
	if (variant == RUN_WRITER)
		hand_writer(b, 1, 1);
	hand_object(b, 2, 2);
	if (variant == RUN_UNUSED)
		hand_object(b, 3, 2);
	wbuf_varint(b, 2);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			hand_name(b, 0, false, 0, "ab.db");
		else if (variant == RUN_BEGIN)
			hand_name(b, 0, true, 3, "ac");
		else if (variant == RUN_END)
			hand_name(b, 1, true, 2, "c.");
		else
			hand_name(b, 1, variant != RUN_SAME, 3, "c");
		if (i == 0 || variant == RUN_SAME)
			hand_attributes(b, true);
		wbuf_varint(b, 0); /* mtime */
		wbuf_varint(b, 1000);
		wbuf_put(b, content.b, SHA256_BYTES);
		wbuf_varint(b, i << 1 | (variant != RUN_WHOLE));
		if (variant == RUN_WHOLE) {
			wbuf_varint(b, 0);
			wbuf_varint(b, 1000);
		}
	}
}

Test(run, a_second_encoding_of_the_same_is_refused)
{
	for (int variant = 0; variant < RUN_VARIANTS; variant++) {
		_cleanup_wbuf_ struct wbuf b;
		char why[20];

		wbuf_init(&b, 1000);
		hand_run(&b, variant);
		snprintf(why, sizeof(why), "variant %d", variant);
		if (variant == RUN_RIGHT)
			run_free(parse_run(&b));
		else
			expect_run_refused(b.data, b.len, why);
	}
}

enum { TREE_RIGHT, TREE_NEXT, TREE_COUNT, TREE_SAME, TREE_UNUSED, TREE_VARIANTS };

static void hand_place(struct wbuf *b, bool next, unsigned offset)
{
	struct id256 digest = { { 9 } };

	wbuf_put(b, digest.b, SHA256_BYTES);
	wbuf_varint(b, next);
	if (!next)
		wbuf_varint(b, offset);
	wbuf_varint(b, 100);
}

/* Children "a" and "b", runs "c" and "d-1" of a file each, all in one object, one after the other. */
static void hand_tree(struct wbuf *b, int variant)
{
	wbuf_put(b, "T\1\2\0\2", 5);
	wbuf_varint(b, 1);
	hand_writer(b, 1, variant == TREE_UNUSED ? 2 : 1);
	hand_object(b, 1, 2);
	if (variant == TREE_UNUSED)
		hand_object(b, 2, 2);
	wbuf_varint(b, 2);
	for (unsigned i = 0; i < 2; i++) {
		hand_name(b, 0, i > 0 && variant != TREE_SAME, 0, i ? "b" : "a");
		if (i == 0 || variant == TREE_SAME)
			hand_attributes(b, false);
		wbuf_varint(b, 0); /* mtime */
		hand_place(b, i > 0, 0);
	}
	wbuf_varint(b, 2);
	hand_name(b, 0, false, 0, "c");
	wbuf_varint(b, 1);
	hand_place(b, variant != TREE_NEXT, 200);
	hand_name(b, 0, variant != TREE_COUNT, 0, "d-1");
	if (variant == TREE_COUNT)
		wbuf_varint(b, 1);
	hand_place(b, true, 0);
}

Test(tree, a_second_encoding_of_the_same_is_refused)
{
	for (int variant = 0; variant < TREE_VARIANTS; variant++) {
		_cleanup_wbuf_ struct wbuf b;
		char why[20];

		wbuf_init(&b, 1000);
		hand_tree(&b, variant);
		snprintf(why, sizeof(why), "variant %d", variant);
		if (variant == TREE_RIGHT)
			tree_free(parse_tree(&b));
		else
			expect_tree_refused(b.data, b.len, why);
	}
}

/* ---- docs/format.md, "An example": byte for byte ---- */

static void expect_bytes(const void *data, size_t len, const char *hex)
{
	char *text = malloc(2 * len + 1);

	util_hex(text, data, len);
	cr_expect_str_eq(text, hex);
	free(text);
}

Test(example, the_documentation_shows_what_is_written)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		object_builder_new(OBJECT_COMPRESS_NONE);
	struct entry files[2] = { { .name = "nb-1-big-Data.db", .size_bytes = 600 },
				  { .name = "nb-1-big-Digest.crc32", .size_bytes = 10 } };
	struct run_ref ref = { .first = "nb-1-big-Data.db", .entry_count = 2 };
	struct tree t = { .run_count = 1, .runs = &ref, .file_count = 2, .total_bytes = 610 };
	_cleanup_wbuf_ struct wbuf run, tree;
	struct object_image image;
	struct err e = ERR_INIT;
	struct extent x;
	struct ulid writer;
	uint32_t offset;
	char data[600];

	memset(data, 'a', sizeof(data));
	cr_assert_eq(ulid_parse(&writer, "01JD8ZP4V7Q3K5N2M9R6T8W0XY"), 0);
	cr_assert_eq(object_builder_add(b, data, 600, false, NULL, &offset, &e), 0);
	cr_assert_eq(object_builder_finish(b, &image, &e), 0);
	expect_bytes(image.iov[0].iov_base, image.iov[0].iov_len,
		     "53535446534f4231010003000100000058020000000000005802000058020000"
		     "ba35c170729417f1499e0886e7e12fcdb4ab00ad411110ae1e888c766d4ed70d"
		     "19feed33e2f5b0041ae554be34df6f65");
	expect_bytes(image.id.b, 32,
		     "7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1");
	x = (struct extent){ { writer, image.id, image.head->head_bytes, 600, 3 }, 0, 600 };
	for (int i = 0; i < 2; i++)
		files[i].attr =
			(struct attributes){ 0644, 999, 999, INT64_C(1763808000000000000) + i };
	files[0].content = content_id(data, 600);
	files[0].extents = &x;
	files[0].extent_count = 1;
	files[1].inline_data = "1234567890";
	wbuf_init(&run, 1000);
	cr_assert_eq(run_encode(files, 2, &run, &e), 0);
	expect_bytes(run.data, run.len,
		     "520101019351fb1367b8e65a8a89c1b48e03be017ce66e25f503f2003b2c9b86"
		     "9f4a47649d958c65a9c25f76bf6153f4d5071ea1a3edff0f020000106e622d31"
		     "2d6269672d446174612e6462a403e707e707018080f0bffd81a7fa30d804bec2"
		     "76bc1ce52bf7ec9cce9b4a65cf9cc1c10a182aee78cedfb03a206adad5260115"
		     "000b69676573742e6372633332020a31323334353637383930");
	object_builder_reset(b);
	cr_assert_eq(object_builder_add(b, run.data, run.len, false, NULL, &offset, &e), 0);
	cr_assert_eq(object_builder_finish(b, &image, &e), 0);
	ref.place.digest = content_id(run.data, run.len);
	ref.place.extent =
		(struct extent){ { writer, image.id, image.head->head_bytes, (uint32_t)run.len, 3 },
				 0,
				 (uint32_t)run.len };
	wbuf_init(&tree, 1000);
	cr_assert_eq(tree_encode(&t, &tree, &e), 0);
	expect_bytes(tree.data, tree.len,
		     "540102e2040001019351fb1367b8e65a8a89c1b48e03be014999185397e09765"
		     "feed7708acdc449d38b3b25f53e6b1b41d6484e24daf3eae9ffbff0f00010000"
		     "106e622d312d6269672d446174612e646202250a46d99c80f828755d9ffb3b6e"
		     "cb3625a8d08a0873ce6d02dd3ace546288df00009901");
}
