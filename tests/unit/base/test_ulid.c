/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/ulid.h"
#include "base/util.h"
#include "tests/unit/base/fake_clock.h"

static const struct {
	struct ulid ulid;
	const char *text;
} rows[] = {
	{ { { 0 } }, "00000000000000000000000000" },
	{ { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	      0xff, 0xff } },
	  "7ZZZZZZZZZZZZZZZZZZZZZZZZZ" },
	{ { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } }, "00000000000000000000000001" },
	{ { { 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } }, "40000000000000000000000000" },
	/* The specification's example: time 1469918176385 is 01ARYZ6S41. */
	{ { { 0x01, 0x56, 0x3d, 0xf3, 0x64, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } },
	  "01ARYZ6S410000000000000000" },
	{ { { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54,
	      0x32, 0x10 } },
	  "014D2PF2DBSQQZXQ5TK1V58CGG" },
};

Test(ulid, text_and_bytes_are_the_same_thing)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[ULID_TEXT];
		struct ulid back;

		cr_expect_str_eq(ulid_format(text, &rows[i].ulid), rows[i].text);
		cr_expect_eq(ulid_parse(&back, rows[i].text), 0);
		cr_expect_arr_eq(back.b, rows[i].ulid.b, ULID_BYTES, "%s", rows[i].text);
	}
}

Test(ulid, another_alphabet_length_or_range_is_refused)
{
	static const char *const texts[] = {
		"",
		"0123456789ABCDEFGHJKMNPQR",
		"0123456789ABCDEFGHJKMNPQRST",
		"8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
		"01aryz6s410000000000000000",
		"01ARYZ6S41I000000000000000",
		"01ARYZ6S41L000000000000000",
		"01ARYZ6S41O000000000000000",
		"01ARYZ6S41U000000000000000",
		"01ARYZ6S4-0000000000000000",
		" 1ARYZ6S410000000000000000",
		"01ARYZ6S41000000000000000\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct ulid u = { { 9 } };

		cr_expect_eq(ulid_parse(&u, texts[i]), -EINVAL, "%s", texts[i]);
		cr_expect_eq(u.b[0], 9, "%s", texts[i]);
	}
}

Test(ulid, a_new_one_holds_the_time_and_then_randomness)
{
	struct fake_clock fake;
	char text[ULID_TEXT];
	struct ulid u;

	fake_clock_init(&fake, INT64_C(1469918176385999999));
	u = ulid_new(&fake.clock);
	cr_expect_eq(strncmp(ulid_format(text, &u), "01ARYZ6S41", 10), 0, "%s", text);
	for (uint8_t i = 0; i < 10; i++)
		cr_expect_eq(u.b[6 + i], i);
	u = ulid_new(&fake.clock);
	cr_expect_eq(u.b[6], 10, "the second takes other random bytes");
}
