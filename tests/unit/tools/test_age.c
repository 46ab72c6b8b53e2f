/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include "tools/age.h"

Test(age, is_a_number_and_a_unit)
{
	static const struct {
		const char *text;
		int64_t ms; /* 0: refused */
	} rows[] = {
		{ "1s", 1000 },
		{ "90s", 90000 },
		{ "15m", 900000 },
		{ "36h", INT64_C(36) * 3600000 },
		{ "30d", INT64_C(30) * 86400000 },
		{ "2w", INT64_C(14) * 86400000 },
		{ "1y", INT64_C(365) * 86400000 },
		{ "1000y", INT64_C(365000) * 86400000 },
		{ "007d", INT64_C(7) * 86400000 },
		{ "1001y", 0 },
		{ "99999999999999999999999y", 0 },
		{ "30", 0 },
		{ "", 0 },
		{ "d", 0 },
		{ "0d", 0 },
		{ "-1d", 0 },
		{ "+1d", 0 },
		{ "1.5d", 0 },
		{ " 1d", 0 },
		{ "1 d", 0 },
		{ "1dd", 0 },
		{ "1D", 0 },
		{ "1M", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = ERR_INIT;
		int64_t ms = 0;
		int r = age_parse("--older-than", rows[i].text, &ms, &e);

		cr_expect_eq(r, rows[i].ms ? 0 : -EINVAL, "'%s'", rows[i].text);
		cr_expect_eq(ms, rows[i].ms, "'%s'", rows[i].text);
		cr_expect_eq(e.kind, rows[i].ms ? ERR_NONE : ERR_USAGE, "'%s'", rows[i].text);
	}
}

Test(age, is_told_in_the_largest_unit_of_which_there_are_two)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} rows[] = { { 0, "0 s" },    { 119, "119 s" },	 { 120, "2 min" }, { 7199, "119 min" },
		     { 7200, "2 h" }, { 86400, "24 h" }, { 172800, "2 d" } };
	char out[32];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect_str_eq(age_format(out, rows[i].seconds), rows[i].text);
}
