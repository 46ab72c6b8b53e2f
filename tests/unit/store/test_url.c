/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "store/url.h"
#include "store/wrap.h"

static void expect_text(const char *what, const char *a, const char *b, const char *url)
{
	if (!a || !b)
		cr_expect(a == b, "%s of %s", what, url);
	else
		cr_expect_str_eq(a, b, "%s of %s: %s", what, url, a);
}

Test(url, well_formed_urls_are_taken_apart)
{
	static const struct {
		const char *text;
		struct {
			enum url_scheme scheme;
			const char *path, *bucket, *prefix, *endpoint, *region, *ca, *profile;
			enum s3_addressing addressing;
		} want;
		const char *display;
	} cases[] = {
		{ "/var/backup", { .path = "/var/backup" }, "/var/backup" },
		{ "relative/%20?x", { .path = "relative/%20?x" }, "relative/%20?x" },
		{ "file:///var/my%20backup", { .path = "/var/my backup" }, "/var/my backup" },
		{ "s3://bkt", { .scheme = URL_S3, .bucket = "bkt", .prefix = "" }, "s3://bkt" },
		{ "S3://bkt/", { .scheme = URL_S3, .bucket = "bkt", .prefix = "" }, "s3://bkt" },
		{ "s3://bkt/a/b%20c%3F//",
		  { .scheme = URL_S3, .bucket = "bkt", .prefix = "a/b c?" },
		  "s3://bkt/a/b c?" },
		{ "s3://bkt/p?endpoint=http://127.0.0.1:9000&region=eu-west-1&addressing=path&ca=/etc/ca.pem&profile=x%26y",
		  { .scheme = URL_S3,
		    .bucket = "bkt",
		    .prefix = "p",
		    .endpoint = "http://127.0.0.1:9000",
		    .region = "eu-west-1",
		    .ca = "/etc/ca.pem",
		    .profile = "x&y",
		    .addressing = S3_ADDRESSING_PATH },
		  "s3://bkt/p?endpoint=http://127.0.0.1:9000" },
		{ "s3://bkt?addressing=virtual&endpoint=https%3A%2F%2Fh",
		  { .scheme = URL_S3,
		    .bucket = "bkt",
		    .prefix = "",
		    .endpoint = "https://h",
		    .addressing = S3_ADDRESSING_VIRTUAL },
		  "s3://bkt?endpoint=https://h" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(url_deinit) struct url u = { 0 };
		const __typeof__(cases[0].want) *want = &cases[i].want;
		_cleanup_free_ char *display = NULL;
		struct err e = ERR_INIT;

		cr_assert_eq(url_parse(cases[i].text, &u, &e), 0, "%s: %s", cases[i].text,
			     e.message);
		display = url_display(&u);
		cr_expect_eq(u.scheme, want->scheme);
		cr_expect_eq(u.addressing, want->addressing);
		expect_text("path", u.path, want->path, cases[i].text);
		expect_text("bucket", u.bucket, want->bucket, cases[i].text);
		expect_text("prefix", u.prefix, want->prefix, cases[i].text);
		expect_text("endpoint", u.endpoint, want->endpoint, cases[i].text);
		expect_text("region", u.region, want->region, cases[i].text);
		expect_text("ca", u.ca, want->ca, cases[i].text);
		expect_text("profile", u.profile, want->profile, cases[i].text);
		expect_text("display", display, cases[i].display, cases[i].text);
	}
}

Test(url, anything_else_is_refused_with_what_is_wrong)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "empty" },
		{ "gs://bucket/x", "'gs://'" },
		{ "https://bucket.s3.amazonaws.com", "'https://'" },
		{ "s3://", "names no bucket" },
		{ "s3:///key", "names no bucket" },
		{ "s3://b", "'b' is no name" },
		{ "s3://user:hunter2@bucket", "user name" },
		{ "s3://bucket?endpoint=http://user:hunter2@h", "user name" },
		{ "s3://bucket//x", "prefix" },
		{ "s3://bucket/a/../b", "prefix" },
		{ "s3://bucket/%FF", "prefix" },
		{ "s3://bucket/a%00b", "control" },
		{ "s3://bucket/a%0Ab", "control" },
		{ "s3://bucket/a%2", "%25" },
		{ "s3://bucket/a%zz", "%25" },
		{ "s3://bucket/a#b", "%23" },
		{ "s3://bucket?colour=red", "'colour'" },
		{ "s3://bucket?region", "'region'" },
		{ "s3://bucket?region=", "region" },
		{ "s3://bucket?region=a&region=b", "twice" },
		{ "s3://bucket?addressing=both", "both" },
		{ "s3://bucket?endpoint=localhost:9000", "localhost:9000" },
		{ "s3://bucket?endpoint=http://h/path", "http://h/path" },
		{ "file://host/path", "file:///PATH" },
		{ "file:///path?x=y", "no parameters" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		struct url u;

		cr_expect_eq(url_parse(cases[i].text, &u, &e), -EINVAL, "%s", cases[i].text);
		cr_expect_eq(e.kind, ERR_USAGE, "%s", cases[i].text);
		cr_expect(strstr(e.message, cases[i].says), "%s: %s", cases[i].text, e.message);
		cr_expect_null(strstr(e.message, "hunter2"));
	}
}

