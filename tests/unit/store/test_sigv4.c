/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vectors are AWS's own: the Signature Version 4 test suite (service "service", 20150830T123600Z) and the examples of "Authenticating
 * Requests: Using the Authorization Header" in the S3 API reference (20130524T000000Z).
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/digest.h"
#include "store/sigv4.h"

#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

struct vector {
	const char *name, *method, *path;
	struct sigv4_pair query[4], headers[8];
	const char *payload; /* a hash of it, or EMPTY_HASH */
	const char *signature;
};

static size_t count_pairs(const struct sigv4_pair *p, size_t max)
{
	size_t n = 0;

	while (n < max && p[n].name)
		n++;
	return n;
}

static const char *sign(const struct vector *v, const char *date, const char *service,
			const char *access_key, const char *secret_key, struct wbuf *out)
{
	struct sigv4_request r = {
		.method = v->method,
		.path = v->path,
		.query = v->query,
		.query_count = count_pairs(v->query, ARRAY_SIZE(v->query)),
		.headers = v->headers,
		.header_count = count_pairs(v->headers, ARRAY_SIZE(v->headers)),
		.payload_hash = v->payload,
		.date = date,
		.region = "us-east-1",
		.service = service,
	};

	wbuf_reset(out);
	cr_assert_eq(sigv4_authorization(out, &r, access_key, secret_key), 0);
	return (const char *)out->data;
}

static void check_signature(const struct vector *v, const char *authorization)
{
	const char *at = strstr(authorization, "Signature=");

	cr_assert(at, "%s: %s", v->name, authorization);
	cr_expect_str_eq(at + strlen("Signature="), v->signature, "%s: %s", v->name, authorization);
}

#define SUITE_HEADERS                            \
	{ "host", "example.amazonaws.com" },     \
	{                                        \
		"x-amz-date", "20150830T123600Z" \
	}

