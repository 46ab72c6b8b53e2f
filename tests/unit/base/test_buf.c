/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/buf.h"

Test(buf, integers_are_little_endian_and_come_back)
{
	static const uint8_t expected[] = { 0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04, 0x0f,
					    0x0e, 0x0d, 0x0c, 0x0b, 0x0a, 0x09, 0x08 };
	_cleanup_wbuf_ struct wbuf w;
	struct rbuf r;

	wbuf_init(&w, 100);
	wbuf_u8(&w, 0x01);
	wbuf_u16(&w, 0x0203);
	wbuf_u32(&w, 0x04050607);
	wbuf_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	cr_assert_eq(wbuf_error(&w), 0);
	cr_assert_eq(w.len, sizeof(expected));
	cr_assert_arr_eq(w.data, expected, sizeof(expected));
	r = rbuf_over(w.data, w.len);
	cr_expect_eq(rbuf_u8(&r), 0x01);
	cr_expect_eq(rbuf_u16(&r), 0x0203);
	cr_expect_eq(rbuf_u32(&r), 0x04050607);
	cr_expect_eq(rbuf_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	cr_expect_eq(rbuf_end(&r), 0);
}

Test(buf, varints_have_one_form_and_come_back)
{
	static const struct {
		uint64_t v;
		size_t bytes;
	} rows[] = {
		{ 0, 1 },	    { 1, 1 },	      { 127, 1 },
		{ 128, 2 },	    { 16383, 2 },     { 16384, 3 },
		{ UINT32_MAX, 5 },  { INT64_MAX, 9 }, { UINT64_C(1) << 63, 10 },
		{ UINT64_MAX, 10 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_wbuf_ struct wbuf w;
		struct rbuf r;

		wbuf_init(&w, 16);
		wbuf_varint(&w, rows[i].v);
		cr_assert_eq(w.len, rows[i].bytes, "row %zu", i);
		r = rbuf_over(w.data, w.len);
		cr_expect_eq(rbuf_varint(&r, UINT64_MAX), rows[i].v, "row %zu", i);
		cr_expect_eq(rbuf_end(&r), 0, "row %zu", i);
		/* Cut anywhere it is an error. */
		for (size_t len = 0; len < w.len; len++) {
			r = rbuf_over(w.data, len);
			cr_expect_eq(rbuf_varint(&r, UINT64_MAX), 0);
			cr_expect_eq(rbuf_error(&r), -EBADMSG);
		}
	}
}

Test(buf, a_varint_in_another_form_is_refused)
{
	static const struct {
		const char *why;
		uint8_t bytes[12];
		size_t len;
	} rows[] = {
		{ "zero in two bytes", { 0x80, 0x00 }, 2 },
		{ "127 in two bytes", { 0xff, 0x00 }, 2 },
		{ "padded to ten bytes",
		  { 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00 },
		  10 },
		{ "65 bits", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 }, 10 },
		{ "70 bits", { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f }, 10 },
		{ "eleven bytes",
		  { 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x01 },
		  11 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rbuf r = rbuf_over(rows[i].bytes, rows[i].len);

		cr_expect_eq(rbuf_varint(&r, UINT64_MAX), 0, "%s", rows[i].why);
		cr_expect_eq(rbuf_error(&r), -EBADMSG, "%s", rows[i].why);
	}
}

Test(buf, a_varint_above_the_callers_maximum_is_refused)
{
	static const uint8_t bytes[] = { 0x64 };
	struct rbuf r = rbuf_over(bytes, sizeof(bytes));

	cr_expect_eq(rbuf_varint(&r, 100), 100);
	cr_expect_eq(rbuf_end(&r), 0);
	r = rbuf_over(bytes, sizeof(bytes));
	cr_expect_eq(rbuf_varint(&r, 99), 0);
	cr_expect_eq(rbuf_error(&r), -EBADMSG);
}

Test(buf, a_read_past_the_end_sticks_and_gives_zeros)
{
	static const uint8_t bytes[] = { 1, 2, 3 };
	struct rbuf r = rbuf_over(bytes, sizeof(bytes));
	size_t len = 99;

	cr_expect_eq(rbuf_u32(&r), 0);
	cr_expect_eq(rbuf_error(&r), -EBADMSG);
	cr_expect_eq(rbuf_u8(&r), 0, "the byte that is there must not be read any more");
	cr_expect_eq(rbuf_left(&r), 0);
	cr_expect_null(rbuf_take(&r, 0));
	cr_expect_null(rbuf_string(&r, 10, &len));
	cr_expect_eq(len, 0);
	cr_expect_eq(rbuf_end(&r), -EBADMSG);
}

Test(buf, bytes_that_are_left_over_are_an_error_only_at_the_end)
{
	static const uint8_t bytes[] = { 1, 2 };
	struct rbuf r = rbuf_over(bytes, sizeof(bytes));

	cr_expect_eq(rbuf_u8(&r), 1);
	cr_expect_eq(rbuf_left(&r), 1);
	cr_expect_eq(rbuf_error(&r), 0);
	cr_expect_eq(rbuf_end(&r), -EBADMSG);
	cr_expect_eq(rbuf_u8(&r), 2);
	cr_expect_eq(rbuf_end(&r), 0);
}

Test(buf, strings_carry_their_length_and_obey_the_limit)
{
	_cleanup_wbuf_ struct wbuf w;
	struct rbuf r;
	const char *s;
	size_t len;

	wbuf_init(&w, 100);
	wbuf_string(&w, "a\0b", 3);
	wbuf_string(&w, "", 0);
	wbuf_string(&w, NULL, 0);
	cr_assert_eq(w.len, 6);
	r = rbuf_over(w.data, w.len);
	s = rbuf_string(&r, 3, &len);
	cr_assert_not_null(s);
	cr_expect_eq(len, 3);
	cr_expect_arr_eq(s, "a\0b", 3);
	cr_expect_not_null(rbuf_string(&r, 3, &len));
	cr_expect_eq(len, 0);
	cr_expect_not_null(rbuf_string(&r, 3, &len), "an empty string at the end is one");
	cr_expect_eq(rbuf_end(&r), 0);
	r = rbuf_over(w.data, w.len);
	cr_expect_null(rbuf_string(&r, 2, &len));
	cr_expect_eq(rbuf_error(&r), -EBADMSG);
}

Test(buf, a_string_that_claims_more_than_is_there_is_refused)
{
	static const uint8_t rows[][11] = {
		{ 0x04, 'a', 'b', 'c' },
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rbuf r = rbuf_over(rows[i], i == 0 ? 4 : 10);
		size_t len = 99;

		cr_expect_null(rbuf_string(&r, SIZE_MAX, &len));
		cr_expect_eq(len, 0);
		cr_expect_eq(rbuf_error(&r), -EBADMSG);
	}
}

Test(buf, a_view_on_nothing_gives_nothing)
{
	struct rbuf r = rbuf_over(NULL, 0);

	cr_expect_not_null(rbuf_take(&r, 0));
	cr_expect_eq(rbuf_end(&r), 0);
	cr_expect_null(rbuf_take(&r, 1));
	cr_expect_eq(rbuf_end(&r), -EBADMSG);
}

Test(buf, a_buffer_never_grows_beyond_its_maximum)
{
	_cleanup_wbuf_ struct wbuf w;

	wbuf_init(&w, 1000);
	for (int i = 0; i < 1000; i++)
		wbuf_u8(&w, (uint8_t)i);
	cr_expect_eq(wbuf_error(&w), 0);
	cr_expect_eq(w.len, 1000);
	cr_expect_leq(w.cap, 1000);
	wbuf_u8(&w, 1);
	cr_expect_eq(wbuf_error(&w), -E2BIG);
	cr_expect_eq(w.len, 1000);
	cr_expect_null(wbuf_reserve(&w, 0), "the failure sticks");
	wbuf_reset(&w);
	cr_expect_eq(wbuf_error(&w), 0);
	wbuf_u8(&w, 5);
	cr_expect_eq(w.len, 1);
	cr_expect_eq(w.data[0], 5);
	cr_expect_null(wbuf_reserve(&w, SIZE_MAX));
	cr_expect_eq(wbuf_error(&w), -E2BIG);
}

Test(buf, reserving_nothing_is_no_failure)
{
	_cleanup_wbuf_ struct wbuf w;

	wbuf_init(&w, 0);
	cr_expect_not_null(wbuf_reserve(&w, 0));
	wbuf_put(&w, NULL, 0);
	cr_expect_eq(wbuf_error(&w), 0);
	cr_expect_eq(w.len, 0);
}
