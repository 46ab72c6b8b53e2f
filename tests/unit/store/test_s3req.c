/* SPDX-License-Identifier: Apache-2.0 */
/* What the S3 store learns from answers, and which of them it does not take for a success. */
#include <errno.h>
#include <criterion/criterion.h>
#include "store/s3.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/store/script.h"

#define NOW_NS 1795344120000000000LL /* Sun, 22 Nov 2026 10:42:00 GMT */
#define OK "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"
#define BUSY "HTTP/1.1 503 B\r\nContent-Length: 36\r\n\r\n<Error><Code>SlowDown</Code></Error>"

static const char *keys_of_environment(void *ctx, const char *name)
{
	if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0)
		return "AKIDEXAMPLE";
	return strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0 ? "secret" : NULL;
}

struct stage {
	struct script script;
	struct fake_clock clock;
	struct metrics *metrics;
	struct store *store;
	struct err err;
	char log[1024];
};

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	struct stage *t = ctx;

	snprintf(t->log + strlen(t->log), sizeof(t->log) - strlen(t->log), "%s\n", line);
}

static struct log *log_of(struct stage *t)
{
	return log_new(clock_system(), LOG_LEVEL_DEBUG, keep_line, t);
}

static void stage_open(struct stage *t, const struct script_step *steps, size_t count,
		       struct log *log)
{
	struct creds_options creds = { .getenv = keys_of_environment, .clock = clock_system() };
	struct s3_options options = { .bucket = "bucket", .connections = 16, .log = log };

	*t = (struct stage){ .metrics = metrics_new() };
	fake_clock_init(&t->clock, NOW_NS);
	script_start(&t->script, steps, count);
	options.clock = &t->clock.clock;
	options.metrics = t->metrics;
	options.endpoint = t->script.endpoint;
	options.creds = creds_new(&creds);
	cr_assert_eq(s3_store_new(&options, &t->store, &t->err), 0, "%s", t->err.message);
}

static void stage_close(struct stage *t)
{
	store_free(t->store);
	script_stop(&t->script);
	metrics_free(t->metrics);
}

static int put(struct stage *t, const char *text)
{
	t->err = ERR_INIT;
	return store_put_bytes(t->store, "key", text, strlen(text), STORE_IF_ABSENT, NULL, NULL,
			       NULL, &t->err);
}

static int head(struct stage *t)
{
	t->err = ERR_INIT;
	return store_head(t->store, "key", NULL, NULL, &t->err);
}

static bool asks(const struct stage *t, size_t request, const char *text)
{
	return strcasestr(t->script.requests[request], text);
}

/* ---- the connection ---- */

Test(s3req, what_follows_an_answer_on_its_connection_costs_the_next_request_another_attempt)
{
	static const struct script_step steps[] = { { OK, SCRIPT_KEEP },
						    { "another" OK, SCRIPT_CLOSE },
						    { "another" OK, SCRIPT_CLOSE } };
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_expect_eq(head(&t), 0, "%s", t.err.message);
	cr_expect_eq(head(&t), -EIO);
	cr_expect(t.err.retryable, "%s", t.err.message);
	cr_expect_eq(head(&t), -EIO);
	cr_expect_not(t.err.retryable, "the first answer of a connection: no HTTP server");
	stage_close(&t);
}

/* ---- the region ---- */

Test(s3req, the_region_of_the_bucket_is_learned_once)
{
	static const struct script_step steps[] = {
		{ "HTTP/1.1 400 B\r\nx-amz-bucket-region: eu-west-1\r\nContent-Length: 99\r\n\r\n",
		  SCRIPT_KEEP },
		{ OK, SCRIPT_KEEP },
		{ OK, SCRIPT_KEEP },
	};
	struct stage t;
	struct log *log = log_of(&t);

	stage_open(&t, steps, ARRAY_SIZE(steps), log);
	cr_assert_eq(head(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 0, "/us-east-1/s3/aws4_request"));
	cr_expect(asks(&t, 1, "/eu-west-1/s3/aws4_request"));
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_expect(asks(&t, 2, "/eu-west-1/s3/aws4_request"));
	cr_expect(strstr(t.log, "put region=eu-west-1 into the URL"), "%s", t.log);
	stage_close(&t);
	log_free(log);
}

