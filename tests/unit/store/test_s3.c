/* SPDX-License-Identifier: Apache-2.0 */
/* The S3 store against answers that are written here; what real servers do is shown by tests/contract. */
#include <errno.h>
#include <criterion/criterion.h>
#include "base/cancel.h"
#include "store/s3.h"
#include "tests/unit/store/script.h"

#define TAG "ETag: \"t\"\r\n"
#define XML_TYPE "Content-Type: application/xml\r\n"
#define EMPTY "Content-Length: 0\r\n\r\n"
#define ANSWER_OK "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nDate: Sun, 22 Nov 2026 10:42:00 GMT\r\n" EMPTY

/* The script, and a store that talks to it. */
struct stage {
	struct script script;
	struct store *store;
	struct err err;
	struct store_meta meta;
	char data[16];
};

static const char *no_variables(void *ctx, const char *name)
{
	if (strcmp(name, "AWS_ACCESS_KEY_ID") == 0)
		return "AKIDEXAMPLE";
	if (strcmp(name, "AWS_SECRET_ACCESS_KEY") == 0)
		return "secret";
	return strcmp(name, "AWS_SESSION_TOKEN") == 0 ? ctx : NULL;
}

static struct store *open_store(const char *endpoint, const char *token, int request_timeout_ms)
{
	struct creds_options creds = { .getenv = no_variables,
				       .getenv_ctx = (void *)(uintptr_t)token,
				       .clock = clock_system() };
	struct s3_options options = {
		.bucket = "bucket",
		.prefix = "pre",
		.endpoint = endpoint,
		.creds = creds_new(&creds),
		.clock = clock_system(),
		.request_timeout_ms = request_timeout_ms,
	};
	struct store *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(s3_store_new(&options, &s, &e), 0, "%s", e.message);
	return s;
}

static void stage_open(struct stage *t, const struct script_step *steps, size_t count)
{
	*t = (struct stage){ 0 };
	script_start(&t->script, steps, count);
	t->store = open_store(t->script.endpoint, NULL, 0);
	memset(t->data, '?', sizeof(t->data));
}

static void stage_close(struct stage *t)
{
	store_free(t->store);
	script_stop(&t->script);
}

static int put(struct stage *t, const char *text, enum store_cond cond)
{
	t->err = ERR_INIT;
	return store_put_bytes(t->store, "key", text, strlen(text), cond,
			       cond == STORE_IF_MATCH ? "e0" : NULL, &t->meta, NULL, &t->err);
}

/* len 0: the whole object. */
static int get(struct stage *t, uint64_t offset, uint64_t len)
{
	struct store_get req = {
		.key = "key",
		.offset = offset,
		.len_bytes = len,
		.whole = len == 0,
		.dst = t->data,
		.cap_bytes = len ? len : 10,
	};

	t->err = ERR_INIT;
	return store_get(t->store, &req, &t->meta, NULL, &t->err);
}

/* ---- what is sent ---- */

static void expect_header(const char *request, const char *line)
{
	char full[256];

	snprintf(full, sizeof(full), "\r\n%s\r\n", line);
	cr_expect(strcasestr(request, full), "%s in %s", line, request);
}

