/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include "catalog/pin.h"
#include "tests/unit/catalog/sample.h"

static struct pin sample_pin(void)
{
	struct pin p = {
		.state = PIN_HELD,
		.sequence = 3,
		.nonce = "00112233445566778899aabbccddeeff",
		.id = sample_ulid(1),
		.where = { "prod", "n1" },
		.backup = "monday",
		.writer = sample_ulid(2),
		.purpose = "mount",
		.host = "db1.example",
		.pid = 4711,
		.started_ns = 1763808000123456789,
		.renewed_ns = 1763808120000000000,
		.store_time_ns = 1763808001000000000,
	};

	p.root.digest = sample_id(3);
	p.root.extent = (struct extent){ .object = sample_whole(2, 4, 5000), .len_bytes = 5000 };
	return p;
}

static char *encode(const struct pin *p, size_t *ret_len)
{
	char *text = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(pin_encode(p, &text, ret_len, &e), 0, "%s", e.message);
	return text;
}

static int decode(const char *text, size_t len, struct pin *ret, struct err *e)
{
	*e = ERR_INIT;
	return pin_decode(text, len, NULL, NULL, ret, e);
}

Test(pin, what_was_written_is_read)
{
	for (unsigned state = PIN_HELD; state <= PIN_ENDED; state++) {
		struct pin p = sample_pin(), read;
		_cleanup_free_ char *text = NULL, *again = NULL;
		size_t len, again_len;
		struct err e = ERR_INIT;

		p.state = state;
		text = encode(&p, &len);
		cr_assert_eq(pin_decode(text, len, &p.where, &p.id, &read, &e), 0, "%s", e.message);
		cr_expect_eq(read.state, state);
		cr_expect_eq(read.sequence, 3);
		cr_expect_str_eq(read.nonce, p.nonce);
		cr_expect_str_eq(read.backup, "monday");
		cr_expect(memcmp(&read.writer, &p.writer, sizeof(p.writer)) == 0);
		cr_expect(memcmp(&read.root.digest, &p.root.digest, sizeof(p.root.digest)) == 0);
		cr_expect_eq(read.root.extent.len_bytes, 5000);
		cr_expect_str_eq(read.purpose, "mount");
		cr_expect_str_eq(read.host, "db1.example");
		cr_expect_eq(read.pid, 4711);
		cr_expect_eq(read.started_ns, p.started_ns);
		cr_expect_eq(read.renewed_ns, p.renewed_ns);
		cr_expect_eq(read.store_time_ns, p.store_time_ns);
		again = encode(&read, &again_len);
		cr_expect(len == again_len && memcmp(text, again, len) == 0);
	}
}

