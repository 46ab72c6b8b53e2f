/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of verified content: objects of at most 8 MiB, in blocks of 128 KiB, in bounded memory and in a bounded ring on disk.
 *
 * Each block is loaded once however many readers wait for it (single flight), and can be read as soon as it has arrived. Loading and verifying is the caller's (struct block_loader), on threads of this cache. What
 * comes back from the disk ring is verified by the loader too. Pinned objects stay where they are. Where memory is short, objects go first that somebody in passing
 * has read, then other blocks that were read, then the least recently used objects that nobody pins. Memory counts what is resident: loaded blocks, and buffers
 * kept for reuse.
 *
 * Who reads in order, once, is in passing (BLOCKS_PASSING): what is loaded for him goes to the disk ring only when it comes from the store for the second time within
 * as many bytes as the ring holds (cache/ghost.h). What is asked for by itself, as by random reads, is put there at once.
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
	/* Of a part: which object (that is whole) it is content of, and where. plain_bytes 0: it is no part. */
	struct {
		struct id256 id;
		uint32_t plain_bytes, offset;
	} of;
};

/* How a load says what it has, on its own thread: up to `end` (an offset in the object) all is verified, and stays as it is whatever comes of the rest. */
struct block_arrivals {
	void (*arrived)(void *ctx, uint32_t end_bytes);
	void *ctx;
};

/* Called on threads of the cache, several at once, without locks. */
struct block_loader {
	/*
	 * [offset, offset + len) (multiples of the block size, but at the end) into base + offset; base has BLOCKS_HEADROOM before it, which may be overwritten only when all of an object that is no part is loaded, and
	 * not any more once something has arrived. What the load told of as arrived counts also where it fails.
	 */
	int (*load)(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		    void *base, const struct block_arrivals *a, const struct cancel *c,
		    struct err *e);
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

/* How to read, in any combination. */
enum { BLOCKS_WAIT = 1, BLOCKS_PASSING = 2, BLOCKS_GUESSED = 4, BLOCKS_SPARING = 8 };
enum { BLOCKS_WOULD_BLOCK = 1 };
/*
 * Pins [offset, offset + len) of the object. Without BLOCKS_WAIT: BLOCKS_WOULD_BLOCK where it is not in memory (nothing is started). A failed load is told to all
 * who waited for it and then forgotten: the next call tries again. -ECANCELED: within 100 ms of c, or at once after blocks_wake.
 */
int blocks_get(struct blocks *b, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
	       unsigned how, struct block_pin *ret, const struct cancel *c, struct err *e);
/* Whether [offset, offset + len) of the object, or some of it, is neither in memory nor being loaded. */
bool blocks_lack(struct blocks *b, const struct block_object *o, uint32_t offset,
		 uint32_t len_bytes);
/*
 * Whether a part is to be had alone now, and not with all of what it is part of. Alone, where it is here or on its way so; or where the whole is neither, was loaded before, and
 * gave way before it was read through, as where more such objects than fit are read in no order. (Once more it is loaded as a whole where the disk ring will take it then: parts are read from there later.)
 */
bool blocks_alone(struct blocks *b, const struct block_object *part);
void blocks_unpin(struct blocks *b, struct block_pin *pin);
/* Everybody who waits looks at its cancel token now. */
void blocks_wake(struct blocks *b);
/*
 * Starts loading without waiting, where memory allows it: blocks that nobody has read yet are not given up for it. Returns false where it did not
 * fit (nothing is started). how: BLOCKS_PASSING, and BLOCKS_GUESSED where
 * it may well be that nobody comes to read it: that gives way to what others fetch ahead, but for BLOCKS_SPARING.
 */
bool blocks_prefetch(struct blocks *b, const struct block_object *o, uint32_t offset,
		     uint32_t len_bytes, unsigned how);
/* [offset, offset + len) of it will be read: what there is of it is no guess any more. Starts nothing. */
void blocks_expect(struct blocks *b, const struct block_object *o, uint32_t offset,
		   uint32_t len_bytes);
/* Nobody is expected to read what is loaded of this object: among the first to go. Loads that are queued and that nobody waits for are given up. */
void blocks_forget(struct blocks *b, const struct block_object *o);
uint64_t blocks_memory(struct blocks *b);
/* Of memory_bytes so much is to be used from now on: at least BLOCKS_MIN_MEMORY. What is more goes at once, but for what is pinned or being loaded: that goes when it is no longer. */
void blocks_limit(struct blocks *b, uint64_t memory_bytes);

/* Checks every invariant of the tables (cache/slots.h); for tests. NULL: all hold; else a constant that says which does not. */
const char *blocks_check(struct blocks *b);

#endif
