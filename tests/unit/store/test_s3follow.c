/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "store/s3follow.h"

#define MINUTE_NS 60000000000LL
#define NOW_NS 1795344120000000000LL

Test(s3follow, an_answer_tells_how_to_ask_again)
{
	static const struct {
		int status;
		const char *code, *message, *region, *location;
		int64_t date_ns;
		struct s3follow_tried tried;
		enum s3follow_action want;
	} cases[] = {
		/* The region. */
		{ 301, "PermanentRedirect", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_REGION },
		{ 301, "", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_REGION },
		{ 301, "PermanentRedirect", "", "", "http://h/", 0, { 0 }, S3FOLLOW_NOT },
		{ 301, "", "", "us-east-1", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 301, "", "", "eu-west-1", "", 0, { .region = true }, S3FOLLOW_NOT },
		{ 301, "", "", "evil.example/x", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 400,
		  "AuthorizationHeaderMalformed",
		  "",
		  "eu-west-1",
		  "",
		  0,
		  { 0 },
		  S3FOLLOW_REGION },
		{ 400, "AuthorizationHeaderMalformed", "", "", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 400, "", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_REGION },
		{ 400, "InvalidArgument", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 400,
		  "IllegalLocationConstraintException",
		  "The eu-south-1 location constraint is incompatible for the region specific endpoint this request was sent to.",
		  "",
		  "",
		  0,
		  { 0 },
		  S3FOLLOW_REGION },
		{ 400,
		  "IllegalLocationConstraintException",
		  "The unspecified location constraint is incompatible for the region specific endpoint",
		  "",
		  "",
		  0,
		  { 0 },
		  S3FOLLOW_NOT },
		{ 403, "AccessDenied", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_REGION },
		{ 403, "AccessDenied", "", "us-east-1", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 404, "NoSuchKey", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 503, "SlowDown", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_NOT },
		/* Elsewhere. */
		{ 307, "TemporaryRedirect", "", "", "http://h/", 0, { 0 }, S3FOLLOW_ELSEWHERE },
		{ 307, "", "", "eu-west-1", "http://h/", 0, { .redirects = 1 }, S3FOLLOW_ELSEWHERE },
		{ 307, "", "", "", "http://h/", 0, { .redirects = 2 }, S3FOLLOW_NOT },
		{ 307, "", "", "eu-west-1", "", 0, { 0 }, S3FOLLOW_REGION },
		{ 302, "", "", "", "http://h/", 0, { 0 }, S3FOLLOW_NOT },
		/* The clock. */
		{ 403,
		  "RequestTimeTooSkewed",
		  "",
		  "",
		  "",
		  NOW_NS + 20 * MINUTE_NS,
		  { 0 },
		  S3FOLLOW_CLOCK },
		{ 403,
		  "RequestTimeTooSkewed",
		  "",
		  "",
		  "",
		  NOW_NS - 20 * MINUTE_NS,
		  { 0 },
		  S3FOLLOW_CLOCK },
		{ 403,
		  "RequestTimeTooSkewed",
		  "",
		  "",
		  "",
		  NOW_NS + 20 * MINUTE_NS,
		  { .clock = true },
		  S3FOLLOW_NOT },
		{ 403, "RequestTimeTooSkewed", "", "", "", NOW_NS, { 0 }, S3FOLLOW_NOT },
		{ 403, "RequestTimeTooSkewed", "", "", "", 0, { 0 }, S3FOLLOW_NOT },
		{ 400, "RequestExpired", "", "", "", NOW_NS + MINUTE_NS, { 0 }, S3FOLLOW_CLOCK },
		{ 403, "", "", "", "", NOW_NS - 16 * MINUTE_NS, { 0 }, S3FOLLOW_CLOCK },
		{ 403, "", "", "", "", NOW_NS - 3 * MINUTE_NS, { 0 }, S3FOLLOW_NOT },
		{ 403, "AccessDenied", "", "", "", NOW_NS - 16 * MINUTE_NS, { 0 }, S3FOLLOW_NOT },
		{ 404, "", "", "", "", NOW_NS - 16 * MINUTE_NS, { 0 }, S3FOLLOW_NOT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s3follow_answer a = { .status = cases[i].status,
					     .code = cases[i].code,
					     .message = cases[i].message,
					     .region = cases[i].region,
					     .location = cases[i].location,
					     .date_ns = cases[i].date_ns,
					     .signed_ns = NOW_NS };

		cr_expect_eq(s3follow_decide(&a, "us-east-1", &cases[i].tried), cases[i].want,
			     "case %zu", i);
	}
}

Test(s3follow, a_redirect_is_followed_only_to_where_the_user_pointed)
{
	static const struct {
		const char *from, *location;
		int want;
	} cases[] = {
		{ "http://store.example:9000", "http://store.example:9000/b/k", 0 },
		{ "http://store.example:9000", "http://STORE.example:9001/b/k", 0 },
		{ "http://store.example", "https://store.example/b/k", 0 },
		{ "https://store.example", "https://bkt.store.example/k", 0 },
		{ "https://store.example", "http://store.example/b/k", -EPERM },
		{ "https://store.example", "https://example/b/k", -EPERM },
		{ "https://store.example", "https://evilstore.example/b/k", -EPERM },
		{ "https://store.example", "https://store.example.evil.org/b/k", -EPERM },
		{ "https://store.example", "https://evil.org/store.example", -EPERM },
		{ "http://127.0.0.1:9000", "http://127.0.0.2:9000/b/k", -EPERM },
		{ "http://127.0.0.1:9000", "http://169.254.169.254/latest", -EPERM },
		{ "https://store.example", "https://user:pw@store.example/", -EINVAL },
		{ "https://store.example", "https://evil.org@store.example/", -EINVAL },
		{ "https://store.example", "/b/k", -EINVAL },
		{ "https://store.example", "ftp://store.example/", -EINVAL },
		{ "https://store.example", "https://store.example/%zz", -EINVAL },
		{ "https://store.example", "https://store.example/a%0d%0ax", -EINVAL },
		{ "https://store.example", "https://store.example/a#b", -EINVAL },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://bkt.s3-eu-west-1.amazonaws.com/k?rk=e2c69a31", 0 },
		{ "https://s3.us-east-1.amazonaws.com", "https://bkt.s3.eu-west-1.amazonaws.com/k",
		  0 },
		{ "https://s3.us-east-1.amazonaws.com", "https://bkt.s3-gztb4pa9sq.amazonaws.com/k",
		  0 },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://ec2-3-8-1-1.eu-west-2.compute.amazonaws.com/", -EPERM },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://s3-evil-1.us-east-1.elb.amazonaws.com/", -EPERM },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://s3-evil.elb.us-east-1.amazonaws.com/", -EPERM },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://s3.execute-api.us-east-1.amazonaws.com/", -EPERM },
		{ "https://s3.us-east-1.amazonaws.com",
		  "https://bkt.s3.dualstack.eu-west-1.amazonaws.com/k", 0 },
		{ "https://s3.us-east-1.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn/",
		  -EPERM },
		{ "https://s3.us-east-1.amazonaws.com", "https://s3.evil.elb.amazonaws.com/",
		  -EPERM },
		{ "https://s3.us-east-1.amazonaws.com", "http://s3.eu-west-1.amazonaws.com/",
		  -EPERM },
		{ "https://store.example", "https://s3.eu-west-1.amazonaws.com/", -EPERM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s3addr from;
		struct s3follow_target to = { 0 };

		cr_assert_eq(s3addr_init_origin(&from, cases[i].from, strlen(cases[i].from)), 0);
		cr_expect_eq(s3follow_location(cases[i].location, &from, &to), cases[i].want, "%s",
			     cases[i].location);
		s3follow_target_deinit(&to);
		s3addr_deinit(&from);
	}
}

Test(s3follow, a_location_is_taken_apart_so_that_it_can_be_signed)
{
	struct s3addr from;
	struct s3follow_target t;

	cr_assert_eq(s3addr_init_origin(&from, "http://h:1", 10), 0);
	cr_assert_eq(s3follow_location("http://b.h:2/a%20b/c+d?x=1%2F2&y&z=%3D", &from, &t), 0);
	cr_expect_str_eq(t.addr.origin, "http://b.h:2");
	cr_expect_str_eq(t.addr.host, "b.h:2");
	cr_expect_str_eq(t.addr.path, "/a b/c+d");
	cr_expect(t.has_query);
	cr_assert_eq(t.query_count, 3);
	cr_expect_str_eq(t.query[0].value, "1/2");
	cr_expect_str_eq(t.query[1].name, "y");
	cr_expect_str_eq(t.query[1].value, "");
	cr_expect_str_eq(t.query[2].value, "=");
	s3follow_target_deinit(&t);
	cr_assert_eq(s3follow_location("http://h:1", &from, &t), 0);
	cr_expect_not(t.has_query);
	cr_expect_str_eq(t.addr.path, "");
	s3follow_target_deinit(&t);
	s3addr_deinit(&from);
}
