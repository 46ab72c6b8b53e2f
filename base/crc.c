/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc.h"

#include <zlib.h>

uint32_t crc_add(uint32_t crc, const void *data, size_t len_bytes)
{
	return (uint32_t)crc32_z(crc, data, len_bytes);
}

uint32_t crc_join(uint32_t first, uint32_t second, uint64_t len_bytes)
{
	return (uint32_t)crc32_combine(first, second, (z_off_t)len_bytes);
}
