/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/digest.h"
#include "base/json.h"

#define MAX 100000

static char *seal(json_t *object, size_t *ret_len)
{
	struct err e = ERR_INIT;
	char *text = NULL;

	cr_assert_eq(json_seal(object, &text, ret_len, &e), 0, "%s", e.message);
	json_decref(object);
	return text;
}

/* The body as given, with a seal that fits it: what somebody could write who knows the rule. */
static char *seal_by_hand(const char *body, size_t len, size_t *ret_len)
{
	struct id256 id = digest_sha256(body, len);
	char hex[SHA256_HEX], *text = malloc(len + 100);

	cr_assert_not_null(text);
	util_hex(hex, id.b, sizeof(id.b));
	memcpy(text, body, len);
	*ret_len = len + (size_t)sprintf(text + len, "\"sha256\":\"%s\"}\n", hex);
	return text;
}

static void expect_refused(const char *text, size_t len, const char *why)
{
	struct err e = ERR_INIT;
	json_t *object = NULL;
	int r = json_unseal("the record", text, len, MAX, &object, &e);

	cr_expect_eq(r, -EBADMSG, "%s: %d", why, r);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_eq(strncmp(e.message, "the record is damaged: ", 23), 0, "%s: %s", why,
		     e.message);
	cr_expect_null(object, "%s", why);
	json_decref(object);
}

Test(json, a_sealed_object_can_be_read_by_a_person)
{
	size_t len;
	_cleanup_free_ char *text = seal(json_pack("{s:s, s:i, s:[s,s], s:{}}", "state", "OPEN",
						   "sequence", 3, "names", "a", "b", "empty"),
					 &len);
	static const char body[] = "{\n"
				   "  \"state\": \"OPEN\",\n"
				   "  \"sequence\": 3,\n"
				   "  \"names\": [\n"
				   "    \"a\",\n"
				   "    \"b\"\n"
				   "  ],\n"
				   "  \"empty\": {},\n";
	size_t expected_len;
	_cleanup_free_ char *expected = seal_by_hand(body, strlen(body), &expected_len);

	cr_expect_eq(len, expected_len);
	cr_expect_eq(len, strlen(text));
	cr_expect_str_eq(text, expected);
}

Test(json, the_seal_is_the_one_that_the_format_describes)
{
	size_t len;
	_cleanup_free_ char *text = seal(json_pack("{s:i}", "a", 1), &len);

	/* printf '{\n  "a": 1,\n' | sha256sum */
	cr_expect_str_eq(
		text,
		"{\n  \"a\": 1,\n"
		"\"sha256\":\"258d97188c1e1b71d2c4210444fd72c3cf58a6d7d799180006273b33f2d1d054\"}\n");
}

Test(json, what_was_sealed_comes_back_without_the_seal)
{
	static const char *const objects[] = {
		"{}",
		"{\"a\":1}",
		"{\"z\":1,\"a\":{\"b\":[1,2,{\"c\":null}],\"sha256\":\"inner\"},\"m\":true}",
		"{\"text\":\"\\\"}\\n{[gr\xc3\xbc\xc3\x9f\\u0001\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		_cleanup_json_ json_t *before = json_loads(objects[i], 0, NULL);
		_cleanup_json_ json_t *after = NULL;
		_cleanup_free_ char *text = NULL;
		struct err e = ERR_INIT;
		size_t len;

		cr_assert_eq(json_seal(before, &text, &len, &e), 0, "%s", e.message);
		cr_assert_eq(json_unseal("x", text, len, len, &after, &e), 0, "%s: %s", objects[i],
			     e.message);
		cr_expect(json_equal(before, after), "%s", objects[i]);
		/* The whole text is plain JSON too. */
		json_decref(after);
		after = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
		cr_expect_not_null(after, "%s", text);
	}
}

Test(json, no_flipped_bit_passes)
{
	size_t len;
	_cleanup_free_ char *text =
		seal(json_pack("{s:s, s:i}", "state", "COMMITTED", "sequence", 12), &len);

	for (size_t bit = 0; bit < 8 * len; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		expect_refused(text, len, "flipped bit");
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
}

Test(json, no_truncated_text_passes)
{
	size_t len;
	_cleanup_free_ char *text = seal(json_pack("{s:s}", "state", "OPEN"), &len);

	for (size_t n = 0; n < len; n++) {
		char *part = malloc(MAX_OF(n, 1u)); /* so that a read past its end is seen */

		memcpy(part, text, n);
		expect_refused(part, n, "truncated");
		free(part);
	}
}

Test(json, bytes_after_the_seal_are_refused)
{
	static const char *const tails[] = { "\n", " ", "x", "{}", "\r\n" };
	size_t len;
	_cleanup_free_ char *text = seal(json_pack("{s:s}", "state", "OPEN"), &len);

	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		_cleanup_free_ char *longer = util_printf("%s%s", text, tails[i]);

		expect_refused(longer, strlen(longer), tails[i]);
	}
	expect_refused(text, len - 1, "without the last newline");
	expect_refused(text, len + 1, "with the NUL");
}

