/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as zlib and java.util.zip.CRC32 compute it, by the fastest instructions that the processor has (libdeflate). Pure, any thread. */
#ifndef SSTABLEFS_BASE_CRC_H
#define SSTABLEFS_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of nothing: 0. Of what gave `crc`, followed by these bytes. */
uint32_t crc_add(uint32_t crc, const void *data, size_t len_bytes);
/* Of two pieces one after the other, from the CRC of each; the second has len_bytes. */
uint32_t crc_join(uint32_t first, uint32_t second, uint64_t len_bytes);

#endif
