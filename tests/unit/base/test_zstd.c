/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/zstd.h"

#define PLAIN_BYTES (300 * 1024)

static uint8_t plain[PLAIN_BYTES], packed[PLAIN_BYTES + 4096], out[PLAIN_BYTES + 1];
static struct zcodec *z;
static const uint8_t skippable[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd' };

/* Half text that repeats, half noise: some blocks shrink and some do not. */
static void setup(void)
{
	uint32_t state = 1;

	z = zcodec_new();
	cr_assert_not_null(z);
	for (size_t i = 0; i < PLAIN_BYTES; i++) {
		state = state * 1664525 + 1013904223;
		plain[i] = (i >> 16) & 1 ? (uint8_t)(state >> 24)
					 : (uint8_t)("column family"[i % 13] + (state >> 31));
	}
}

static void teardown(void)
{
	zcodec_free(z);
}

TestSuite(zstd, .init = setup, .fini = teardown);

Test(zstd, what_was_compressed_comes_back)
{
	static const size_t sizes[] = { 0, 1, 100, 65536, 131072, 131073, PLAIN_BYTES };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, sizes[i], 3);

		cr_assert_gt(n, 0, "%zu bytes", sizes[i]);
		memset(out, 0xee, sizeof(out));
		cr_assert_eq(zcodec_decompress(z, out, sizes[i], packed, (size_t)n), 0, "%zu bytes",
			     sizes[i]);
		cr_expect_eq(memcmp(out, plain, sizes[i]), 0, "%zu bytes", sizes[i]);
		cr_expect_eq(out[sizes[i]], 0xee, "%zu bytes: written past the end", sizes[i]);
	}
}

Test(zstd, the_output_depends_on_input_and_level_alone)
{
	static uint8_t again[sizeof(packed)];
	ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, PLAIN_BYTES, 3);

	cr_assert_gt(n, 0);
	for (size_t slack = 0; slack < 40; slack++) {
		cr_assert_eq(zcodec_compress(z, again, (size_t)n + slack, plain, PLAIN_BYTES, 3), n,
			     "slack %zu", slack);
		cr_expect_eq(memcmp(again, packed, (size_t)n), 0, "slack %zu", slack);
	}
	/* Whatever the codec did before. */
	cr_assert_gt(zcodec_compress(z, again, sizeof(again), plain, 1000, 9), 0);
	cr_assert_eq(zcodec_compress(z, again, sizeof(again), plain, PLAIN_BYTES, 3), n);
	cr_expect_eq(memcmp(again, packed, (size_t)n), 0);
}

Test(zstd, output_that_does_not_fit_is_no_output)
{
	ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, PLAIN_BYTES, 3);

	memset(packed, 0xee, sizeof(packed));
	cr_expect_eq(zcodec_compress(z, packed, (size_t)n - 1, plain, PLAIN_BYTES, 3), -ENOSPC);
	cr_expect_eq(zcodec_compress(z, packed, 0, plain, PLAIN_BYTES, 3), -ENOSPC);
	cr_expect_eq(packed[0], 0xee);
	/* Noise does not shrink. */
	cr_expect_eq(zcodec_compress(z, packed, 65535, plain + 65536, 65536, 3), -ENOSPC);
}

Test(zstd, a_frame_of_another_size_is_refused)
{
	ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, 1000, 3);
	static const size_t sizes[] = { 0, 1, 999, 1001, PLAIN_BYTES };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		cr_expect_eq(zcodec_decompress(z, out, sizes[i], packed, (size_t)n), -EBADMSG,
			     "%zu", sizes[i]);
	cr_expect_eq(zcodec_decompress(z, out, 1000, packed, (size_t)n), 0);
}

Test(zstd, a_truncated_frame_or_one_with_bytes_behind_it_is_refused)
{
	ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, 1000, 3);

	for (size_t len = 0; len < (size_t)n; len++)
		cr_expect_eq(zcodec_decompress(z, out, 1000, packed, len), -EBADMSG, "%zu", len);
	packed[n] = 0;
	cr_expect_eq(zcodec_decompress(z, out, 1000, packed, (size_t)n + 1), -EBADMSG);
	/* Twice the same frame. */
	memcpy(packed + n, packed, (size_t)n);
	cr_expect_eq(zcodec_decompress(z, out, 1000, packed, 2 * (size_t)n), -EBADMSG);
	cr_expect_eq(zcodec_decompress(z, out, 2000, packed, 2 * (size_t)n), -EBADMSG);
	/* And a skippable frame behind it, which zstd itself would pass over. */
	memcpy(packed + n, skippable, sizeof(skippable));
	cr_expect_eq(zcodec_decompress(z, out, 1000, packed, (size_t)n + sizeof(skippable)),
		     -EBADMSG);
}

Test(zstd, bytes_that_are_no_frame_of_a_known_size_are_refused)
{
	/* A magic number, no size of the content, a window of 1 KiB, one raw block of 4 bytes. */
	static const uint8_t unsized[] = { 0x28, 0xb5, 0x2f, 0xfd, 0,	0,  0x21,
					   0,	 0,    'a',  'b',  'c', 'd' };
	static const uint8_t junk[] = "this is no frame at all";

	cr_expect_eq(zcodec_decompress(z, out, 0, skippable, sizeof(skippable)), -EBADMSG);
	cr_expect_eq(zcodec_decompress(z, out, 4, unsized, sizeof(unsized)), -EBADMSG);
	cr_expect_eq(zcodec_decompress(z, out, sizeof(junk), junk, sizeof(junk)), -EBADMSG);
}

Test(zstd, no_flipped_bit_is_written_past_the_end)
{
	ssize_t n = zcodec_compress(z, packed, sizeof(packed), plain, 3000, 3);

	for (size_t bit = 0; bit < 8 * (size_t)n; bit++) {
		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		out[3000] = 0xee;
		if (zcodec_decompress(z, out, 3000, packed, (size_t)n) != 0)
			cr_assert_eq(zcodec_decompress(z, out, 3000, packed, (size_t)n), -EBADMSG);
		cr_assert_eq(out[3000], 0xee, "bit %zu", bit);
		packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	cr_expect_eq(zcodec_decompress(z, out, 3000, packed, (size_t)n), 0);
}