Test(sigv4, signatures_of_the_aws_test_suite_come_out_as_published)
{
	static const struct vector vectors[] = {
		{ "get-vanilla",
		  "GET",
		  "/",
		  { { 0 } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ "get-vanilla-empty-query-key",
		  "GET",
		  "/",
		  { { "Param1", "value1" } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
		{ "get-vanilla-query-order-key-case",
		  "GET",
		  "/",
		  { { "Param2", "value2" }, { "Param1", "value1" } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ "get-vanilla-query-order-encoded",
		  "GET",
		  "/",
		  { { "Param-3", "Value3" }, { "Param", "Value2" }, { "\u1234", "Value1" } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac" },
		{ "get-vanilla-query-unreserved",
		  "GET",
		  "/",
		  { { UNRESERVED, UNRESERVED } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
		{ "get-vanilla-utf8-query",
		  "GET",
		  "/",
		  { { "\u1234", "bar" } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
		{ "get-unreserved",
		  "GET",
		  "/" UNRESERVED,
		  { { 0 } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
		{ "get-utf8",
		  "GET",
		  "/\u1234",
		  { { 0 } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
		{ "get-space",
		  "GET",
		  "/example space/",
		  { { 0 } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
		{ "get-header-value-trim",
		  "GET",
		  "/",
		  { { 0 } },
		  { SUITE_HEADERS, { "my-header2", "\"a   b   c\"" }, { "my-header1", "value1" } },
		  EMPTY_HASH,
		  "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
		{ "get-vanilla-with-session-token",
		  "GET",
		  "/",
		  { { 0 } },
		  { SUITE_HEADERS,
		    { "x-amz-security-token",
		      "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267" } },
		  EMPTY_HASH,
		  "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8" },
		{ "post-vanilla",
		  "POST",
		  "/",
		  { { 0 } },
		  { SUITE_HEADERS },
		  EMPTY_HASH,
		  "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
		{ "post-header-key-sort",
		  "POST",
		  "/",
		  { { 0 } },
		  { { "my-header1", "value1" }, SUITE_HEADERS },
		  EMPTY_HASH,
		  "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
		{ "post-x-www-form-urlencoded",
		  "POST",
		  "/",
		  { { 0 } },
		  { SUITE_HEADERS,
		    { "content-type", "application/x-www-form-urlencoded" },
		    { "content-length", "13" },
		    { "x-amz-content-sha256",
		      "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e" } },
		  "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
		  "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b" },
	};
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, 64 * KIB);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		check_signature(&vectors[i],
				sign(&vectors[i], "20150830T123600Z", "service", "AKIDEXAMPLE",
				     "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", &out));
}

#define S3_HEADERS(hash)                                                                \
	{ "host", "examplebucket.s3.amazonaws.com" }, { "x-amz-content-sha256", hash }, \
	{                                                                               \
		"x-amz-date", "20130524T000000Z"                                        \
	}
#define PUT_HASH "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

Test(sigv4, signatures_of_the_s3_reference_come_out_as_published)
{
	static const struct vector vectors[] = {
		{ "get object with range",
		  "GET",
		  "/test.txt",
		  { { 0 } },
		  { S3_HEADERS(EMPTY_HASH), { "range", "bytes=0-9" } },
		  EMPTY_HASH,
		  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
		{ "put object with $ in its key",
		  "PUT",
		  "/test$file.text",
		  { { 0 } },
		  { S3_HEADERS(PUT_HASH),
		    { "date", "Fri, 24 May 2013 00:00:00 GMT" },
		    { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
		  PUT_HASH,
		  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
		{ "get bucket lifecycle",
		  "GET",
		  "/",
		  { { "lifecycle", "" } },
		  { S3_HEADERS(EMPTY_HASH) },
		  EMPTY_HASH,
		  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
		{ "list objects",
		  "GET",
		  "/",
		  { { "max-keys", "2" }, { "prefix", "J" } },
		  { S3_HEADERS(EMPTY_HASH) },
		  EMPTY_HASH,
		  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
	};
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, 64 * KIB);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		check_signature(&vectors[i],
				sign(&vectors[i], "20130524T000000Z", "s3", "AKIAIOSFODNN7EXAMPLE",
				     "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &out));
}

Test(sigv4, the_canonical_request_is_the_one_of_the_s3_reference)
{
	static const struct sigv4_pair headers[] = { S3_HEADERS(EMPTY_HASH),
						     { "range", "bytes=0-9" } };
	struct sigv4_request r = {
		.method = "GET",
		.path = "/test.txt",
		.headers = headers,
		.header_count = ARRAY_SIZE(headers),
		.payload_hash = EMPTY_HASH,
		.date = "20130524T000000Z",
		.region = "us-east-1",
		.service = "s3",
	};
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, KIB);
	sigv4_canonical_request(&out, &r);
	wbuf_u8(&out, 0);
	cr_expect_str_eq((const char *)out.data,
			 "GET\n/test.txt\n\nhost:examplebucket.s3.amazonaws.com\nrange:bytes=0-9\n"
			 "x-amz-content-sha256:" EMPTY_HASH "\nx-amz-date:20130524T000000Z\n\n"
			 "host;range;x-amz-content-sha256;x-amz-date\n" EMPTY_HASH);
}

Test(sigv4, every_byte_that_is_not_unreserved_is_encoded)
{
	static const struct {
		const char *plain, *encoded;
		bool keep_slash;
	} cases[] = {
		{ "a b", "a%20b", true },
		{ "a+b%c#d?e&f=g", "a%2Bb%25c%23d%3Fe%26f%3Dg", true },
		{ "dir/\u00fc/\U0001F600", "dir/%C3%BC/%F0%9F%98%80", true },
		{ "dir/x", "dir%2Fx", false },
		{ "~_-.AZaz09", "~_-.AZaz09", true },
		{ "!'()*,;:@[]\x7f", "%21%27%28%29%2A%2C%3B%3A%40%5B%5D%7F", true },
	};
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		wbuf_reset(&out);
		sigv4_encode(&out, cases[i].plain, cases[i].keep_slash);
		wbuf_u8(&out, 0);
		cr_expect_str_eq((const char *)out.data, cases[i].encoded);
	}
}

Test(sigv4, a_date_of_another_form_and_too_many_parameters_are_refused)
{
	struct sigv4_pair many[SIGV4_PAIRS_MAX + 1];
	struct sigv4_request r = {
		.method = "GET",
		.path = "/",
		.payload_hash = EMPTY_HASH,
		.date = "2013-05-24T00:00:00Z",
		.region = "us-east-1",
		.service = "s3",
	};
	_cleanup_wbuf_ struct wbuf out;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct sigv4_pair){ "a", "b" };
	wbuf_init(&out, KIB);
	cr_expect_eq(sigv4_authorization(&out, &r, "a", "b"), -EINVAL);
	r.date = "20130524T000000Z";
	r.query = many;
	r.query_count = ARRAY_SIZE(many);
	cr_expect_eq(sigv4_authorization(&out, &r, "a", "b"), -E2BIG);
	wbuf_reset(&out);
	r.query_count = 0;
	r.headers = many;
	r.header_count = ARRAY_SIZE(many);
	cr_expect_eq(sigv4_authorization(&out, &r, "a", "b"), -E2BIG);
}
