/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include "base/util.h"
#include "store/httplimit.h"

static const struct httplimit limit = { .first_byte_ms = 300, .stall_ms = 100 };

/* What is seen at a time, and what is to be thought of it. */
struct look {
	int64_t at_ms;
	struct httplimit_seen seen;
	enum httplimit_verdict want;
};

static void expect(const struct look *looks, size_t count)
{
	struct httplimit_watch w = { 0 };

	for (size_t i = 0; i < count; i++)
		cr_expect_eq(httplimit_check(&limit, &w, &looks[i].seen, looks[i].at_ms),
			     looks[i].want, "look %zu", i);
}

Test(httplimit, a_connection_that_is_made_has_a_limit_elsewhere)
{
	static const struct look looks[] = {
		{ 0, { .connected = false }, HTTPLIMIT_ALIVE },
		{ 100000, { .connected = false, .all_sent = true }, HTTPLIMIT_ALIVE },
		{ 100001, { .connected = true, .all_sent = true }, HTTPLIMIT_ALIVE },
		{ 100300, { .connected = true, .all_sent = true }, HTTPLIMIT_ALIVE },
		{ 100301, { .connected = true, .all_sent = true }, HTTPLIMIT_NO_ANSWER },
	};

	expect(looks, ARRAY_SIZE(looks));
}

Test(httplimit, the_first_byte_is_waited_for_from_the_last_one_that_arrived_there)
{
	static const struct look looks[] = {
		{ 0, { true, false, 0, 0 }, HTTPLIMIT_ALIVE },
		{ 90, { true, false, 4096, 0 }, HTTPLIMIT_ALIVE },
		{ 180, { true, true, 8192, 0 }, HTTPLIMIT_ALIVE },
		{ 479, { true, true, 8192, 0 }, HTTPLIMIT_ALIVE },
		{ 480, { true, true, 8192, 0 }, HTTPLIMIT_NO_ANSWER },
	};

	expect(looks, ARRAY_SIZE(looks));
}

Test(httplimit, a_slow_body_lives_and_one_that_stands_still_does_not)
{
	static const struct look looks[] = {
		{ 0, { true, true, 0, 0 }, HTTPLIMIT_ALIVE },
		{ 200, { true, true, 0, 50 }, HTTPLIMIT_ALIVE },
		{ 290, { true, true, 0, 1100 }, HTTPLIMIT_ALIVE },
		{ 380, { true, true, 0, 2200 }, HTTPLIMIT_ALIVE },
		{ 479, { true, true, 0, 2300 }, HTTPLIMIT_ALIVE },
		/* Single bytes are no sign of life. */
		{ 480, { true, true, 0, 2400 }, HTTPLIMIT_STANDS_STILL },
	};

	expect(looks, ARRAY_SIZE(looks));
}

Test(httplimit, an_upload_that_is_not_acknowledged_stands_still)
{
	static const struct look looks[] = {
		{ 0, { true, false, 5000, 0 }, HTTPLIMIT_ALIVE },
		{ 99, { true, false, 5000, 0 }, HTTPLIMIT_ALIVE },
		{ 100, { true, false, 5000, 0 }, HTTPLIMIT_STANDS_STILL },
	};

	expect(looks, ARRAY_SIZE(looks));
}

Test(httplimit, a_large_body_has_the_time_of_a_slow_line)
{
	cr_expect_eq(httplimit_request_ms(300000, 0), 300000);
	cr_expect_eq(httplimit_request_ms(300000, 8 * MIB), 300000 + 1024000);
	cr_expect_gt(httplimit_request_ms(300000, UINT64_MAX), 300000);
}