Test(s3, a_put_sends_its_key_encoded_and_its_body_hashed)
{
	static const struct script_step steps[] = { { ANSWER_OK, SCRIPT_KEEP },
						    { ANSWER_OK, SCRIPT_KEEP },
						    { ANSWER_OK, SCRIPT_KEEP } };
	struct iovec body[] = { { (void *)(uintptr_t) "Welcome", 7 },
				{ NULL, 0 },
				{ (void *)(uintptr_t) " to S3", 6 } };
	struct store_put req = {
		.key = "a b+%#\u00fc/c", .body = body, .body_count = 3, .cond = STORE_IF_ABSENT
	};
	struct stage t;
	const char *request;

	stage_open(&t, steps, ARRAY_SIZE(steps));
	cr_assert_eq(store_put(t.store, &req, &t.meta, NULL, &t.err), 0, "%s", t.err.message);
	cr_expect_str_eq(t.meta.etag, "e1");
	cr_expect_eq(t.meta.size_bytes, 13);
	cr_expect_eq(t.meta.date_ns, 1795344120000000000);
	request = t.script.requests[0];
	cr_expect(strstr(request, "PUT /bucket/pre/a%20b%2B%25%23%C3%BC/c HTTP/1.1\r\n") == request,
		  "%s", request);
	cr_expect(strstr(request, "\r\n\r\nWelcome to S3"));
	expect_header(
		request,
		"x-amz-content-sha256: 19045fd14380b0957838b3ed0cc4396b50ed6db92033a26eb8de4c6933c7193b");
	expect_header(request, "if-none-match: *");
	expect_header(request, "content-length: 13");
	expect_header(request, "user-agent: sstablefs/0.1.0");
	cr_expect(
		strcasestr(request, "\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
	cr_expect(strstr(request, ";if-none-match;x-amz-checksum-crc32;x-amz-content-sha256;"));
	cr_expect_null(strcasestr(request, "\r\nexpect:"));
	cr_assert_eq(put(&t, "x", STORE_IF_MATCH), 0);
	expect_header(t.script.requests[1], "if-match: \"e0\"");
	cr_assert_eq(put(&t, "", STORE_ALWAYS), 0);
	cr_expect_null(strcasestr(t.script.requests[2], "\r\nif-"));
	expect_header(t.script.requests[2], "content-length: 0");
	stage_close(&t);
}

Test(s3, a_session_token_is_sent_and_signed)
{
	static const struct script_step steps[] = { { ANSWER_OK, SCRIPT_KEEP } };
	struct stage t;

	stage_open(&t, steps, 1);
	store_free(t.store);
	t.store = open_store(t.script.endpoint, "to/ken==", 0);
	cr_assert_eq(put(&t, "x", STORE_ALWAYS), 0);
	expect_header(t.script.requests[0], "x-amz-security-token: to/ken==");
	cr_expect(strstr(t.script.requests[0], ";x-amz-security-token,"));
	stage_close(&t);
}

Test(s3, what_cannot_be_sent_is_refused_without_a_request)
{
	char key[STORE_KEY_MAX - 2];
	struct stage t;

	stage_open(&t, NULL, 0);
	memset(key, 'k', sizeof(key));
	key[sizeof(key) - 1] = 0;
	cr_expect_eq(store_head(t.store, key, NULL, NULL, &t.err), -ENAMETOOLONG);
	cr_expect_eq(t.err.kind, ERR_USAGE);
	cr_expect_eq(store_put_bytes(t.store, "key", "x", 1, STORE_IF_MATCH, "e\r\nx: y", NULL,
				     NULL, &t.err),
		     -EINVAL);
	cr_expect_eq(script_request_count(&t.script), 0);
	stage_close(&t);
}

/* ---- gets ---- */

Test(s3, a_range_is_believed_only_where_the_answer_is_that_range)
{
	static const struct {
		const char *answer;
		int want;
		enum err_kind kind;
		bool retryable;
	} cases[] = {
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nContent-Length: 5\r\n\r\n23456",
		  0, ERR_NONE, false },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n23456\r\n0\r\n\r\n",
		  0, ERR_NONE, false },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 3-6/100\r\nContent-Length: 5\r\n\r\n34567",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 0-4/100\r\nContent-Length: 5\r\n\r\n01234",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-5/100\r\nContent-Length: 4\r\n\r\n2345",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-7/100\r\nContent-Length: 6\r\n\r\n234567",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG "Content-Length: 5\r\n\r\n23456", -EIO, ERR_STORE,
		  true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nContent-Length: 5\r\n\r\n234",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nContent-Length: 4\r\n\r\n2345",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nContent-Length: 6\r\n\r\n234567",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n2345\r\n0\r\n\r\n",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-6/100\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n23456\r\n",
		  -EIO, ERR_STORE, true },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\n234",
		  -ERANGE, ERR_CORRUPT, false },
		{ "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 10\r\n\r\n0123456789", -EIO, ERR_STORE,
		  true },
		{ "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 5\r\n\r\n01234", -ERANGE, ERR_CORRUPT,
		  false },
		{ "HTTP/1.1 200 OK\r\n" TAG "\r\n23456", -EIO, ERR_STORE, true },
		{ "HTTP/1.1 416 R\r\nContent-Length: 0\r\n\r\n", -ERANGE, ERR_CORRUPT, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct script_step step = { cases[i].answer, SCRIPT_CLOSE };
		struct stage t;

		stage_open(&t, &step, 1);
		cr_expect_eq(get(&t, 2, 5), cases[i].want, "case %zu: %s", i, t.err.message);
		cr_expect_eq(t.err.kind, cases[i].kind, "case %zu", i);
		cr_expect_eq(t.err.retryable, cases[i].retryable, "case %zu: %s", i, t.err.message);
		cr_expect_not(t.err.outcome_unknown);
		cr_expect_eq(memcmp(t.data + 5, "??????", 6), 0, "case %zu", i);
		if (cases[i].want == 0) {
			cr_expect_eq(memcmp(t.data, "23456", 5), 0);
			cr_expect_eq(t.meta.size_bytes, 100);
		}
		expect_header(t.script.requests[0], "range: bytes=2-6");
		stage_close(&t);
	}
}