Test(s3req, a_body_is_sent_again_to_the_region_that_the_answer_names)
{
	static const struct script_step steps[] = {
		{ "HTTP/1.1 400 B\r\nContent-Length: 84\r\n\r\n"
		  "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>\n\n",
		  SCRIPT_KEEP },
		{ OK, SCRIPT_KEEP },
	};
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_assert_eq(put(&t, "the body"), 0, "%s", t.err.message);
	cr_expect(asks(&t, 1, "\r\n\r\nthe body"));
	cr_expect(asks(&t, 1, "if-none-match: *"));
	cr_expect(asks(&t, 1, "/eu-west-1/s3/aws4_request"));
	stage_close(&t);
}

Test(s3req, servers_that_send_each_other_the_bucket_are_asked_twice)
{
	static const struct script_step steps[] = {
		{ "HTTP/1.1 301 B\r\nx-amz-bucket-region: eu-west-1\r\nContent-Length: 0\r\n\r\n",
		  SCRIPT_KEEP },
		{ "HTTP/1.1 301 B\r\nx-amz-bucket-region: us-east-1\r\nContent-Length: 0\r\n\r\n",
		  SCRIPT_KEEP },
	};
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_expect_eq(put(&t, "x"), -EINVAL, "%s", t.err.message);
	cr_expect_eq(t.err.kind, ERR_USAGE);
	cr_expect_not(t.err.outcome_unknown);
	cr_expect_eq(script_request_count(&t.script), 2);
	stage_close(&t);
}

/* ---- redirects ---- */

Test(s3req, a_temporary_redirect_is_followed_with_method_and_body_for_that_request_only)
{
	static const struct script_step there[] = { { OK, SCRIPT_KEEP } };
	struct script other;
	char redirect[256], host[64];
	struct script_step steps[] = { { redirect, SCRIPT_KEEP }, { OK, SCRIPT_KEEP } };
	struct stage t;

	script_start(&other, there, 1);
	snprintf(redirect, sizeof(redirect),
		 "HTTP/1.1 307 T\r\nLocation: %s/bucket/k%%20ey?rk=1\r\nContent-Length: 0\r\n\r\n",
		 other.endpoint);
	snprintf(host, sizeof(host), "host: %s\r\n", other.endpoint + strlen("http://"));
	stage_open(&t, steps, 2, NULL);
	cr_assert_eq(put(&t, "the body"), 0, "%s", t.err.message);
	cr_assert_eq(script_request_count(&other), 1);
	cr_expect(strstr(other.requests[0], "PUT /bucket/k%20ey?rk=1 HTTP/1.1\r\n") ==
		  other.requests[0]);
	cr_expect(strstr(other.requests[0], "\r\n\r\nthe body"));
	cr_expect(strcasestr(other.requests[0], host), "%s", other.requests[0]);
	cr_assert_eq(put(&t, "next"), 0);
	cr_expect(asks(&t, 1, "PUT /bucket/key HTTP/1.1"));
	stage_close(&t);
	script_stop(&other);
}

Test(s3req, redirects_that_do_not_end_are_given_up)
{
	char redirect[256];
	struct script_step steps[] = { { redirect, SCRIPT_KEEP },
				       { redirect, SCRIPT_KEEP },
				       { redirect, SCRIPT_KEEP },
				       { redirect, SCRIPT_KEEP } };
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	snprintf(redirect, sizeof(redirect),
		 "HTTP/1.1 307 T\r\nLocation: %s/bucket/key\r\nContent-Length: 0\r\n\r\n",
		 t.script.endpoint);
	cr_expect_eq(put(&t, "x"), -EINVAL, "%s", t.err.message);
	cr_expect_eq(script_request_count(&t.script), 3);
	stage_close(&t);
}

