/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "catalog/condemned.h"
#include "tests/unit/catalog/sample.h"

static size_t seal(char *text, size_t size, const char *body)
{
	struct id256 sum = digest_sha256(body, strlen(body));
	char hex[SHA256_HEX];

	util_hex(hex, sum.b, sizeof(sum.b));
	return (size_t)snprintf(text, size, "%ssha256 %s\n", body, hex);
}

static int add(struct condemned *c, const char *body, struct err *e)
{
	char text[4096];
	size_t len = seal(text, sizeof(text), body);

	*e = ERR_INIT;
	return condemned_add(c, text, len, e);
}

Test(condemned, what_a_list_names_is_condemned)
{
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();
	struct object_ref ref = sample_whole(1, 2, 5000), other = sample_whole(1, 3, 5000);
	char writer[ULID_TEXT], id[SHA256_HEX], body[512];
	struct err e;

	util_hex(id, ref.id.b, sizeof(ref.id.b));
	snprintf(body, sizeof(body), "condemned 1\nobjects/%s/%s\nrecords/b1/x.json\n",
		 ulid_format(writer, &ref.writer), id);
	cr_assert_eq(add(c, "condemned 1\n", &e), 0, "an empty list: %s", e.message);
	cr_expect(condemned_is_empty(c));
	cr_assert_eq(add(c, body, &e), 0, "%s", e.message);
	condemned_seal(c);
	cr_expect(condemned_has(c, KEY_OBJECT_DATA, &ref));
	cr_expect_not(condemned_has(c, KEY_OBJECT_META, &ref));
	cr_expect_not(condemned_has(c, KEY_OBJECT_DATA, &other));
	ref.writer = sample_ulid(7);
	cr_expect_not(condemned_has(c, KEY_OBJECT_DATA, &ref));
}

Test(condemned, damaged_lists_are_refused)
{
	static const struct {
		const char *body;
		int result;
	} rows[] = {
		{ "", -EBADMSG },
		{ "condemned 1", -EBADMSG },
		{ "other 1\n", -EBADMSG },
		{ "condemned 2\n", -ENOTSUP },
		{ "condemned 1\n\n", -EBADMSG },
		{ "condemned 1\nno newline", -EBADMSG },
		{ "condemned 1\ntwo words\n", -EBADMSG },
		{ "condemned 1\nobjects/\x7f\n", -EBADMSG },
	};
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e;

		cr_expect_eq(add(c, rows[i].body, &e), rows[i].result, "row %zu", i);
		cr_expect_eq(e.kind, rows[i].result == -ENOTSUP ? ERR_USAGE : ERR_CORRUPT);
	}
}

Test(condemned, a_flipped_bit_anywhere_is_found)
{
	char text[512];
	size_t len = seal(text, sizeof(text), "condemned 1\nobjects/a/b\n");
	struct err e = ERR_INIT;

	for (size_t bit = 0; bit < len * 8; bit++) {
		_cleanup_(condemned_freep) struct condemned *c = condemned_new();

		text[bit / 8] ^= (char)(1 << bit % 8);
		cr_expect_lt(condemned_add(c, text, len, &e), 0, "bit %zu", bit);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++) {
		_cleanup_(condemned_freep) struct condemned *c = condemned_new();

		cr_expect_lt(condemned_add(c, text, cut, &e), 0, "cut at %zu", cut);
	}
}

Test(condemned, a_line_has_a_greatest_length)
{
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();
	char body[1024];
	struct err e;

	for (int len = CONDEMNED_LINE_BYTES; len <= CONDEMNED_LINE_BYTES + 1; len++) {
		snprintf(body, sizeof(body), "condemned 1\n%0*d\n", len, 0);
		cr_expect_eq(add(c, body, &e), len > CONDEMNED_LINE_BYTES ? -EBADMSG : 0);
	}
}

Test(condemned, what_is_written_is_read)
{
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();
	struct object_ref data = sample_whole(1, 2, 5000), meta = sample_whole(1, 3, 5000);
	_cleanup_wbuf_ struct wbuf text;
	struct err e = ERR_INIT;

	wbuf_init(&text, STORE_OBJECT_MAX);
	condemned_write_begin(&text);
	condemned_write_key(&text, KEY_OBJECT_DATA, &data.writer, &data.id);
	condemned_write_key(&text, KEY_OBJECT_META, &meta.writer, &meta.id);
	condemned_write_end(&text);
	cr_assert_eq(wbuf_error(&text), 0);
	cr_assert_eq(condemned_add(c, (char *)text.data, text.len, &e), 0, "%s", e.message);
	condemned_seal(c);
	cr_expect_eq(condemned_count(c), 2);
	cr_expect(condemned_has(c, KEY_OBJECT_DATA, &data));
	cr_expect(condemned_has(c, KEY_OBJECT_META, &meta));
	cr_expect_not(condemned_has(c, KEY_OBJECT_DATA, &meta));
}