Test(s3, a_whole_object_may_answer_a_request_for_a_range_that_is_all_of_it)
{
	static const struct script_step step = { "HTTP/1.1 200 OK\r\n" TAG
						 "Content-Length: 5\r\n\r\n01234",
						 SCRIPT_KEEP };
	struct stage t;

	stage_open(&t, &step, 1);
	cr_assert_eq(get(&t, 0, 5), 0, "%s", t.err.message);
	cr_expect_eq(memcmp(t.data, "01234?", 6), 0);
	stage_close(&t);
}

Test(s3, a_whole_object_is_complete_and_fits_or_is_refused)
{
	static const struct {
		const char *answer;
		int want;
		enum err_kind kind;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 10\r\nETag: \"x\"\r\n\r\n0123456789",
		  0, ERR_NONE },
		{ "HTTP/1.1 103 Early Hints\r\nLast-Modified: Sun, 22 Nov 2026 10:42:00 GMT\r\n\r\n"
		  "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 10\r\n\r\n0123456789",
		  0, ERR_NONE },
		{ "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 11\r\n\r\n01234567890", -EFBIG,
		  ERR_CORRUPT },
		{ "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 10\r\n\r\n012345678", -EIO,
		  ERR_STORE },
		{ "HTTP/1.1 200 OK\r\n" TAG "\r\n0123456789", -EIO, ERR_STORE },
		{ "HTTP/1.1 206 P\r\n" TAG
		  "Content-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789",
		  -EIO, ERR_STORE },
		{ "", -EIO, ERR_STORE },
		{ "SSH-2.0-x\r\n\r\n", -EIO, ERR_STORE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct script_step step = { cases[i].answer, SCRIPT_CLOSE };
		struct stage t;

		stage_open(&t, &step, 1);
		cr_expect_eq(get(&t, 0, 0), cases[i].want, "case %zu: %s", i, t.err.message);
		cr_expect_eq(t.err.kind, cases[i].kind, "case %zu: %s", i, t.err.message);
		if (cases[i].want == 0) {
			cr_expect_str_eq(t.meta.etag, "x");
			cr_expect_eq(t.meta.size_bytes, 10);
			cr_expect_eq(t.meta.modified_ns, 0);
		}
		stage_close(&t);
	}
}

Test(s3, the_body_of_an_error_never_reaches_the_buffer_of_a_get)
{
	static const struct script_step step = {
		"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nx-amz-request-id: R1\r\nContent-Length: 39\r\n\r\n"
		"<Error><Code>SlowDown</Code></Error>\n\n\n",
		SCRIPT_KEEP
	};
	struct stage t;

	stage_open(&t, &step, 1);
	cr_expect_eq(get(&t, 0, 0), -EAGAIN, "%s", t.err.message);
	cr_expect(t.err.retryable);
	cr_expect_eq(t.err.retry_after_ms, 3000);
	cr_expect_eq(t.err.http_status, 503);
	cr_expect_str_eq(t.err.request_id, "R1");
	cr_expect_str_eq(t.err.key, "key");
	cr_expect_eq(memcmp(t.data, "????????????????", 16), 0);
	stage_close(&t);
}

/* ---- outcomes ---- */