Test(s3req, a_redirect_to_a_stranger_is_refused_and_named)
{
	static const struct script_step steps[] = {
		{ "HTTP/1.1 307 T\r\nLocation: http://evil.example:8080/x?secret=1\r\nContent-Length: 0\r\n\r\n",
		  SCRIPT_KEEP }
	};
	struct stage t;

	stage_open(&t, steps, 1, NULL);
	cr_expect_eq(put(&t, "x"), -EINVAL);
	cr_expect_eq(t.err.kind, ERR_USAGE);
	cr_expect(strstr(t.err.message, "redirects to http://evil.example:8080, which is not"),
		  "%s", t.err.message);
	cr_expect_null(strstr(t.err.message, "secret"));
	stage_close(&t);
}

/* ---- the clock ---- */

#define SKEWED(minute)                                                      \
	"HTTP/1.1 403 F\r\nDate: Sun, 22 Nov 2026 11:" minute ":00 GMT\r\n" \
	"Content-Length: 48\r\n\r\n"                                        \
	"<Error><Code>RequestTimeTooSkewed</Code></Error>"

Test(s3req, a_wrong_clock_is_corrected_from_the_answer_and_said)
{
	static const struct script_step steps[] = { { SKEWED("12"), SCRIPT_KEEP },
						    { OK, SCRIPT_KEEP },
						    { OK, SCRIPT_KEEP } };
	struct stage t;
	struct log *log = log_of(&t);

	stage_open(&t, steps, ARRAY_SIZE(steps), log);
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_expect(asks(&t, 0, "x-amz-date: 20261122T104200Z"));
	cr_expect(asks(&t, 1, "x-amz-date: 20261122T111200Z"));
	t.clock.wall_ns += 60000000000LL;
	cr_assert_eq(head(&t), 0);
	cr_expect(asks(&t, 2, "x-amz-date: 20261122T111300Z"));
	cr_expect(strstr(t.log, "clock is 1800 s behind the store's"), "%s", t.log);
	stage_close(&t);
	log_free(log);
}

Test(s3req, a_store_that_stays_of_another_time_is_asked_twice)
{
	static const struct script_step steps[] = { { SKEWED("12"), SCRIPT_KEEP },
						    { SKEWED("42"), SCRIPT_KEEP },
						    { OK, SCRIPT_KEEP } };
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_expect_eq(put(&t, "x"), -EACCES);
	cr_expect(strstr(t.err.message, "3600 s behind"), "%s", t.err.message);
	cr_expect_eq(script_request_count(&t.script), 2);
	stage_close(&t);
}

/* ---- successes that are none ---- */

Test(s3req, a_put_is_stored_only_where_s3_itself_says_so)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"x\"\r\n\r\n<html>",
		"HTTP/1.1 200 OK\r\nContent-Length: 41\r\nETag: \"x\"\r\n\r\n<Error><Code>InternalError</Code></Error>",
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct script_step step = { answers[i], SCRIPT_KEEP };
		struct stage t;

		stage_open(&t, &step, 1, NULL);
		cr_expect_eq(put(&t, "x"), -EIO, "case %zu", i);
		cr_expect_eq(t.err.kind, ERR_STORE, "case %zu", i);
		cr_expect(t.err.outcome_unknown, "case %zu: %s", i, t.err.message);
		stage_close(&t);
	}
}

Test(s3req, a_get_and_a_head_are_believed_only_where_s3_answers)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"x\"\r\nContent-Type: text/html\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		char data[10] = "", with_body[256];
		struct script_step steps[] = { { answers[i], SCRIPT_CLOSE },
					       { with_body, SCRIPT_CLOSE } };
		struct store_get get = {
			.key = "key", .whole = true, .dst = data, .cap_bytes = sizeof(data)
		};
		struct stage t;

		snprintf(with_body, sizeof(with_body), "%s012345", answers[i]);
		stage_open(&t, steps, 2, NULL);
		cr_expect_eq(head(&t), -EIO, "case %zu", i);
		cr_expect_eq(store_get(t.store, &get, NULL, NULL, &t.err), -EIO, "case %zu", i);
		cr_expect_eq(t.err.kind, ERR_STORE, "case %zu", i);
		stage_close(&t);
	}
}

static int note(void *ctx, const struct store_entry *entry, struct err *e)
{
	return 0;
}