/* The digest fits each of these bodies. */
Test(json, a_body_that_breaks_a_rule_is_refused_although_its_digest_fits)
{
	static const struct {
		const char *why;
		char body[64];
		size_t len; /* 0: strlen */
	} rows[] = {
		{ "no JSON at all", "hello\n", 0 },
		{ "nothing before the seal", "", 0 },
		{ "no newline before the seal", "{\"a\":1,", 0 },
		{ "no comma", "{\"a\":1\n", 0 },
		{ "a trailing comma too many", "{\"a\":1,,\n", 0 },
		{ "a key twice", "{\"a\":1,\n\"a\":2,\n", 0 },
		{ "a key twice, deeper", "{\"a\":{\"b\":1,\"b\":1},\n", 0 },
		{ "a second seal", "{\"sha256\":\"x\",\n", 0 },
		{ "a NUL byte", "{\"a\":\"x\0y\",\n", 12 },
		{ "a NUL between tokens", "{\0\"a\":1,\n", 9 },
		{ "an escaped NUL", "{\"a\":\"x\\u0000y\",\n", 0 },
		{ "a list at the root", "[1,\n", 0 },
		{ "two objects", "{\"a\":1}\n{\n", 0 },
		{ "closed before the seal", "{\"a\":1},\n", 0 },
		{ "bad UTF-8", "{\"a\":\"\xff\",\n", 0 },
		{ "a number beyond 64 bits", "{\"a\":92233720368547758080,\n", 0 },
		{ "the seal inside of a string", "{\"a\":\"b\n", 0 },
		{ "the seal as a value's beginning", "{\"a\":\n", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len;
		_cleanup_free_ char *text = seal_by_hand(
			rows[i].body, rows[i].len ? rows[i].len : strlen(rows[i].body), &len);

		expect_refused(text, len, rows[i].why);
	}
}

static char *nested(int depth, char open, char close)
{
	char *body = malloc((size_t)2 * (size_t)depth + 32);
	int n = sprintf(body, "{\"a\":");

	/* The root is the first level. */
	for (int i = 1; i < depth; i++)
		body[n++] = open;
	for (int i = 1; i < depth; i++)
		body[n++] = close;
	if (depth == 1)
		body[n++] = '1';
	memcpy(body + n, ",\n", 3);
	return body;
}

Test(json, depth_is_limited)
{
	static const struct {
		int depth;
		bool passes;
	} rows[] = { { 1, true }, { 2, true }, { 32, true }, { 33, false }, { 20000, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *body = nested(rows[i].depth, '[', ']');
		_cleanup_json_ json_t *object = NULL;
		size_t len;
		_cleanup_free_ char *text = seal_by_hand(body, strlen(body), &len);

		if (rows[i].passes)
			cr_expect_eq(json_unseal("x", text, len, MAX, &object, NULL), 0, "%d",
				     rows[i].depth);
		else
			expect_refused(text, len, "depth");
	}
}

Test(json, brackets_inside_of_strings_do_not_count_as_depth)
{
	static const char body[] =
		"{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{{{{{{\\\\\",\n";
	_cleanup_json_ json_t *object = NULL;
	size_t len;
	_cleanup_free_ char *text = seal_by_hand(body, strlen(body), &len);

	cr_expect_eq(json_unseal("x", text, len, MAX, &object, NULL), 0);
}

Test(json, a_text_above_the_limit_is_refused_before_it_is_read)
{
	_cleanup_json_ json_t *object = NULL;
	struct err e = ERR_INIT;
	size_t len;
	_cleanup_free_ char *text = seal(json_pack("{s:s}", "state", "OPEN"), &len);

	cr_expect_eq(json_unseal("x", text, len, len - 1, &object, &e), -EBADMSG);
	cr_expect_str_eq(e.message, "x is damaged: it is too large");
	cr_expect_eq(json_unseal("x", text, len, len, &object, &e), 0);
}

Test(json, what_is_no_object_or_has_a_seal_is_not_sealed)
{
	_cleanup_json_ json_t *array = json_pack("[i]", 1);
	_cleanup_json_ json_t *sealed = json_pack("{s:s}", "sha256", "x");
	char *text = NULL;
	size_t len;

	cr_expect_eq(json_seal(array, &text, &len, NULL), -EINVAL);
	cr_expect_eq(json_seal(sealed, &text, &len, NULL), -EINVAL);
	cr_expect_null(text);
}

Test(json, members_have_a_type_and_a_range)
{
	_cleanup_json_ json_t *o =
		json_loads("{\"s\":\"abc\",\"n\":7,\"neg\":-1,\"real\":1.0,\"null\":null,"
			   "\"max\":9223372036854775807}",
			   0, NULL);
	static const char *const no_numbers[] = { "s", "neg", "real", "null" };
	static const char *const no_strings[] = { "n", "null" };
	const char *s = NULL;
	struct err e = ERR_INIT;
	uint64_t n = 99;

	cr_assert_not_null(o);
	cr_expect_eq(json_get_string(o, "s", 3, &s, &e), 0);
	cr_expect_str_eq(s, "abc");
	cr_expect_eq(json_get_u64(o, "n", &n, &e), 0);
	cr_expect_eq(n, 7);
	cr_expect_eq(json_get_u64(o, "max", &n, &e), 0);
	cr_expect_eq(n, INT64_MAX);
	cr_expect_eq(json_get_string(o, "absent", 3, &s, &e), -ENOENT);
	cr_expect_eq(json_get_u64(o, "absent", &n, &e), -ENOENT);
	cr_expect_str_empty(e.message, "absence is no error text");
	cr_expect_eq(json_get_string(o, "s", 2, &s, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++)
		cr_expect_eq(json_get_u64(o, no_numbers[i], &n, &e), -EBADMSG, "%s", no_numbers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no_strings); i++)
		cr_expect_eq(json_get_string(o, no_strings[i], 99, &s, &e), -EBADMSG, "%s",
			     no_strings[i]);
	cr_expect_eq(n, INT64_MAX, "set only on success");
}

Test(json, what_others_say_is_read_within_the_same_limits)
{
	static const char good[] = "{\"Version\": 1}\n", list[] = "[1]",
			  twice[] = "{\"a\":1,\"a\":2}";
	char deep[200];
	struct err e = ERR_INIT;
	json_t *object = NULL;

	memset(deep, '[', sizeof(deep));
	cr_assert_eq(json_parse("it", good, strlen(good), strlen(good), &object, &e), 0, "%s",
		     e.message);
	cr_expect_eq(json_object_size(object), 1);
	json_decref(object);
	cr_expect_eq(json_parse("it", good, strlen(good), strlen(good) - 1, &object, &e), -EBADMSG);
	cr_expect_eq(json_parse("it", list, strlen(list), MAX, &object, &e), -EBADMSG);
	cr_expect_eq(json_parse("it", twice, strlen(twice), MAX, &object, &e), -EBADMSG);
	cr_expect_eq(json_parse("it", deep, sizeof(deep), MAX, &object, &e), -EBADMSG);
	cr_expect(strstr(e.message, "nested too deeply"), "%s", e.message);
}

Test(json, values_that_take_much_more_memory_than_their_text_are_refused)
{
	size_t len = 8 * MIB;
	_cleanup_free_ char *text = malloc(len);
	struct err e = ERR_INIT;
	json_t *o = NULL;

	memcpy(text, "{\"a\":[0", 7);
	for (size_t i = 7; i < len - 3; i += 2)
		memcpy(text + i, ",0", 2);
	memcpy(text + len - 2, "]}", 2);
	cr_assert_eq(json_parse("it", text, len, len, &o, &e), -EBADMSG);
	cr_expect(strstr(e.message, "too many values"), "%s", e.message);
	memset(text, ',', len);
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + len - 2, "\"}", 2);
	cr_assert_eq(json_parse("it", text, len, len, &o, &e), 0, "%s", e.message);
	json_decref(o);
}

Test(json, text_of_any_bytes_becomes_a_string)
{
	json_t *good = json_text("gr\xc3\xbc\xc3\x9f"), *bad = json_text("a\xff\xc3z\xc3");

	cr_expect_str_eq(json_string_value(good), "gr\xc3\xbc\xc3\x9f");
	cr_expect_str_eq(json_string_value(bad), "a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd");
	json_decref(good);
	json_decref(bad);
}