#define NO_SUCH(what) "<Error><Code>NoSuch" what "</Code></Error>"

Test(s3, outcomes_and_errors_are_told_apart)
{
	static const struct {
		const char *answer;
		char method; /* put If-match, put if Absent, Put, Get, Head */
		int want;
		enum err_kind kind;
	} cases[] = {
		{ "HTTP/1.1 404 N\r\nContent-Length: 37\r\n\r\n" NO_SUCH("Key"), 'G',
		  STORE_NOT_FOUND, ERR_NONE },
		{ "HTTP/1.1 404 N\r\nContent-Length: 37\r\n\r\n" NO_SUCH("Key"), 'M',
		  STORE_NOT_FOUND, ERR_NONE },
		{ "HTTP/1.1 404 N\r\nContent-Length: 40\r\n\r\n" NO_SUCH("Bucket"), 'G', -ENOENT,
		  ERR_NOT_FOUND },
		{ "HTTP/1.1 404 N\r\nContent-Length: 40\r\n\r\n" NO_SUCH("Bucket"), 'P', -ENOENT,
		  ERR_NOT_FOUND },
		{ "HTTP/1.1 404 N\r\nContent-Length: 6\r\n\r\n<html>", 'G', -EIO, ERR_STORE },
		{ "HTTP/1.1 404 N\r\n\r\n", 'H', STORE_NOT_FOUND, ERR_NONE },
		{ "HTTP/1.1 412 P\r\n" EMPTY, 'M', STORE_PRECONDITION, ERR_NONE },
		{ "HTTP/1.1 412 P\r\n" EMPTY, 'A', STORE_PRECONDITION, ERR_NONE },
		{ "HTTP/1.1 412 P\r\n" EMPTY, 'G', -EIO, ERR_STORE },
		{ "HTTP/1.1 409 C\r\n" EMPTY, 'A', STORE_CONFLICT, ERR_NONE },
		{ "HTTP/1.1 409 C\r\n" EMPTY, 'P', STORE_CONFLICT, ERR_NONE },
		{ "HTTP/1.1 403 F\r\n\r\n", 'H', -EACCES, ERR_CREDENTIALS },
		{ "HTTP/1.1 301 M\r\nx-amz-bucket-region: us-east-1\r\nLocation: http://127.0.0.1:1/\r\n" EMPTY,
		  'G', -EINVAL, ERR_USAGE },
		{ "HTTP/1.1 307 M\r\nLocation: http://localhost:1/\r\n" EMPTY, 'P', -EINVAL,
		  ERR_USAGE },
		{ "HTTP/1.1 302 M\r\nLocation: http://127.0.0.1:1/\r\n" EMPTY, 'G', -EINVAL,
		  ERR_USAGE },
		{ "HTTP/1.1 200 OK\r\n" TAG
		  "Content-Length: 7\r\nLast-Modified: Sun, 22 Nov 2026 10:42:00 GMT\r\n\r\n",
		  'H', 0, ERR_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct script_step step = { cases[i].answer, SCRIPT_CLOSE };
		struct stage t;
		int r;

		stage_open(&t, &step, 1);
		if (cases[i].method == 'G')
			r = get(&t, 0, 0);
		else if (cases[i].method == 'H')
			r = store_head(t.store, "key", &t.meta, NULL, &t.err);
		else
			r = put(&t, "body",
				cases[i].method == 'M'	 ? STORE_IF_MATCH
				: cases[i].method == 'A' ? STORE_IF_ABSENT
							 : STORE_ALWAYS);
		cr_expect_eq(r, cases[i].want, "case %zu: %d %s", i, r, t.err.message);
		cr_expect_eq(t.err.kind, cases[i].kind, "case %zu: %s", i, t.err.message);
		cr_expect_not(t.err.outcome_unknown, "case %zu", i);
		if (r == 0)
			cr_expect(t.meta.size_bytes == 7 &&
				  t.meta.modified_ns == 1795344120000000000);
		stage_close(&t);
	}
}

/* ---- answers that do not come ---- */

Test(s3, a_put_whose_answer_is_lost_is_not_made_again_and_says_so)
{
	static const struct script_step steps[] = { { ANSWER_OK, SCRIPT_KEEP },
						    { "", SCRIPT_CLOSE },
						    { ANSWER_OK, SCRIPT_KEEP } };
	static const char *const bodies[] = { "a body", "" };

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct stage t;

		stage_open(&t, steps, ARRAY_SIZE(steps));
		cr_assert_eq(put(&t, "first", STORE_ALWAYS), 0);
		cr_expect_eq(put(&t, bodies[i], STORE_IF_ABSENT), -EIO, "%s", t.err.message);
		cr_expect(t.err.retryable && t.err.outcome_unknown, "%s", t.err.message);
		cr_expect_eq(script_request_count(&t.script), 2);
		stage_close(&t);
	}
}

