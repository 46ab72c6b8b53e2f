/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/util.h"
#include "store/httphdr.h"

Test(httphdr, a_line_is_split_into_a_lower_case_name_and_a_trimmed_value)
{
	static const struct {
		const char *line, *name, *value;
	} cases[] = {
		{ "ETag: \"abc\"\r\n", "etag", "\"abc\"" },
		{ "Content-Length:12\r\n", "content-length", "12" },
		{ "X-Empty:\r\n", "x-empty", "" },
		{ "Date: \t a: b \t\r\n", "date", "a: b" },
	};
	char name[HTTPHDR_NAME_MAX], value[HTTPHDR_VALUE_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cr_assert(httphdr_split(cases[i].line, strlen(cases[i].line), name, value));
		cr_expect_str_eq(name, cases[i].name);
		cr_expect_str_eq(value, cases[i].value);
	}
	cr_expect_not(httphdr_split("no colon\r\n", 10, name, value));
	cr_expect_not(httphdr_split(": x\r\n", 5, name, value));
	cr_expect_not(httphdr_split("a: x\0y\r\n", 8, name, value));
	cr_expect_not(httphdr_split("etag\0x: y\r\n", 11, name, value));
}

Test(httphdr, names_and_values_that_do_not_fit_are_no_headers)
{
	char line[2048], name[HTTPHDR_NAME_MAX], value[HTTPHDR_VALUE_MAX];

	memset(line, 'a', sizeof(line));
	line[HTTPHDR_NAME_MAX - 1] = ':';
	cr_expect(httphdr_split(line, HTTPHDR_NAME_MAX + HTTPHDR_VALUE_MAX - 1, name, value));
	cr_expect_not(httphdr_split(line, HTTPHDR_NAME_MAX + HTTPHDR_VALUE_MAX, name, value));
	line[HTTPHDR_NAME_MAX - 1] = 'a';
	line[HTTPHDR_NAME_MAX] = ':';
	cr_expect_not(httphdr_split(line, HTTPHDR_NAME_MAX + 10, name, value));
}

Test(httphdr, content_ranges_are_taken_only_where_they_make_sense)
{
	static const char *const bad[] = { "",
					   "bytes",
					   "bytes 0-9",
					   "bytes 0-9/*",
					   "bytes */10",
					   "bytes 5-4/10",
					   "bytes 0-10/10",
					   "bytes -1-4/10",
					   "bytes 0-9/10 ",
					   "items 0-9/10",
					   "bytes 0- 9/10",
					   "bytes 0-9/18446744073709551616" };
	struct httphdr_range r;

	cr_assert_eq(httphdr_parse_content_range("bytes 3-9/10", &r), 0);
	cr_expect(r.first == 3 && r.last == 9 && r.total == 10);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(httphdr_parse_content_range(bad[i], &r), -EINVAL, "%s", bad[i]);
}

Test(httphdr, retry_after_is_seconds_or_a_date_and_bounded)
{
	int64_t now;

	cr_assert_eq(clock_parse_http_date("Sun, 22 Nov 2026 10:42:00 GMT", &now), 0);
	cr_expect_eq(httphdr_parse_retry_after_ms("0", now), 0);
	cr_expect_eq(httphdr_parse_retry_after_ms("7", now), 7000);
	cr_expect_eq(httphdr_parse_retry_after_ms("18446744073709551615", now), 3600000);
	cr_expect_eq(httphdr_parse_retry_after_ms("Sun, 22 Nov 2026 10:42:05 GMT", now), 5000);
	cr_expect_eq(httphdr_parse_retry_after_ms("Sun, 22 Nov 2026 10:41:05 GMT", now), 0);
	cr_expect_eq(httphdr_parse_retry_after_ms("Sun, 22 Nov 2027 10:41:05 GMT", now), 3600000);
	cr_expect_eq(httphdr_parse_retry_after_ms("soon", now), 0);
	cr_expect_eq(httphdr_parse_retry_after_ms("-1", now), 0);
}