Test(s3req, what_is_no_listing_is_never_an_empty_one)
{
	static const struct {
		const char *answer;
		bool retryable;
		const char *says;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, "XML is missing" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<ListBucketResult><a", true,
		  "not understood" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<a></a>\n", true, "not understood" },
		{ "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>",
		  false, "web page" },
		{ "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
		  false, "compressed" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n<Error><Code>SlowDown</Code></Error>",
		  true, "busy" },
		{ "HTTP/1.1 204 N\r\n\r\n", false, "like an S3 server" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct script_step step = { cases[i].answer, SCRIPT_KEEP };
		struct store_list list = { .prefix = "", .entry = note };
		struct stage t;

		stage_open(&t, &step, 1, NULL);
		cr_expect_lt(store_list(t.store, &list, NULL, &t.err), 0, "case %zu", i);
		cr_expect_eq(t.err.kind, ERR_STORE, "case %zu", i);
		cr_expect_eq(t.err.retryable, cases[i].retryable, "case %zu", i);
		cr_expect(strstr(t.err.message, cases[i].says), "case %zu: %s", i, t.err.message);
		stage_close(&t);
	}
}

/* ---- load ---- */

Test(s3req, a_busy_store_gets_fewer_requests_at_once)
{
	static const struct script_step steps[] = { { BUSY, SCRIPT_KEEP },
						    { BUSY, SCRIPT_KEEP },
						    { OK, SCRIPT_KEEP } };
	struct metric *allowed;
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	allowed = metrics_counter(t.metrics, "store_requests_allowed", NULL);
	cr_expect_eq(metric_get(allowed), 16);
	cr_expect_eq(put(&t, "x"), -EAGAIN);
	cr_expect_eq(metric_get(allowed), 8);
	t.clock.elapsed_ns++;
	cr_expect_eq(put(&t, "x"), -EAGAIN);
	cr_expect_eq(metric_get(allowed), 4);
	cr_expect_eq(metric_get(metrics_counter(t.metrics, "store_busy_answers_total", NULL)), 2);
	cr_expect_eq(put(&t, "x"), 0);
	stage_close(&t);
}

/* ---- what protects a body ---- */

static int put_large(struct stage *t)
{
	static char body[70000];
	const struct iovec iov = { body, sizeof(body) };
	const struct store_put req = {
		.key = "large", .body = &iov, .body_count = 1, .cond = STORE_IF_ABSENT
	};

	memset(body, 'b', sizeof(body));
	t->err = ERR_INIT;
	return store_put(t->store, &req, NULL, NULL, &t->err);
}

#define SUM_OF_X "x-amz-checksum-crc32: jNwWgw=="
#define SUM_OF_LARGE "x-amz-checksum-crc32: JxZnog=="
#define BARE "x-amz-content-sha256: UNSIGNED-PAYLOAD"
#define WITH_SUM(line) "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n" line "\r\nContent-Length: 0\r\n\r\n"

Test(s3req, large_bodies_are_hashed_for_the_signature_until_a_server_echoes_a_checksum)
{
	static const struct script_step steps[] = {
		{ OK, SCRIPT_KEEP },
		{ OK, SCRIPT_KEEP },
		{ WITH_SUM(SUM_OF_X), SCRIPT_KEEP },
		{ WITH_SUM(SUM_OF_LARGE), SCRIPT_KEEP },
		{ WITH_SUM(SUM_OF_X), SCRIPT_KEEP },
	};
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_expect(asks(&t, 0, SUM_OF_X), "%s", t.script.requests[0]);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 1, SUM_OF_LARGE) && !asks(&t, 1, BARE), "%.999s", t.script.requests[1]);
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 3, SUM_OF_LARGE) && asks(&t, 3, BARE));
	cr_expect(asks(&t, 3, "x-amz-checksum-crc32;x-amz-content-sha256"), "it is signed");
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_expect(asks(&t, 4, SUM_OF_X) && !asks(&t, 4, BARE));
	stage_close(&t);
}

