/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of resident objects behind the cache of blocks: which object has which slot of memory, which of its blocks are there, and what goes when
 * memory is short. No locks and no threads here: the caller holds its lock around every call.
 *
 * A slot is address space for one object (a headroom, then 64 blocks). A block of it is, as bits of masks:
 *
 *     absent ---slots_reserve---> loading ---slots_loaded---> present ---reclaimed---> absent
 *                                    `------slots_failed------------------------------^
 *
 *   live slot (holds an object):  present & loading = 0;  resident = present | loading;  used is within resident (forgotten ones are, though still loading);  of an object that is `whole`
 *                                 all blocks or none are present, and likewise loading;  loading is not 0 only while it is pinned
 *   free slot:                    present = loading = 0, no pins; resident = pages kept for reuse
 *   charged = the resident blocks of all slots and the headrooms in use <= limit, at every moment; but where the limit was lowered, what is pinned then
 *             goes when it is no longer
 */
#ifndef SSTABLEFS_CACHE_SLOTS_H
#define SSTABLEFS_CACHE_SLOTS_H

#include "cache/blocks.h"
#include "cache/ghost.h"

#define SLOTS_BLOCKS 64

struct slot {
	struct block_object object;
	uint8_t *base; /* of the content; BLOCKS_HEADROOM before it */
	uint64_t present, loading, used, resident;
	unsigned pins;
	bool live, headroom;	    /* headroom: charged for a load of the whole */
	bool guessed;		    /* nobody has read of it, and perhaps nobody will */
	struct slot *chain;	    /* next in its hash bucket */
	struct slot *older, *newer; /* in the list of its kind */
	struct waiter *waiters;	    /* the caller's */
};

struct slot_list {
	struct slot *oldest, *newest;
};

struct slots {
	uint64_t limit_bytes, charged_bytes;
	bool over;	  /* charged > limit: it was lowered while too much was pinned */
	struct slot *all; /* `count` in use, of `cap` */
	size_t count, cap;
	struct slot_list live, free;
	struct slot **buckets;
	size_t bucket_count;	 /* a power of two */
	uint64_t dropped_unread; /* bytes that were reclaimed before anybody read them: counts up */
	struct ghost *
		wasted; /* the last GHOST_OBJECTS objects that are whole and were reclaimed before they were read through: 1 once, 2 or 3 more often */
};

int slots_init(struct slots *s, uint64_t limit_bytes); /* 0 or -ENOMEM */
void slots_deinit(struct slots *s);
/* From now on; at most that of slots_init. What is more is reclaimed at once, or when its last pin goes. */
void slots_limit(struct slots *s, uint64_t limit_bytes);

/* Blocks that [offset, offset + len) touches; all blocks of an object. */
uint64_t slots_span(uint32_t offset, uint32_t len_bytes);
static inline uint64_t slots_all_of(const struct block_object *o)
{
	return slots_span(0, o->plain_bytes);
}

struct slot *slots_find(struct slots *s, const struct id256 *id); /* NULL: none */

enum slots_effort {
	SLOTS_READ_ONLY, /* reclaims only what was read already */
	SLOTS_GUESSED,	 /* and what is only guessed that it will be read */
	SLOTS_ANY,	 /* and the least recently used of the rest */
};
/*
 * Makes `blocks` of the object loading (none of them may be present or loading), giving it a slot where it has none. headroom: charges and keeps the
 * headroom until slots_loaded or slots_failed. NULL where memory is short; then nothing of this object has changed.
 */
struct slot *slots_reserve(struct slots *s, const struct block_object *o, uint64_t blocks,
			   bool headroom, enum slots_effort effort);
void slots_loaded(struct slots *s, struct slot *slot, uint64_t blocks);
/* The blocks become absent. Nobody may touch their memory any more. */
void slots_failed(struct slots *s, struct slot *slot, uint64_t blocks);

void slots_pin(struct slot *slot);
/* Returns true where it was the last pin. A slot with nothing present becomes free then. */
bool slots_unpin(struct slots *s, struct slot *slot);
/* Read just now: [offset, offset + len) of it; blocks whose last byte that covers are `used`. Who reads in passing does not come back: once he is through, the slot is among the first to go. */
void slots_touch(struct slots *s, struct slot *slot, uint32_t offset, uint32_t len_bytes,
		 bool passing);
/* These blocks of it will be read (again) soon: what is there of them counts as unread, but where that is only a guess. */
void slots_expect(struct slots *s, struct slot *slot, uint64_t blocks, bool guessed);
void slots_forget(struct slots *s, struct slot *slot);

const char *slots_check(const struct slots *s); /* NULL, or which invariant is broken */

#endif
