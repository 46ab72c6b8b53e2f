/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of verified content: objects of at most 8 MiB, in blocks of 128 KiB, in bounded memory and in a bounded ring on disk.
 *
 * Each block is loaded once however many readers wait for it (single flight). Loading and verifying is the caller's (struct block_loader), on threads of this cache. What
 * comes back from the disk ring is verified by the loader too. Pinned objects stay where they are. Where memory is short, blocks that were read to
 * their end go first, then the least recently used objects that nobody pins. Memory counts what is resident: loaded blocks, and buffers kept for reuse.
 *
 * Whoever holds a pin must not wait in blocks_get: when all memory is pinned by readers that wait for more of it, nobody goes on.
 */
#ifndef SSTABLEFS_CACHE_BLOCKS_H
#define SSTABLEFS_CACHE_BLOCKS_H

#include "base/cancel.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/metrics.h"
#include "cache/kv.h"

#define BLOCKS_BLOCK_BYTES (128 * KIB)
#define BLOCKS_OBJECT_BYTES (8 * MIB)
#define BLOCKS_HEADROOM (128 * KIB) /* writable bytes before the content, for the loader */
#define BLOCKS_LOCATOR_BYTES 48
#define BLOCKS_MIN_MEMORY (2 * (BLOCKS_OBJECT_BYTES + BLOCKS_HEADROOM))

struct block_object {
	struct id256 id;      /* the cache's key: equal ids have equal content */
	uint32_t plain_bytes; /* 1 to BLOCKS_OBJECT_BYTES */
	bool whole;	      /* can be loaded and verified only as a whole (packs) */
	uint8_t locator[BLOCKS_LOCATOR_BYTES]; /* for the loader: where it lies */
};

/* Called on threads of the cache, several at once, without locks. */
struct block_loader {
	/* [offset, offset + len) (multiples of the block size, but at the end) into base + offset; base has BLOCKS_HEADROOM before it, which may be overwritten only when all is loaded. */
	int (*load)(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		    void *base, const struct cancel *c, struct err *e);
	/* Checks the same range, read back from disk. < 0: not to be believed. */
	int (*verify)(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		      const void *base, struct err *e);
	/* Blocks of the object were put into the disk ring: what verify will need should be kept too. May be NULL. */
	void (*kept)(void *ctx, const struct block_object *o, const struct cancel *c);
	void *ctx;
};

struct blocks_options {
	uint64_t memory_bytes; /* hard; at least BLOCKS_MIN_MEMORY */
	unsigned threads;      /* loads at once, at least 1 */
	struct kv *kv;	       /* index of the ring; NULL: no disk */
	const char *ring_path; /* the ring's file; NULL: no disk */
	uint64_t ring_bytes;
	struct block_loader loader;
	struct metrics *metrics; /* may be NULL */
};

struct blocks;
/* A ring that cannot be opened is an error. */
int blocks_new(const struct blocks_options *o, struct blocks **ret, struct err *e);
/* No pin may be held, no call be under way. Loads that are under way are cancelled. */
void blocks_free(struct blocks *b);
DEFINE_CLEANUP(struct blocks *, blocks_free);

struct block_pin {
	const uint8_t *data; /* the bytes asked for, contiguous */
	void *slot;
};

enum { BLOCKS_WOULD_BLOCK = 1 };
/*
 * Pins [offset, offset + len) of the object. wait = false: BLOCKS_WOULD_BLOCK where it is not in memory (nothing is started). A failed load is told to all
 * who waited for it and then forgotten: the next call tries again. -ECANCELED: within 100 ms of c, or at once after blocks_wake.
 */
int blocks_get(struct blocks *b, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
	       bool wait, struct block_pin *ret, const struct cancel *c, struct err *e);
void blocks_unpin(struct blocks *b, struct block_pin *pin);
/* Everybody who waits looks at its cancel token now. */
void blocks_wake(struct blocks *b);
/*
 * Starts loading without waiting, where memory allows it: blocks that nobody has read yet are not given up for it. Returns false where it did not
 * fit (nothing is started). keep_on_disk: put into the ring too (loads that blocks_get starts always are).
 */
bool blocks_prefetch(struct blocks *b, const struct block_object *o, uint32_t offset,
		     uint32_t len_bytes, bool keep_on_disk);
/* Nobody is expected to read what is loaded of this object: among the first to go. Loads that are queued and that nobody waits for are given up. */
void blocks_forget(struct blocks *b, const struct block_object *o);
uint64_t blocks_memory(struct blocks *b);

/* Checks every invariant of the tables (cache/slots.h); for tests. NULL: all hold; else a constant that says which does not. */
const char *blocks_check(struct blocks *b);

#endif