Test(pin, a_pin_lies_under_its_own_key)
{
	struct pin p = sample_pin(), read;
	struct node_name other = { "prod", "n2" };
	struct ulid other_id = sample_ulid(9);
	_cleanup_free_ char *text = NULL;
	char key[KEY_BYTES], id[ULID_TEXT], expected[KEY_BYTES];
	struct err e = ERR_INIT;
	size_t len;

	text = encode(&p, &len);
	cr_expect_eq(pin_decode(text, len, &other, NULL, &read, &e), -EBADMSG);
	cr_expect_eq(pin_decode(text, len, NULL, &other_id, &read, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	snprintf(expected, sizeof(expected), "nodes/prod/n1/pins/%s.json", ulid_format(id, &p.id));
	cr_expect_str_eq(keys_pin(key, &p.where, &p.id), expected);
}

Test(pin, a_flipped_bit_anywhere_is_found)
{
	struct pin p = sample_pin(), read;
	_cleanup_free_ char *text = NULL;
	struct err e;
	size_t len;

	text = encode(&p, &len);
	for (size_t bit = 0; bit < len * 8; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		cr_expect_lt(decode(text, len, &read, &e), 0, "bit %zu", bit);
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		cr_expect_lt(decode(text, cut, &read, &e), 0, "cut at %zu", cut);
}

/* Puts `to` in the place of `from` and seals it anew. */
static int decode_changed(const char *from, const char *to, struct err *e)
{
	struct pin p = sample_pin(), read;
	_cleanup_free_ char *text = NULL, *changed = NULL;
	char hex[SHA256_HEX], *at, *seal;
	struct id256 sum;
	size_t len;

	text = encode(&p, &len);
	at = strstr(text, from);
	cr_assert(at, "%s is not in %s", from, text);
	seal = strstr(text, "\"sha256\"");
	changed = util_printf("%.*s%s%.*s", (int)(at - text), text, to,
			      (int)(seal - at - (ptrdiff_t)strlen(from)), at + strlen(from));
	sum = digest_sha256(changed, strlen(changed));
	util_hex(hex, sum.b, sizeof(sum.b));
	at = util_printf("%s\"sha256\":\"%s\"}\n", changed, hex);
	free(changed);
	changed = at;
	return decode(changed, strlen(changed), &read, e);
}

Test(pin, fields_that_cannot_be_are_refused)
{
	static const struct {
		const char *from, *to;
		int result;
		const char *says;
	} rows[] = {
		{ "\"HELD\"", "\"HELD\"", 0, "" },
		{ "\"HELD\"", "\"held\"", -EBADMSG, "\"state\" is not known" },
		{ "\"sequence\": 3", "\"sequence\": 0", -EBADMSG, "\"sequence\" is 0" },
		{ "\"sequence\": 3", "\"number\": 3", -EBADMSG, "\"sequence\" is missing" },
		{ "001122", "00112", -EBADMSG, "\"nonce\"" },
		{ "\"monday\"", "\"objects\"", -EBADMSG, "\"backup\"" },
		{ "\"prod\"", "\"a/b\"", -EBADMSG, "\"cluster\"" },
		{ "\"root\"", "\"tree\"", -EBADMSG, "\"root\"" },
		{ "\"length\": 5000", "\"length\": 5001", -EBADMSG, "\"root\"" },
		{ "\"pid\": 4711", "\"pid\": 4294967296", -EBADMSG, "\"pid\"" },
		{ "\"purpose\": \"mount\"", "\"purpose\": 7", -EBADMSG, "\"purpose\"" },
		{ "\"reader\"", "\"writer2\"", -EBADMSG, "\"reader\"" },
		{ "\"times\"", "\"hours\"", -EBADMSG, "\"times\"" },
		{ "\"type\": \"pin\"", "\"type\": \"backup\"", -EBADMSG, "\"type\"" },
		{ "\"format\": 1", "\"format\": 2", -ENOTSUP, "newer sstablefs" },
		{ "\"read\": []", "\"read\": [\"x\"]", -ENOTSUP, "newer sstablefs" },
		{ "\"collect\": []", "\"collect\": [\"x\"]", 0, "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e;

		cr_expect_eq(decode_changed(rows[i].from, rows[i].to, &e), rows[i].result,
			     "row %zu: %s", i, e.message);
		cr_expect(strstr(e.message, rows[i].says), "row %zu: %s", i, e.message);
	}
}

Test(pin, words_have_a_greatest_length)
{
	for (int len = FORMAT_READER_BYTES; len <= FORMAT_READER_BYTES + 1; len++) {
		_cleanup_free_ char *to = util_printf("\"host\": \"%0*d\"", len, 0);
		struct err e;

		cr_expect_eq(decode_changed("\"host\": \"db1.example\"", to, &e),
			     len > FORMAT_READER_BYTES ? -EBADMSG : 0, "%d: %s", len, e.message);
	}
}

Test(pin, one_of_a_newer_program_is_not_overwritten)
{
	struct pin p = sample_pin();
	struct err e = ERR_INIT;
	char *text = NULL;
	size_t len;

	p.refused = 4;
	cr_expect_eq(pin_encode(&p, &text, &len, &e), -ENOTSUP);
	cr_expect_null(text);
}
