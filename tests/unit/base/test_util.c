/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/util.h"

Test(util, bytes_are_written_with_three_digits_and_a_binary_unit)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 1, "1 B" },
		{ 512, "512 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ 1024 + 51, "1.0 KiB" },
		{ 1024 + 52, "1.1 KiB" },
		{ 10 * KIB, "10.0 KiB" },
		{ 99 * KIB + 900, "99.9 KiB" },
		{ 99 * KIB + 972, "99.9 KiB" },
		{ 99 * KIB + 973, "100 KiB" },
		{ 100 * KIB, "100 KiB" },
		{ 1023 * KIB, "1023 KiB" },
		{ 1023 * KIB + 511, "1023 KiB" },
		{ 1023 * KIB + 512, "1.0 MiB" },
		{ MIB, "1.0 MiB" },
		{ 12 * GIB + 300 * MIB, "12.3 GiB" },
		{ 64 * GIB, "64.0 GiB" },
		{ 5 * 1024 * GIB, "5.0 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char out[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(util_format_bytes(out, rows[i].bytes), rows[i].text, "%llu",
				 (unsigned long long)rows[i].bytes);
}

Test(util, sizes_are_parsed_with_binary_units)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "1K", KIB },
		{ "64M", 64 * MIB },
		{ "64MB", 64 * MIB },
		{ "64MiB", 64 * MIB },
		{ "1G", GIB },
		{ "1.5G", GIB + GIB / 2 },
		{ "0.25K", 256 },
		{ "1.000001T", 1024 * GIB + 1099511 },
		{ "2T", 2048 * GIB },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", UINT64_C(16777215) << 40 },
		{ "16777215.999999T", UINT64_MAX - 1099511 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = 77;

		cr_expect_eq(util_parse_bytes(rows[i].text, &bytes), 0, "%s", rows[i].text);
		cr_expect_eq(bytes, rows[i].bytes, "%s", rows[i].text);
	}
}

Test(util, sizes_that_are_none_are_refused_and_leave_the_result_alone)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{ "", -EINVAL },
		{ "M", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 M", -EINVAL },
		{ "1.5", -EINVAL },
		{ "1.", -EINVAL },
		{ "1.G", -EINVAL },
		{ ".5G", -EINVAL },
		{ "1.0000001G", -EINVAL },
		{ "1X", -EINVAL },
		{ "1iB", -EINVAL },
		{ "1MM", -EINVAL },
		{ "1MiBs", -EINVAL },
		{ "0x10", -EINVAL },
		{ "18446744073709551616", -ERANGE },
		{ "16777216T", -ERANGE },
		{ "99999999999999999999999G", -ERANGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t bytes = 77;

		cr_expect_eq(util_parse_bytes(rows[i].text, &bytes), rows[i].error, "%s",
			     rows[i].text);
		cr_expect_eq(bytes, 77, "%s", rows[i].text);
	}
}

Test(util, hex_goes_there_and_back)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0x7f, 0x80, 0xab, 0xff };
	uint8_t back[sizeof(bytes)];
	char hex[2 * sizeof(bytes) + 1];

	util_hex(hex, bytes, sizeof(bytes));
	cr_expect_str_eq(hex, "00017f80abff");
	cr_expect_eq(util_unhex(back, sizeof(back), hex), 0);
	cr_expect_arr_eq(back, bytes, sizeof(bytes));
}

Test(util, hex_of_another_length_or_alphabet_is_refused)
{
	static const char *const rows[] = { "",	    "0",     "012",    "012g", "01AB",
					    "01 2", "01ab0", "01ab01", "-1ab", "0x12" };
	uint8_t back[2];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_eq(util_unhex(back, sizeof(back), rows[i]), -EINVAL, "%s", rows[i]);
}

Test(util, an_array_grows_and_keeps_what_it_held)
{
	_cleanup_free_ uint32_t *array = NULL;
	size_t cap = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		cr_assert_eq(util_grow(&array, &cap, i + 1, sizeof(*array)), 0);
		cr_assert_geq(cap, i + 1);
		array[i] = i;
	}
	for (uint32_t i = 0; i < 1000; i++)
		cr_assert_eq(array[i], i);
}

Test(util, an_array_that_no_memory_can_hold_stays_as_it_was)
{
	_cleanup_free_ uint64_t *array = NULL;
	uint64_t *before;
	size_t cap = 0;

	cr_assert_eq(util_grow(&array, &cap, 4, sizeof(*array)), 0);
	before = array;
	cr_expect_eq(util_grow(&array, &cap, SIZE_MAX, sizeof(*array)), -ENOMEM);
	cr_expect_eq(util_grow(&array, &cap, SIZE_MAX / sizeof(*array), sizeof(*array)), -ENOMEM);
	cr_expect_eq(array, before);
	cr_expect_eq(cap, 8);
}

Test(util, control_characters_never_reach_a_line)
{
	static const struct {
		char in[32];
		const char *out;
	} rows[] = {
		{ "plain text", "plain text" },
		{ "two\nlines\r\n", "two?lines??" },
		{ "\033[31mred\x7f", "?[31mred?" },
		{ "tab\there", "tab?here" },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
		{ "c1 \xc2\x9b"
		  "31m",
		  "c1 ??31m" },
		{ "nbsp \xc2\xa0.", "nbsp \xc2\xa0." },
		{ "cut \xc2", "cut ?" },
		{ "8 bits: \x9b"
		  "31m\xff",
		  "8 bits: ?31m?" },
		{ "turned \xe2\x80\xae", "turned ???" },
		{ "line\xe2\x80\xa8", "line???" },
		{ "isolate\xe2\x81\xa6", "isolate???" },
		{ "\xe2\x82\xac 5", "\xe2\x82\xac 5" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[32];

		memcpy(text, rows[i].in, sizeof(text));
		cr_expect_str_eq(util_one_line(text), rows[i].out, "row %zu", i);
	}
}

static void set_to_seven(int **p)
{
	**p = 7;
}

Test(util, a_cleanup_runs_at_the_end_of_the_scope_and_not_for_what_was_handed_over)
{
	int first = 0, second = 0;
	int *stolen;

	{
		_cleanup_(set_to_seven) int *p = &first;

		cr_expect_eq(*p, 0);
	}
	cr_expect_eq(first, 7);
	{
		_cleanup_free_ char *text = util_printf("%s-%d", "a", 1);
		_cleanup_free_ char *moved = NULL;

		cr_expect_str_eq(text, "a-1");
		moved = steal_pointer(&text);
		cr_expect_null(text);
		cr_expect_str_eq(moved, "a-1");
	}
	stolen = &second;
	cr_expect_eq(steal_pointer(&stolen), &second);
	cr_expect_null(stolen);
}