Test(s3req, a_server_that_takes_no_checksums_or_wants_the_digest_gets_digests_from_then_on)
{
	static const struct script_step no_checksums[] = {
		{ "HTTP/1.1 400 B\r\nContent-Length: 43\r\n\r\n<Error><Code>InvalidArgument</Code></Error>",
		  SCRIPT_KEEP },
		{ WITH_SUM(SUM_OF_X), SCRIPT_KEEP }, /* of its own accord */
		{ OK, SCRIPT_KEEP },
	};
	static const struct script_step wants_digests[] = {
		{ WITH_SUM(SUM_OF_LARGE), SCRIPT_KEEP },
		{ "HTTP/1.1 400 B\r\nContent-Length: 53\r\n\r\n<Error><Code>XAmzContentSHA256Mismatch</Code></Error>",
		  SCRIPT_KEEP },
		{ OK, SCRIPT_KEEP },
	};
	struct stage t;

	stage_open(&t, no_checksums, ARRAY_SIZE(no_checksums), NULL);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 0, "x-amz-checksum") && !asks(&t, 1, "x-amz-checksum"));
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect_not(asks(&t, 2, "x-amz-checksum") || asks(&t, 2, BARE));
	stage_close(&t);
	stage_open(&t, wants_digests, ARRAY_SIZE(wants_digests), NULL);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 1, BARE) && !asks(&t, 2, BARE) && !asks(&t, 2, "x-amz-checksum"));
	stage_close(&t);
}

Test(s3req, an_object_that_was_stored_with_another_checksum_is_no_success)
{
	static const struct script_step steps[] = { { WITH_SUM(SUM_OF_LARGE), SCRIPT_KEEP } };
	struct stage t;

	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_expect_eq(put(&t, "x"), -EBADMSG);
	cr_expect_eq(t.err.kind, ERR_CORRUPT);
	cr_expect_not(t.err.retryable || t.err.outcome_unknown, "the key exists now");
	cr_expect_str_eq(
		t.err.message,
		"the store holds other bytes than were sent: its CRC-32 is JxZnog==, and should be jNwWgw==");
	stage_close(&t);
}

Test(s3req, a_body_that_was_damaged_on_its_way_is_told_and_may_be_sent_again)
{
	static const struct script_step steps[] = {
		{ "HTTP/1.1 400 B\r\nContent-Length: 55\r\n\r\n<Error><Code>XAmzContentChecksumMismatch</Code></Error>",
		  SCRIPT_KEEP },
	};
	struct stage t;
	struct log *log = log_of(&t);

	stage_open(&t, steps, ARRAY_SIZE(steps), log);
	cr_expect_eq(put(&t, "x"), -EIO);
	cr_expect(t.err.retryable && !t.err.outcome_unknown);
	cr_expect(strstr(t.err.message, "damaged on its way"), "%s", t.err.message);
	cr_expect(
		strstr(t.log,
		       "the store refused key, whose bytes were changed on their way to it (XAmzContentChecksumMismatch)"),
		"%s", t.log);
	stage_close(&t);
	log_free(log);
}

Test(s3req, a_server_that_a_redirect_leads_to_is_not_trusted_for_what_another_one_did)
{
	static const struct script_step there[] = { { WITH_SUM(SUM_OF_LARGE), SCRIPT_KEEP } };
	struct script other;
	char redirect[256];
	struct script_step steps[] = { { WITH_SUM(SUM_OF_X), SCRIPT_KEEP },
				       { redirect, SCRIPT_KEEP } };
	struct stage t;

	script_start(&other, there, ARRAY_SIZE(there));
	snprintf(redirect, sizeof(redirect),
		 "HTTP/1.1 307 T\r\nLocation: %s/bucket/large\r\nContent-Length: 0\r\n\r\n",
		 other.endpoint);
	stage_open(&t, steps, ARRAY_SIZE(steps), NULL);
	cr_assert_eq(put(&t, "x"), 0, "%s", t.err.message);
	cr_assert_eq(put_large(&t), 0, "%s", t.err.message);
	cr_expect(asks(&t, 1, BARE));
	cr_expect(strcasestr(other.requests[0], SUM_OF_LARGE));
	cr_expect_not(strcasestr(other.requests[0], BARE));
	stage_close(&t);
	script_stop(&other);
}
