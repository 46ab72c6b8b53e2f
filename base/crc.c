/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

#include <libdeflate.h>

#define POLYNOMIAL 0xedb88320U /* bit 31 is the coefficient of x^0 */
#define X_TO_THE_0 0x80000000U
#define X_TO_THE_8 0x00800000U

uint32_t crc_add(uint32_t crc, const void *data, size_t len_bytes)
{
	/* Of NULL it would give the initial value instead of `crc`. */
	return len_bytes ? libdeflate_crc32(crc, data, len_bytes) : crc;
}

/* a * b modulo the polynomial. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = X_TO_THE_0; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ POLYNOMIAL : b >> 1;
	}
	return product;
}

/* Bytes that follow multiply what was there by x^8 each; the inversions at both ends cancel out. */
uint32_t crc_join(uint32_t first, uint32_t second, uint64_t len_bytes)
{
	uint32_t power = X_TO_THE_8;

	for (; len_bytes; len_bytes >>= 1) {
		if (len_bytes & 1)
			first = multiply(power, first);
		power = multiply(power, power);
	}
	return first ^ second;
}