Test(s3, a_put_that_could_not_connect_was_not_carried_out)
{
	struct stage t;

	stage_open(&t, NULL, 0);
	store_free(t.store);
	t.store = open_store("http://127.0.0.1:1", NULL, 0);
	cr_expect_eq(put(&t, "body", STORE_IF_ABSENT), -EIO, "%s", t.err.message);
	cr_expect(t.err.retryable);
	cr_expect_not(t.err.outcome_unknown);
	stage_close(&t);
}

Test(s3, a_request_that_gets_no_answer_ends_by_its_timeout)
{
	static const struct script_step step = { "", SCRIPT_HOLD };
	struct stage t;

	stage_open(&t, &step, 1);
	store_free(t.store);
	t.store = open_store(t.script.endpoint, NULL, 100);
	cr_expect_eq(put(&t, "body", STORE_ALWAYS), -ETIMEDOUT, "%s", t.err.message);
	cr_expect(t.err.retryable && t.err.outcome_unknown);
	stage_close(&t);
}

static void cancel_at_once(void *ctx, size_t done)
{
	cancel_set(ctx, 1);
}

Test(s3, a_cancelled_request_lets_go_of_the_buffer)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n" TAG "Content-Length: 1000000\r\n\r\n";
	static char data[1000000], answer[sizeof(head) + 900000];
	const struct script_step step = { answer, SCRIPT_HOLD };
	struct cancel cancel = { 0 };
	struct stage t;
	struct store_get req = { .key = "key",
				 .whole = true,
				 .dst = data,
				 .cap_bytes = 1000000,
				 .expected_bytes = 1000000,
				 .progress = cancel_at_once,
				 .progress_ctx = &cancel };

	memset(mempcpy(answer, head, sizeof(head) - 1), 'x', 900000);
	stage_open(&t, &step, 1);
	cr_expect_eq(store_get(t.store, &req, NULL, &cancel, &t.err), -ECANCELED);
	cr_expect_not(t.err.retryable);
	stage_close(&t);
}

/* ---- many keys ---- */

static char listed[256];

static int note(void *ctx, const struct store_entry *entry, struct err *e)
{
	snprintf(listed + strlen(listed), sizeof(listed) - strlen(listed), "%s ", entry->key);
	return 0;
}

/* A page: what is between <ListBucketResult> and its end. */
static struct script_step page(char *out, size_t size, const char *inside)
{
	snprintf(out, size,
		 "HTTP/1.1 200 OK\r\n" XML_TYPE
		 "Content-Length: %zu\r\n\r\n<ListBucketResult>%s</ListBucketResult>",
		 strlen(inside) + 37, inside);
	return (struct script_step){ out, SCRIPT_KEEP };
}

#define ITEM(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define MORE(token) \
	"<IsTruncated>true</IsTruncated><NextContinuationToken>" token "</NextContinuationToken>"

static int list(struct stage *t, const char *first, const char *second)
{
	char text[2][1024];
	struct script_step steps[2] = { page(text[0], sizeof(text[0]), first),
					page(text[1], sizeof(text[1]), second) };
	struct store_list req = {
		.prefix = "a b/", .delimiter = true, .start_after = "a b/0", .entry = note
	};
	int r;

	listed[0] = 0;
	stage_open(t, steps, 2);
	r = store_list(t->store, &req, NULL, &t->err);
	if (script_request_count(&t->script) == 2 && r == 0) {
		cr_expect(strstr(
			t->script.requests[0],
			"GET /bucket/?delimiter=%2F&encoding-type=url&list-type=2&max-keys=1000"
			"&prefix=pre%2Fa%20b%2F&start-after=pre%2Fa%20b%2F0 HTTP/1.1"));
		cr_expect(strstr(t->script.requests[1],
				 "GET /bucket/?continuation-token=t%2F1&delimiter="));
	}
	stage_close(t);
	return r;
}

