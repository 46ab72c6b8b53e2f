/* SPDX-License-Identifier: Apache-2.0 */
#include "base/zstd.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

struct zcodec {
	ZSTD_CCtx *cctx; /* made at the first compression */
	ZSTD_DCtx *dctx; /* made at the first decompression */
	void *scratch;
	size_t scratch_bytes;
};

struct zcodec *zcodec_new(void)
{
	return calloc(1, sizeof(struct zcodec));
}

void zcodec_free(struct zcodec *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->cctx);
	ZSTD_freeDCtx(z->dctx);
	free(z->scratch);
	free(z);
}

static int prepare(struct zcodec *z, size_t scratch_bytes)
{
	void *grown;

	if (!z->cctx)
		z->cctx = ZSTD_createCCtx();
	if (!z->cctx)
		return -ENOMEM;
	if (scratch_bytes <= z->scratch_bytes)
		return 0;
	grown = realloc(z->scratch, scratch_bytes);
	if (!grown)
		return -ENOMEM;
	z->scratch = grown;
	z->scratch_bytes = scratch_bytes;
	return 0;
}

/*
 * zstd stores a block as it is where the compressed form lacks room, so its output depends on the room that it is given. It is
 * always given ZSTD_compressBound here: the bytes then depend on the input and the level alone.
 */
ssize_t zcodec_compress(struct zcodec *z, void *dst, size_t cap_bytes, const void *src,
			size_t len_bytes, int level)
{
	size_t bound = ZSTD_compressBound(len_bytes);
	void *out = dst;
	size_t n;

	if (ZSTD_isError(bound) || bound > SSIZE_MAX)
		return -ENOSPC;
	if (prepare(z, cap_bytes < bound ? bound : 0) < 0)
		return -ENOMEM;
	if (cap_bytes < bound)
		out = z->scratch;
	n = ZSTD_compressCCtx(z->cctx, out, bound, src, len_bytes, level);
	if (ZSTD_isError(n))
		return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -EIO;
	if (n > cap_bytes)
		return -ENOSPC;
	if (out != dst)
		memcpy(dst, out, n);
	return (ssize_t)n;
}

/* Whether src is exactly one frame (and no skippable one) that says it holds plain_bytes. */
static bool is_frame_of(const void *src, size_t len_bytes, size_t plain_bytes)
{
	const uint8_t *b = src;

	if (len_bytes < 4 || b[0] != 0x28 || b[1] != 0xb5 || b[2] != 0x2f || b[3] != 0xfd)
		return false;
	return ZSTD_findFrameCompressedSize(src, len_bytes) == len_bytes &&
	       ZSTD_getFrameContentSize(src, len_bytes) == plain_bytes;
}

int zcodec_decompress(struct zcodec *z, void *dst, size_t plain_bytes, const void *src,
		      size_t len_bytes)
{
	if (!is_frame_of(src, len_bytes, plain_bytes))
		return -EBADMSG;
	if (!z->dctx)
		z->dctx = ZSTD_createDCtx();
	if (!z->dctx)
		return -ENOMEM;
	return ZSTD_decompressDCtx(z->dctx, dst, plain_bytes, src, len_bytes) == plain_bytes
		       ? 0
		       : -EBADMSG;
}
