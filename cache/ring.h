/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk part of the cache of blocks: one file of slots of BLOCKS_BLOCK_BYTES, written at a cursor that wraps, so that the oldest goes first.
 *
 * The index is in the key-value store, table KV_RING (integers little-endian):
 *   object id (32) u32 block -> u32 slot u32 length      where a block lies
 *   u32 slot -> object id (32) u32 block                 what a slot holds, so that its entry can go when it is written over
 * The cursor is kept in KV_STATE, key "ring". Whatever is read is unverified: the caller checks it, and tells ring_forget what does not fit. So neither a
 * damaged file, nor a stale index, nor a block that was written over during the read can do harm.
 *
 * A write that fails never fails the caller: on a full disk the ring shrinks to what the file has by then, on any other error it is no longer used;
 * both are counted in `cache_disk_write_errors`, and what is written in `cache_disk_written_bytes`. Any thread. No lock is held across I/O on the file.
 */
#ifndef SSTABLEFS_CACHE_RING_H
#define SSTABLEFS_CACHE_RING_H

#include "base/digest.h"
#include "base/err.h"
#include "base/metrics.h"
#include "cache/kv.h"

#define RING_SLOT_BYTES (128 * KIB)
#define RING_MIN_BYTES (8 * MIB) /* a ring that is smaller is not used */

struct ring;

/* Opens or makes the file; what is there and no plain file with one name is removed. kv is borrowed. A ring_bytes below RING_MIN_BYTES, rounded down to slots, gives a ring that holds nothing. m may be NULL. */
int ring_open(const char *path, uint64_t ring_bytes, struct kv *kv, struct metrics *m,
	      struct ring **ret, struct err *e);
/* No call may be under way. */
void ring_close(struct ring *r);
DEFINE_CLEANUP(struct ring *, ring_close);

/*
 * Reads those of `blocks` (bit i = block i) of an object of plain_bytes that are there, each to base + i * RING_SLOT_BYTES. Returns which were
 * read. Not verified.
 */
uint64_t ring_read(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint64_t blocks,
		   uint8_t *base);
/* Reads [offset, offset + len) of the object to dst. False: not all of it is there. Not verified. */
bool ring_read_range(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint32_t offset,
		     uint32_t len_bytes, uint8_t *dst);
/* Writes `blocks` of the object whose content is at base. */
void ring_write(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint64_t blocks,
		const uint8_t *base);
/* What was read did not fit: the entries of these blocks are removed. */
void ring_forget(struct ring *r, const struct id256 *id, uint64_t blocks);

uint64_t ring_capacity(struct ring *r); /* bytes it holds at most by now */

#endif
