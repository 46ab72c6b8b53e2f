/* SPDX-License-Identifier: Apache-2.0 */
/* What protects a body on its way to the store. */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "store/s3sum.h"

Test(s3sum, a_body_is_signed_until_the_server_has_shown_that_it_checks_it)
{
	static const struct {
		enum s3sum_trust trust;
		bool tls, is_put;
		uint64_t body_bytes;
		struct s3sum_way want;
	} cases[] = {
		{ S3SUM_UNKNOWN, false, true, 1 << 20, { .checksum = true } },
		{ S3SUM_CHECKS, false, true, 1 << 20, { .checksum = true, .skip_sha256 = true } },
		{ S3SUM_CHECKS, false, true, 65536, { .checksum = true, .skip_sha256 = true } },
		{ S3SUM_CHECKS, false, true, 65535, { .checksum = true } },
		{ S3SUM_REFUSES, false, true, 1 << 20, { .checksum = false } },
		{ S3SUM_CHECKS, false, false, 1 << 20, { .checksum = false } },
		{ S3SUM_UNKNOWN, true, true, 1 << 20, { .skip_sha256 = true } },
		{ S3SUM_CHECKS, true, true, 5, { .skip_sha256 = true } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s3sum_way way = s3sum_way(cases[i].trust, cases[i].tls, cases[i].is_put,
						 cases[i].body_bytes);

		cr_expect_eq(way.checksum, cases[i].want.checksum, "case %zu", i);
		cr_expect_eq(way.skip_sha256, cases[i].want.skip_sha256, "case %zu", i);
	}
}

Test(s3sum, the_checksum_of_parts_is_that_of_the_whole_in_the_order_of_the_network)
{
	const struct iovec body[] = { { (void *)(uintptr_t) "1234", 4 },
				      { NULL, 0 },
				      { (void *)(uintptr_t) "56789", 5 } };
	char text[S3SUM_TEXT];

	s3sum_text(text, body, ARRAY_SIZE(body));
	cr_expect_str_eq(text, "y/Q5Jg=="); /* cb f4 39 26 */
	s3sum_text(text, NULL, 0);
	cr_expect_str_eq(text, "AAAAAA==");
}

Test(s3sum, only_the_very_checksum_in_a_success_shows_that_it_was_checked)
{
	const struct s3sum_way with = { .checksum = true };
	const struct s3sum_way bare = { .checksum = true, .skip_sha256 = true };
	const struct s3sum_way without = { .checksum = false };
	const struct {
		struct s3sum_answer answer;
		enum s3sum_verdict want;
	} cases[] = {
		{ { with, 200, "", "aaaaaa==", "aaaaaa==" }, S3SUM_CHECKED },
		{ { with, 200, "", "aaaaaa==", "" }, S3SUM_NOTHING },
		{ { with, 200, "", "aaaaaa==", "baaaaa==" }, S3SUM_DAMAGED },
		{ { without, 200, "", "", "aaaaaa==" }, S3SUM_NOTHING },
		{ { with, 412, "PreconditionFailed", "aaaaaa==", "aaaaaa==" }, S3SUM_NOTHING },
		{ { with, 400, "BadDigest", "aaaaaa==", "" }, S3SUM_NOTHING },
		{ { with, 400, "XAmzContentSHA256Mismatch", "aaaaaa==", "" }, S3SUM_NOTHING },
		{ { bare, 400, "XAmzContentSHA256Mismatch", "aaaaaa==", "" }, S3SUM_REFUSED },
		{ { bare, 400, "XAmzContentChecksumMismatch", "aaaaaa==", "" }, S3SUM_NOTHING },
		{ { with, 400, "InvalidArgument", "aaaaaa==", "" }, S3SUM_REFUSED },
		{ { with, 400, "InvalidRequest", "aaaaaa==", "" }, S3SUM_REFUSED },
		{ { with, 501, "", "aaaaaa==", "" }, S3SUM_REFUSED },
		{ { without, 501, "NotImplemented", "", "" }, S3SUM_NOTHING },
		{ { without, 400, "InvalidArgument", "", "" }, S3SUM_NOTHING },
		{ { with, 403, "AccessDenied", "aaaaaa==", "" }, S3SUM_NOTHING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(s3sum_judge(&cases[i].answer), cases[i].want, "case %zu", i);
}
