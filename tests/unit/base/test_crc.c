/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/crc.h"
#include "base/util.h"

/* The check value of the CRC catalogue for CRC-32/ISO-HDLC, and ends of the range of lengths. */
Test(crc, gives_the_published_values)
{
	cr_expect_eq(crc_add(0, "123456789", 9), 0xcbf43926);
	cr_expect_eq(crc_add(0, "", 0), 0);
	cr_expect_eq(crc_add(0, "\0", 1), 0xd202ef8d);
	cr_expect_eq(crc_add(0xcbf43926, NULL, 0), 0xcbf43926);
}

Test(crc, of_pieces_is_that_of_the_whole_wherever_it_is_cut)
{
	static const char text[] = "the same row over and over, and over again";
	uint32_t whole = crc_add(0, text, sizeof(text));

	for (size_t cut = 0; cut <= sizeof(text); cut++) {
		uint32_t first = crc_add(0, text, cut);
		uint32_t second = crc_add(0, text + cut, sizeof(text) - cut);

		cr_expect_eq(crc_add(first, text + cut, sizeof(text) - cut), whole);
		cr_expect_eq(crc_join(first, second, sizeof(text) - cut), whole);
	}
}

Test(crc, joins_lengths_beyond_32_bits)
{
	/* 5 GiB of zeros: by doubling from one zero byte on, and joined from two unequal parts. */
	uint32_t doubled[33] = { crc_add(0, "\0", 1) };

	for (int i = 1; i < 33; i++)
		doubled[i] = crc_join(doubled[i - 1], doubled[i - 1], UINT64_C(1) << (i - 1));
	cr_expect_eq(crc_join(doubled[30], doubled[32], 4 * GIB),
		     crc_join(doubled[32], doubled[30], GIB));
}