Test(s3, a_listing_goes_through_its_pages_in_order)
{
	struct stage t;

	cr_assert_eq(
		list(&t,
		     ITEM("pre/a b/0")
			     ITEM("pre/a b/2") "<CommonPrefixes><Prefix>pre/a b/1/</Prefix></CommonPrefixes>" MORE(
				     "t/1"),
		     ITEM("pre/a b/3") ITEM("pre/a b/4/")),
		0, "%s", t.err.message);
	cr_expect_str_eq(listed, "a b/1/ a b/2 a b/3 ");
}

Test(s3, listings_that_make_no_sense_are_refused)
{
	static const char *const pages[][3] = {
		{ ITEM("pre/a b/2") MORE("t/1"), ITEM("pre/a b/1"), "in order" },
		{ ITEM("pre/a b/2") MORE("t/1"), ITEM("pre/a b/2"), "in order" },
		{ ITEM("pre/a c") MORE("t/1"), "", "does not begin" },
		{ ITEM("a b/2"), "", "does not begin" },
		{ ITEM("pre/a b/1") MORE("t/1"), ITEM("pre/a b/2") MORE("t/1"), "advance" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		struct stage t;

		cr_expect_eq(list(&t, pages[i][0], pages[i][1]), -EIO, "case %zu", i);
		cr_expect_eq(t.err.kind, ERR_STORE);
		cr_expect(strstr(t.err.message, pages[i][2]), "case %zu: %s", i, t.err.message);
	}
}

static int delete_three(struct stage *t, const char *answer, struct store_delete_error errors[3],
			size_t *count)
{
	static const char *const keys[] = { "a&b", "c\x01", "d" };
	char text[1024];
	struct script_step step = { text, SCRIPT_KEEP };
	int r;

	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n" XML_TYPE "Content-Length: %zu\r\n\r\n%s",
		 strlen(answer), answer);
	stage_open(t, &step, 1);
	r = store_delete_many(t->store, keys, 3, errors, count, NULL, &t->err);
	cr_expect(strstr(t->script.requests[0], "POST /bucket/?delete= HTTP/1.1"));
	cr_expect(strstr(
		t->script.requests[0],
		"<Object><Key>pre/a&amp;b</Key></Object><Object><Key>pre/d</Key></Object></Delete>"));
	cr_expect(strcasestr(t->script.requests[0], "\r\ncontent-md5: "));
	stage_close(t);
	return r;
}

Test(s3, keys_that_were_not_deleted_are_told_one_by_one)
{
	struct store_delete_error errors[3];
	struct stage t;
	size_t count = 0;

	cr_assert_eq(
		delete_three(
			&t,
			"<DeleteResult><Error><Key>pre/d</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
			"<Error><Key>pre/a&amp;b</Key><Code>NoSuchKey</Code></Error></DeleteResult>",
			errors, &count),
		0, "%s", t.err.message);
	cr_assert_eq(count, 2);
	cr_expect_eq(errors[0].index, 1);
	cr_expect_str_eq(errors[0].code, "InvalidKey");
	cr_expect_eq(errors[1].index, 2);
	cr_expect_str_eq(errors[1].code, "AccessDenied");
	cr_expect_str_eq(errors[1].message, "no");
}

Test(s3, an_error_under_a_good_status_is_an_error)
{
	struct store_delete_error errors[3];
	struct stage t;
	size_t count = 99;

	cr_expect_eq(delete_three(&t, "<Error><Code>InternalError</Code></Error>", errors, &count),
		     -EIO);
	cr_expect(t.err.retryable);
	cr_expect_not(t.err.outcome_unknown);
	cr_expect_eq(
		delete_three(
			&t,
			"<DeleteResult><Error><Key>other</Key><Code>X</Code></Error></DeleteResult>",
			errors, &count),
		-EIO);
	cr_expect_eq(delete_three(&t, "", errors, &count), -EIO);
	cr_expect_eq(count, 99);
}
