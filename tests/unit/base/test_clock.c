/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/util.h"

#define S INT64_C(1000000000)

static const struct {
	int64_t wall_ns;
	const char *rfc3339, *millis, *compact;
} rows[] = {
	{ 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "19700101T000000Z" },
	{ 1795344120 * S, "2026-11-22T10:42:00Z", "2026-11-22T10:42:00.000Z", "20261122T104200Z" },
	{ 1795344120 * S + 123999999, "2026-11-22T10:42:00Z", "2026-11-22T10:42:00.123Z",
	  "20261122T104200Z" },
	{ 951782399 * S, "2000-02-28T23:59:59Z", "2000-02-28T23:59:59.000Z", "20000228T235959Z" },
	{ 951782400 * S, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z", "20000229T000000Z" },
	{ -1, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.999Z", "19691231T235959Z" },
	{ -S, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000Z", "19691231T235959Z" },
};

Test(clock, times_are_written_in_utc_whatever_the_time_zone)
{
	char out[CLOCK_RFC3339_BYTES];

	setenv("TZ", "America/St_Johns", 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect_str_eq(clock_rfc3339(out, rows[i].wall_ns, 0), rows[i].rfc3339);
		cr_expect_str_eq(clock_rfc3339(out, rows[i].wall_ns, 1), rows[i].millis);
		cr_expect_str_eq(clock_compact(out, rows[i].wall_ns), rows[i].compact);
	}
}

Test(clock, the_ends_of_the_range_still_fit_the_buffer)
{
	char out[CLOCK_RFC3339_BYTES];

	cr_expect_str_eq(clock_rfc3339(out, INT64_MAX, 1), "2262-04-11T23:47:16.854Z");
	cr_expect_str_eq(clock_rfc3339(out, INT64_MIN, 1), "1677-09-21T00:12:43.145Z");
}

Test(clock, what_is_written_is_parsed)
{
	setenv("TZ", "Asia/Kathmandu", 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[CLOCK_RFC3339_BYTES];
		int64_t ns = 5, ms = rows[i].wall_ns / 1000000;

		if (rows[i].wall_ns % 1000000 < 0)
			ms--;
		cr_expect_eq(clock_parse_rfc3339(clock_rfc3339(out, rows[i].wall_ns, 1), &ns), 0,
			     "%s", out);
		cr_expect_eq(ns, ms * 1000000, "%s", out);
	}
}

Test(clock, fractions_count_to_the_nanosecond)
{
	static const struct {
		const char *text;
		int64_t ns;
	} fractions[] = {
		{ "1970-01-01T00:00:01.5Z", S + 500000000 },
		{ "1970-01-01T00:00:01.000000001Z", S + 1 },
		{ "1970-01-01T00:00:01.0000000019Z", S + 1 },
		{ "1970-01-01T00:00:60Z", 60 * S },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fractions); i++) {
		int64_t ns = 5;

		cr_expect_eq(clock_parse_rfc3339(fractions[i].text, &ns), 0, "%s",
			     fractions[i].text);
		cr_expect_eq(ns, fractions[i].ns, "%s", fractions[i].text);
	}
}

Test(clock, a_text_that_is_no_time_is_refused)
{
	static const char *const texts[] = {
		"",
		"2026",
		"2026-11-22",
		"2026-11-22T10:42:00",
		"2026-11-22T10:42:00z",
		"2026-11-22 10:42:00Z",
		"2026-11-22T10:42:00+00:00",
		"2026-11-22T10:42:00Z ",
		"2026-11-22T10:42:00.Z",
		"2026-11-22T10:42:00.1",
		"2026-13-22T10:42:00Z",
		"2026-00-22T10:42:00Z",
		"2026-02-29T10:42:00Z",
		"1900-02-29T10:42:00Z",
		"2026-11-00T10:42:00Z",
		"2026-11-31T10:42:00Z",
		"2026-11-22T24:00:00Z",
		"2026-11-22T10:60:00Z",
		"2026-11-22T10:42:61Z",
		" 2026-11-22T10:42:00Z",
		"2026-1-022T10:42:00Z",
		"2026-11-22T10:42:-1Z",
		"9999-12-31T23:59:59Z",
		"0001-01-01T00:00:00Z",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int64_t ns = 5;

		cr_expect_eq(clock_parse_rfc3339(texts[i], &ns), -EINVAL, "%s", texts[i]);
		cr_expect_eq(ns, 5, "%s", texts[i]);
	}
}

Test(clock, http_dates_are_parsed_in_any_locale)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} dates[] = {
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
		{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
		{ "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
		{ "Wed, 31 Dec 2025 23:59:59 GMT", 1767225599 },
	};

	setlocale(LC_ALL, "");
	setenv("TZ", "Europe/Paris", 1);
	for (size_t i = 0; i < ARRAY_SIZE(dates); i++) {
		int64_t ns = 5;

		cr_expect_eq(clock_parse_http_date(dates[i].text, &ns), 0, "%s", dates[i].text);
		cr_expect_eq(ns, dates[i].seconds * S, "%s", dates[i].text);
	}
}

Test(clock, other_forms_of_http_dates_are_refused)
{
	static const char *const texts[] = {
		"",
		"Sun",
		"Sunday, 06-Nov-94 08:49:37 GMT",
		"Sun Nov  6 08:49:37 1994",
		"Sun, 06 Nov 1994 08:49:37 UTC",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nov 1994 08:49:37 GMT ",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"sun, 06 nov 1994 08:49:37 GMT",
		"Xxx, 06 Nov 1994 08:49:37 GMT",
		"Sun, 06 Foo 1994 08:49:37 GMT",
		"Sun, 31 Nov 1994 08:49:37 GMT",
		"Sun, 06 Nov 1994 24:49:37 GMT",
		"Sun, 06 Nov 19940 8:49:37 GMT",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int64_t ns = 5;

		cr_expect_eq(clock_parse_http_date(texts[i], &ns), -EINVAL, "%s", texts[i]);
		cr_expect_eq(ns, 5, "%s", texts[i]);
	}
}

Test(clock, the_systems_clock_goes_forward_and_its_randomness_differs)
{
	const struct clock *clock = clock_system();
	uint8_t a[600], b[600];
	int64_t before = clock_elapsed_ns(clock);

	clock_random(clock, a, sizeof(a));
	clock_random(clock, b, sizeof(b));
	cr_expect_neq(memcmp(a, b, sizeof(a)), 0);
	cr_expect_neq(memcmp(a + 300, b + 300, 300), 0);
	cr_expect_geq(clock_elapsed_ns(clock), before);
	cr_expect_gt(clock_wall_ns(clock), 1700000000 * S);
	cr_expect_eq(clock_elapsed_ms(clock) / 3600000, clock_elapsed_ns(clock) / S / 3600);
}
