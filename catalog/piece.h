/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files that must not change while they are read, in pieces, and leaving the page cache as it was found. Any thread: a piece knows nothing
 * of the others, so each of them opens the file and compares it, before and after reading, with what the file was taken to be.
 */
#ifndef SSTABLEFS_CATALOG_PIECE_H
#define SSTABLEFS_CATALOG_PIECE_H

#include "base/cancel.h"
#include "catalog/object.h"
#include "catalog/tree.h"

/* What a file is taken to be. The first three say whether it is still the same. */
struct stamp {
	uint64_t ino;
	uint64_t size_bytes;
	int64_t mtime_ns;
	uint32_t mode, uid, gid;
};

/* The file as it is now. Vanished: -ENOENT, ERR_IO naming it. */
int piece_stamp(const char *path, struct stamp *ret, struct err *e);

/*
 * Reads [offset, offset + len) (len may be 0: only compares) into dst, which is page-aligned where the piece is large, and takes the digests of its frames, and
 * where ret_crc is not NULL the CRC-32 of the piece. 0;
 * PIECE_CHANGED: the file is not, or no longer, what `expected` says: nothing in dst may be used; < 0: it vanished or cannot be read (ERR_IO
 * naming it), -ECANCELED.
 */
enum { PIECE_CHANGED = 1 };
int piece_read(const char *path, const struct stamp *expected, uint64_t offset, void *dst,
	       size_t len_bytes, struct frame_digest *digests, uint32_t *ret_crc,
	       const struct cancel *c, struct err *e);

#endif
