/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "catalog/waits.h"
#include "tests/unit/catalog/sample.h"

#define A "01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define B "01ARZ3NDEKTSV4RRFFQ69G5FAW"

static size_t seal(char *text, size_t size, const char *body)
{
	struct id256 sum = digest_sha256(body, strlen(body));
	char hex[SHA256_HEX];

	util_hex(hex, sum.b, sizeof(sum.b));
	return (size_t)snprintf(text, size, "%ssha256 %s\n", body, hex);
}

Test(waits, is_written_in_order_and_read_back)
{
	static const char *const names[] = { "b2", "b1-x", "b1", "b10", "b1" };
	struct waits w = { .list = NULL }, back = { .list = NULL };
	_cleanup_free_ uint8_t *text = NULL;
	char expected[1024];
	struct err e = ERR_INIT;
	struct ulid a, b;
	size_t len;

	ulid_parse(&a, A);
	ulid_parse(&b, B);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_assert_eq(waits_add(&w, names[i], i == 4 ? &b : &a), 0);
	cr_assert_eq(waits_encode(&w, &text, &len, &e), 0);
	seal(expected, sizeof(expected),
	     "waits 1\nrecords/b1-x/" A ".json\nrecords/b1/" A ".json\nrecords/b1/" B
	     ".json\nrecords/b10/" A ".json\nrecords/b2/" A ".json\n");
	cr_expect_eq(len, strlen(expected));
	cr_expect_eq(memcmp(text, expected, len), 0);
	cr_assert_eq(waits_decode((char *)text, len, &back, &e), 0, "%s", e.message);
	cr_assert_eq(back.count, 5);
	cr_expect_str_eq(back.list[2].backup, "b1");
	cr_expect(memcmp(&back.list[2].writer, &b, sizeof(b)) == 0);
	waits_deinit(&w);
	waits_deinit(&back);
}

Test(waits, may_name_nobody)
{
	struct waits w = { .list = NULL };
	_cleanup_free_ uint8_t *text = NULL;
	struct err e = ERR_INIT;
	size_t len;

	cr_assert_eq(waits_encode(&w, &text, &len, &e), 0);
	cr_assert_eq(waits_decode((char *)text, len, &w, &e), 0);
	cr_expect_eq(w.count, 0);
}

Test(waits, damaged_ones_are_refused)
{
	static const struct {
		const char *body;
		int result;
	} rows[] = {
		{ "", -EBADMSG },
		{ "waits 1", -EBADMSG },
		{ "condemned 1\n", -EBADMSG },
		{ "waits 2\n", -ENOTSUP },
		{ "waits 1\n\n", -EBADMSG },
		{ "waits 1\nrecords/b1/" A ".json", -EBADMSG },
		{ "waits 1\nrecords/b1/" A ".json\n", 0 },
		{ "waits 1\nrecords/b1/" A "\n", -EBADMSG },
		{ "waits 1\nrecords/latest/" A ".json\n", -EBADMSG },
		{ "waits 1\nb1/" A ".json\n", -EBADMSG },
		{ "waits 1\nobjects/" A "/x\n", -EBADMSG },
		{ "waits 1\nrecords/b1/" A ".json\nrecords/b1/" A ".json\n", -EBADMSG },
		{ "waits 1\nrecords/b1/" B ".json\nrecords/b1/" A ".json\n", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct waits w = { .list = NULL };
		struct err e = ERR_INIT;
		char text[1024];
		size_t len = seal(text, sizeof(text), rows[i].body);

		cr_expect_eq(waits_decode(text, len, &w, &e), rows[i].result, "row %zu", i);
		waits_deinit(&w);
		if (rows[i].result == 0)
			continue;
		cr_expect_eq(e.kind, rows[i].result == -ENOTSUP ? ERR_USAGE : ERR_CORRUPT);
		cr_expect_null(w.list);
	}
}

Test(waits, a_flipped_bit_anywhere_is_found)
{
	char text[512];
	size_t len = seal(text, sizeof(text), "waits 1\nrecords/b1/" A ".json\n");
	struct err e = ERR_INIT;

	for (size_t bit = 0; bit < len * 8; bit++) {
		struct waits w = { .list = NULL };

		text[bit / 8] ^= (char)(1 << bit % 8);
		cr_expect_lt(waits_decode(text, len, &w, &e), 0, "bit %zu", bit);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
}
