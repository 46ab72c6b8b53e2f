/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "store/s3addr.h"

Test(s3addr, the_bucket_goes_into_the_path_or_into_the_host)
{
	static const struct {
		const char *bucket, *endpoint, *region;
		enum s3_addressing addressing;
		const char *origin, *host, *path;
	} cases[] = {
		{ "bkt", NULL, "eu-west-1", S3_ADDRESSING_AUTO,
		  "https://bkt.s3.eu-west-1.amazonaws.com", "bkt.s3.eu-west-1.amazonaws.com", "" },
		{ "bkt", NULL, "cn-north-1", S3_ADDRESSING_AUTO,
		  "https://bkt.s3.cn-north-1.amazonaws.com.cn",
		  "bkt.s3.cn-north-1.amazonaws.com.cn", "" },
		{ "bkt", NULL, "eu-west-1", S3_ADDRESSING_PATH,
		  "https://s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "/bkt" },
		{ "b.k.t", NULL, "eu-west-1", S3_ADDRESSING_AUTO,
		  "https://s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "/b.k.t" },
		{ "Bkt", NULL, "us-east-1", S3_ADDRESSING_AUTO,
		  "https://s3.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com", "/Bkt" },
		{ "bkt", "http://127.0.0.1:9000", "us-east-1", S3_ADDRESSING_AUTO,
		  "http://127.0.0.1:9000", "127.0.0.1:9000", "/bkt" },
		{ "bkt", "http://localhost:9000/", "us-east-1", S3_ADDRESSING_AUTO,
		  "http://localhost:9000", "localhost:9000", "/bkt" },
		{ "bkt", "https://minio", "us-east-1", S3_ADDRESSING_AUTO, "https://minio", "minio",
		  "/bkt" },
		{ "bkt", "https://s3.example.org", "us-east-1", S3_ADDRESSING_AUTO,
		  "https://s3.example.org", "s3.example.org", "/bkt" },
		{ "bkt", "https://s3.example.org:444", "us-east-1", S3_ADDRESSING_VIRTUAL,
		  "https://bkt.s3.example.org:444", "bkt.s3.example.org:444", "" },
		{ "bkt", "https://s3.example.org:443", "us-east-1", S3_ADDRESSING_AUTO,
		  "https://s3.example.org", "s3.example.org", "/bkt" },
		{ "bkt", "http://s3.example.org:80", "us-east-1", S3_ADDRESSING_AUTO,
		  "http://s3.example.org", "s3.example.org", "/bkt" },
		{ "bkt", "http://[::1]:9000", "us-east-1", S3_ADDRESSING_AUTO, "http://[::1]:9000",
		  "[::1]:9000", "/bkt" },
		{ "bkt", "https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1",
		  S3_ADDRESSING_AUTO, "https://bkt.s3.dualstack.eu-west-1.amazonaws.com",
		  "bkt.s3.dualstack.eu-west-1.amazonaws.com", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(s3addr_deinit) struct s3addr a = { 0 };

		cr_assert_eq(s3addr_init(&a, cases[i].bucket, cases[i].endpoint, cases[i].region,
					 cases[i].addressing, NULL),
			     0, "case %zu", i);
		cr_expect_str_eq(a.origin, cases[i].origin);
		cr_expect_str_eq(a.host, cases[i].host);
		cr_expect_str_eq(a.path, cases[i].path);
		cr_expect_eq(a.tls, strncmp(cases[i].origin, "https", 5) == 0);
	}
}

Test(s3addr, endpoints_of_another_form_are_refused)
{
	static const char *const bad[] = {
		"",
		"minio:9000",
		"ftp://minio",
		"http://",
		"http://h:",
		"http://h:0",
		"http://h:65536",
		"http://h:99999999",
		"http://h/path",
		"http://h?x",
		"http://h x",
		"http://[::1",
		"http://[]:1",
		"http://h:9000x",
		"https://h#x",
	};
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_expect_eq(s3addr_check_endpoint(bad[i], &e), -EINVAL, "%s", bad[i]);
		cr_expect_eq(e.kind, ERR_USAGE);
	}
}

Test(s3addr, a_password_in_an_endpoint_is_refused_and_not_repeated)
{
	struct err e = ERR_INIT;

	cr_expect_eq(s3addr_check_endpoint("http://user:hunter2@host", &e), -EINVAL);
	cr_expect_null(strstr(e.message, "hunter2"));
}

Test(s3addr, names_of_buckets_and_regions_are_checked)
{
	static const char *const bad[] = { "",	      "ab",	 "-bucket", "bucket-",
					   ".bucket", "buck et", "buck/et", "bucket?" };
	struct s3addr a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(s3addr_check_bucket(bad[i], NULL), -EINVAL, "%s", bad[i]);
	cr_expect_eq(s3addr_check_bucket("My_bucket.1", NULL), 0);
	cr_expect_eq(s3addr_init(&a, "bucket", NULL, "eu west", S3_ADDRESSING_AUTO, NULL), -EINVAL);
	cr_expect_eq(s3addr_init(&a, "bucket", NULL, "", S3_ADDRESSING_AUTO, NULL), -EINVAL);
}

Test(s3addr, a_virtual_host_needs_a_name)
{
	static const char *const addresses[] = { "http://127.0.0.1:9000", "http://[::1]:9000" };
	struct err e = ERR_INIT;
	struct s3addr a;

	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		cr_expect_eq(s3addr_init(&a, "bucket", addresses[i], "us-east-1",
					 S3_ADDRESSING_VIRTUAL, &e),
			     -EINVAL);
		cr_expect(strstr(e.message, "addressing=virtual"), "%s", e.message);
	}
}

Test(s3addr, another_region_is_another_host_only_at_aws)
{
	static const struct {
		const char *endpoint, *want;
	} cases[] = {
		{ NULL, NULL },
		{ "http://minio:9000", "http://minio:9000" },
		{ "https://s3.example.org", "https://s3.example.org" },
		{ "https://s3.amazonaws.com", "https://s3.eu-west-1.amazonaws.com" },
		{ "https://s3.us-east-1.amazonaws.com", "https://s3.eu-west-1.amazonaws.com" },
		{ "https://s3.dualstack.us-east-1.amazonaws.com",
		  "https://s3.dualstack.eu-west-1.amazonaws.com" },
		{ "https://s3-fips.us-east-1.amazonaws.com",
		  "https://s3-fips.eu-west-1.amazonaws.com" },
		{ "https://s3.cn-north-1.amazonaws.com.cn",
		  "https://s3.eu-west-1.amazonaws.com.cn" },
		{ "https://s3-accelerate.amazonaws.com", "https://s3-accelerate.amazonaws.com" },
		{ "https://vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
		  "https://vpce-1a2b.s3.us-east-1.vpce.amazonaws.com" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;

		cr_assert_eq(s3addr_for_region(cases[i].endpoint, "eu-west-1", &got), 0);
		if (cases[i].want)
			cr_expect_str_eq(got, cases[i].want);
		else
			cr_expect_null(got);
	}
}
