/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/digest.h"

static void expect_hex(const void *digest, size_t bytes, const char *expected, const char *what)
{
	char hex[2 * 64 + 1];

	util_hex(hex, digest, bytes);
	cr_expect_str_eq(hex, expected, "%s: %s", what, hex);
}

/* FIPS 180-4 and NIST's examples. */
static const struct {
	const char *text, *sha256;
} sha256_rows[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

Test(digest, sha256_gives_the_published_values)
{
	for (size_t i = 0; i < ARRAY_SIZE(sha256_rows); i++) {
		struct id256 id = digest_sha256(sha256_rows[i].text, strlen(sha256_rows[i].text));

		expect_hex(id.b, sizeof(id.b), sha256_rows[i].sha256, sha256_rows[i].text);
	}
}

Test(digest, a_message_in_pieces_has_the_same_sha256_and_the_state_can_be_used_again)
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();

	cr_assert_not_null(h);
	for (size_t i = 0; i < ARRAY_SIZE(sha256_rows); i++) {
		const char *text = sha256_rows[i].text;
		size_t len = strlen(text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct id256 id;

			sha256_update(h, text, cut);
			sha256_update(h, text + cut, len - cut);
			id = sha256_final(h);
			expect_hex(id.b, sizeof(id.b), sha256_rows[i].sha256, text);
			id = digest_sha256_2(text, cut, text + cut, len - cut);
			expect_hex(id.b, sizeof(id.b), sha256_rows[i].sha256, text);
		}
	}
}

Test(digest, sha256_of_a_million_letters)
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	char letters[1000];
	struct id256 id;

	memset(letters, 'a', sizeof(letters));
	for (int i = 0; i < 1000; i++)
		sha256_update(h, letters, sizeof(letters));
	id = sha256_final(h);
	expect_hex(id.b, sizeof(id.b),
		   "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "million");
}

/* RFC 4231, cases 1, 2, 3, 6 and 7; and the empty key. */
Test(digest, hmac_gives_the_values_of_its_rfc)
{
	static const struct {
		char key_byte; /* repeated; 0: key_text */
		size_t key_bytes;
		const char *key_text, *data, *mac;
	} rows[] = {
		{ 0x0b, 20, NULL, "Hi There",
		  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ 0, 4, "Jefe", "what do ya want for nothing?",
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ (char)0xaa, 20, NULL,
		  "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd"
		  "\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd\xdd",
		  "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
		{ (char)0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
		  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
		{ (char)0xaa, 131, NULL,
		  "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
		  "hashed before being used by the HMAC algorithm.",
		  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
		{ 0, 0, "", "",
		  "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char key[131];
		struct id256 id;

		if (rows[i].key_byte)
			memset(key, rows[i].key_byte, sizeof(key));
		else
			memcpy(key, rows[i].key_text, rows[i].key_bytes);
		id = digest_hmac_sha256(key, rows[i].key_bytes, rows[i].data, strlen(rows[i].data));
		expect_hex(id.b, sizeof(id.b), rows[i].mac, rows[i].data);
	}
}

Test(digest, md5_gives_the_values_of_its_rfc)
{
	static const struct {
		const char *text, *md5;
	} rows[] = {
		{ "", "d41d8cd98f00b204e9800998ecf8427e" },
		{ "a", "0cc175b9c0f1b6a831c399e269772661" },
		{ "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t md5[MD5_BYTES];

		cr_assert_eq(digest_md5(md5, rows[i].text, strlen(rows[i].text)), 0);
		expect_hex(md5, sizeof(md5), rows[i].md5, rows[i].text);
	}
}

/* xxhsum prints the high half first; ours is the same number with its bytes in the other order. */
Test(digest, xxh3_is_written_as_a_little_endian_number)
{
	static const struct {
		const char *text, *xxh128_big_endian;
		uint64_t xxh64;
	} rows[] = {
		{ "", "99aa06d3014798d86001c324468d497f", UINT64_C(0x2d06800538d394c2) },
		{ "abc", "06b05ab6733a618578af5f94892f3950", UINT64_C(0x78af5f94892f3950) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct xxh128 ours = digest_xxh128(rows[i].text, strlen(rows[i].text));
		uint8_t expected[XXH128_BYTES];

		cr_assert_eq(util_unhex(expected, sizeof(expected), rows[i].xxh128_big_endian), 0);
		for (size_t b = 0; b < XXH128_BYTES; b++)
			cr_expect_eq(ours.b[b], expected[XXH128_BYTES - 1 - b], "%s byte %zu",
				     rows[i].text, b);
		cr_expect_eq(digest_xxh64(rows[i].text, strlen(rows[i].text)), rows[i].xxh64, "%s",
			     rows[i].text);
	}
}

/* Computed by the plain functions: what is written for the CPU at hand must not differ. */
Test(digest, xxh3_of_long_content_is_the_same_on_every_cpu)
{
	static uint8_t content[200001];
	struct xxh128 ours;

	for (uint32_t i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * i >> 3);
	ours = digest_xxh128(content, sizeof(content));
	expect_hex(ours.b, sizeof(ours.b), "39d58fb43258ba7e7738f5b6524f7f9e", "long");
	cr_expect_eq(digest_xxh64(content, sizeof(content)), UINT64_C(0x7eba5832b48fd539));
}

Test(digest, base64_is_padded)
{
	static const struct {
		const char *text, *base64;
	} rows[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xff\xfe\xfb\xef\xbe", "//77774=" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[16];

		memset(out, 'x', sizeof(out));
		digest_base64(out, rows[i].text, strlen(rows[i].text));
		cr_expect_str_eq(out, rows[i].base64);
	}
}