Test(url, a_prefix_leaves_room_for_keys)
{
	char text[2048] = "s3://bucket/";
	size_t len = strlen(text);
	struct url u = { 0 };

	memset(text + len, 'p', STORE_KEY_MAX - 256 + 1);
	cr_expect_eq(url_parse(text, &u, NULL), -EINVAL);
	text[len + STORE_KEY_MAX - 256] = 0;
	cr_expect_eq(url_parse(text, &u, NULL), 0);
	url_deinit(&u);
}

Test(url, the_stack_stores_and_its_trace_counts)
{
	_cleanup_(metrics_freep) struct metrics *metrics = metrics_new();
	struct url_open_options options = {
		.create = true, .limit_rate = 100 * MIB, .clock = clock_system(), .metrics = metrics
	};
	_cleanup_(store_freep) struct store *s = NULL;
	char dir[] = "/tmp/test_url.XXXXXX", path[64], file[80];
	struct url u = { 0 };
	struct store *trace = NULL;
	struct trace_counts counts;
	struct err e = ERR_INIT;

	cr_assert(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/store", dir);
	cr_assert_eq(url_parse(path, &u, &e), 0);
	options.create = false;
	cr_expect_eq(url_open_store(&u, &options, &s, &trace, &e), -ENOENT);
	options.create = true;
	cr_assert_eq(url_open_store(&u, &options, &s, &trace, &e), 0, "%s", e.message);
	cr_assert_eq(store_put_bytes(s, "key", "value", 5, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0, "%s", e.message);
	cr_expect_eq(store_put_bytes(s, "key", "value", 5, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     STORE_PRECONDITION);
	trace_store_counts(trace, &counts);
	cr_expect_eq(counts.put, 2);
	cr_expect_eq(store_head(s, "key", NULL, NULL, &e), 0);
	url_deinit(&u);
	snprintf(file, sizeof(file), "rm -rf %s", dir);
	cr_assert_eq(system(file), 0);
}

Test(url, an_s3_store_is_opened_without_a_request)
{
	struct url_open_options options = { .credentials_file = "/nonexistent",
					    .clock = clock_system() };
	_cleanup_(store_freep) struct store *s = NULL;
	struct url u = { 0 };
	struct err e = ERR_INIT;

	cr_assert_eq(url_parse("s3://bucket/p?endpoint=http://127.0.0.1:1", &u, &e), 0);
	cr_assert_eq(url_open_store(&u, &options, &s, NULL, &e), 0, "%s", e.message);
	cr_expect_eq(store_head(s, "key", NULL, NULL, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_CREDENTIALS);
	options.ca = "/nonexistent.pem";
	store_free(s);
	s = NULL;
	cr_expect_eq(url_open_store(&u, &options, &s, NULL, &e), -EINVAL);
	cr_expect(strstr(e.message, "/nonexistent.pem"), "%s", e.message);
	url_deinit(&u);
}
