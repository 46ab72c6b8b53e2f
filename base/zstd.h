/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd frames of known sizes. A struct zcodec belongs to one thread at a time.
 */
#ifndef SSTABLEFS_BASE_ZSTD_H
#define SSTABLEFS_BASE_ZSTD_H

#include <stddef.h>
#include "base/util.h"

struct zcodec;
struct zcodec *zcodec_new(void); /* NULL: out of memory */
void zcodec_free(struct zcodec *z);
/* Compresses src into dst of cap bytes. Bytes written, or -ENOSPC where it does not fit (so cap = len - 1 asks "is it smaller?"). The output is deterministic for a level. */
ssize_t zcodec_compress(struct zcodec *z, void *dst, size_t cap_bytes, const void *src,
			size_t len_bytes, int level);
/* Decompresses one frame to exactly plain_bytes, never writing more. 0 or -EBADMSG. */
int zcodec_decompress(struct zcodec *z, void *dst, size_t plain_bytes, const void *src,
		      size_t len_bytes);
DEFINE_CLEANUP(struct zcodec *, zcodec_free);

#endif
