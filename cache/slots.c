/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/slots.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MAP_BYTES (BLOCKS_HEADROOM + BLOCKS_OBJECT_BYTES)
#define SLOTS_MAX 1024 /* 8 GiB of address space */

_Static_assert(SLOTS_BLOCKS *BLOCKS_BLOCK_BYTES == BLOCKS_OBJECT_BYTES, "a mask holds an object");

static uint64_t bytes_of(uint64_t blocks)
{
	return (uint64_t)__builtin_popcountll(blocks) * BLOCKS_BLOCK_BYTES;
}

static uint64_t mask_of(unsigned first, unsigned count)
{
	if (count == 0)
		return 0;
	return UINT64_MAX >> (SLOTS_BLOCKS - count) << first;
}

uint64_t slots_span(uint32_t offset, uint32_t len_bytes)
{
	unsigned first = (unsigned)(offset / BLOCKS_BLOCK_BYTES);
	unsigned last = (unsigned)((offset + len_bytes - 1) / BLOCKS_BLOCK_BYTES);

	return mask_of(first, last - first + 1);
}

/* ---- lists and the hash table ---- */

static void list_remove(struct slot_list *l, struct slot *slot)
{
	*(slot->older ? &slot->older->newer : &l->oldest) = slot->newer;
	*(slot->newer ? &slot->newer->older : &l->newest) = slot->older;
	slot->older = slot->newer = NULL;
}

static void list_add_newest(struct slot_list *l, struct slot *slot)
{
	slot->older = l->newest;
	slot->newer = NULL;
	*(l->newest ? &l->newest->newer : &l->oldest) = slot;
	l->newest = slot;
}

static void list_add_oldest(struct slot_list *l, struct slot *slot)
{
	slot->newer = l->oldest;
	slot->older = NULL;
	*(l->oldest ? &l->oldest->older : &l->newest) = slot;
	l->oldest = slot;
}

static struct slot **bucket_of(const struct slots *s, const struct id256 *id)
{
	uint64_t h;

	memcpy(&h, id->b, sizeof(h)); /* a SHA-256: as good as any hash */
	return &s->buckets[h & (s->bucket_count - 1)];
}

struct slot *slots_find(struct slots *s, const struct id256 *id)
{
	struct slot *slot = *bucket_of(s, id);

	while (slot && memcmp(&slot->object.id, id, sizeof(*id)) != 0)
		slot = slot->chain;
	return slot;
}

/* ---- memory ---- */

static void give_back(struct slots *s, struct slot *slot, uint64_t blocks)
{
	s->charged_bytes -= bytes_of(blocks);
	slot->resident &= ~blocks;
	for (unsigned i = 0, n; i < SLOTS_BLOCKS; i += n) {
		n = 1;
		if (!(blocks >> i & 1))
			continue;
		while (i + n < SLOTS_BLOCKS && (blocks >> (i + n) & 1))
			n++;
		madvise(slot->base + i * BLOCKS_BLOCK_BYTES, n * BLOCKS_BLOCK_BYTES, MADV_DONTNEED);
	}
}

static void give_back_headroom(struct slots *s, struct slot *slot)
{
	if (!slot->headroom)
		return;
	slot->headroom = false;
	s->charged_bytes -= BLOCKS_HEADROOM;
	madvise(slot->base - BLOCKS_HEADROOM, BLOCKS_HEADROOM, MADV_DONTNEED);
}

/* Address space for one more slot, in the free list. Memory is counted by us, to the page: no huge ones. */
static struct slot *map_slot(struct slots *s)
{
	struct slot *slot = &s->all[s->count];
	uint8_t *memory;

	if (s->count == s->cap)
		return NULL;
	memory = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, MAP_BYTES, MADV_NOHUGEPAGE);
	slot->base = memory + BLOCKS_HEADROOM;
	s->count++;
	list_add_newest(&s->free, slot);
	return slot;
}

int slots_init(struct slots *s, uint64_t limit_bytes)
{
	*s = (struct slots){ .limit_bytes = limit_bytes };
	s->cap = MIN_OF(limit_bytes / BLOCKS_BLOCK_BYTES, SLOTS_MAX);
	s->bucket_count = SLOTS_MAX;
	s->all = calloc(s->cap, sizeof(*s->all));
	s->buckets = calloc(s->bucket_count, sizeof(*s->buckets));
	s->wasted = ghost_new(UINT64_MAX);
	if (s->all && s->buckets && s->wasted)
		return 0;
	slots_deinit(s);
	return -ENOMEM;
}

void slots_deinit(struct slots *s)
{
	for (size_t i = 0; i < s->count; i++)
		munmap(s->all[i].base - BLOCKS_HEADROOM, MAP_BYTES);
	free(s->all);
	free(s->buckets);
	ghost_free(s->wasted);
	*s = (struct slots){ 0 };
}

/* ---- reclaiming ---- */

/* The object goes; what is resident stays for the next one. */
static void make_free(struct slots *s, struct slot *slot)
{
	struct slot **link = bucket_of(s, &slot->object.id);

	while (*link != slot)
		link = &(*link)->chain;
	*link = slot->chain;
	slot->chain = NULL;
	slot->live = slot->guessed = false;
	slot->present = slot->used = 0;
	list_remove(&s->live, slot);
	list_add_newest(&s->free, slot);
}

/* The object goes though not all of it was read. */
static void drop_unread(struct slots *s, struct slot *slot)
{
	uint64_t unread = slot->present & ~slot->used;

	s->dropped_unread += bytes_of(unread);
	if (slot->object.whole && !slot->object.of.plain_bytes && unread)
		ghost_note(s->wasted, &slot->object.id,
			   ghost_find(s->wasted, &slot->object.id) ? 2 : 1);
	make_free(s, slot);
}

static bool drop_guessed(struct slots *s, struct slot *slot)
{
	if (!slot->guessed || slot->pins > 0)
		return false;
	drop_unread(s, slot);
	return true;
}

/* Drops what was read of the slot. False: there is nothing of that kind. */
static bool drop_read(struct slots *s, struct slot *slot)
{
	uint64_t blocks = slot->present & slot->used;

	if (slot->pins > 0 || blocks == 0 || (slot->object.whole && blocks != slot->present))
		return false;
	if (blocks == slot->present) {
		make_free(s, slot);
		return true;
	}
	slot->present &= ~blocks;
	slot->used = 0;
	give_back(s, slot, blocks);
	return true;
}

/* One step; false where there is none left. `spare` is a free slot whose pages are wanted. */
static bool reclaim(struct slots *s, const struct slot *spare, enum slots_effort effort)
{
	for (struct slot *slot = s->free.oldest; slot; slot = slot->newer) {
		if (slot == spare || slot->resident == 0)
			continue;
		give_back(s, slot, slot->resident);
		return true;
	}
	for (struct slot *slot = s->live.oldest; slot; slot = slot->newer)
		if (drop_read(s, slot))
			return true;
	if (effort == SLOTS_READ_ONLY)
		return false;
	for (struct slot *slot = s->live.oldest; slot; slot = slot->newer)
		if (drop_guessed(s, slot))
			return true;
	if (effort != SLOTS_ANY)
		return false;
	for (struct slot *slot = s->live.oldest; slot; slot = slot->newer) {
		if (slot->pins > 0)
			continue;
		drop_unread(s, slot);
		return true;
	}
	return false;
}

static void shrink(struct slots *s)
{
	while (s->charged_bytes > s->limit_bytes && reclaim(s, NULL, SLOTS_ANY))
		;
	s->over = s->charged_bytes > s->limit_bytes;
}

void slots_limit(struct slots *s, uint64_t limit_bytes)
{
	s->limit_bytes = limit_bytes;
	shrink(s);
}

/* ---- reserving ---- */

/* The free slot that holds most of the pages that are wanted and least of others. */
static struct slot *best_free(struct slots *s, uint64_t blocks)
{
	struct slot *best = NULL, *fresh;
	int best_score = 0;

	for (struct slot *slot = s->free.newest; slot; slot = slot->older) {
		int score = __builtin_popcountll(slot->resident & blocks) -
			    __builtin_popcountll(slot->resident & ~blocks);

		if (!best || score > best_score) {
			best = slot;
			best_score = score;
		}
	}
	if (best && best_score >= 0)
		return best;
	fresh = map_slot(s);
	return fresh ? fresh : best;
}

/* A free slot, once the blocks fit into it; NULL: they do not. */
static struct slot *find_place(struct slots *s, uint64_t blocks, uint64_t headroom,
			       enum slots_effort effort)
{
	for (;;) {
		struct slot *slot = best_free(s, blocks);

		if (slot) {
			uint64_t strays = bytes_of(slot->resident & ~blocks);
			uint64_t wanted = bytes_of(blocks & ~slot->resident) + headroom;

			if (s->charged_bytes - strays + wanted <= s->limit_bytes) {
				give_back(s, slot, slot->resident & ~blocks);
				return slot;
			}
		}
		if (!reclaim(s, slot, effort))
			return NULL;
	}
}

/* More blocks of a slot that is live already. */
static bool make_room(struct slots *s, struct slot *slot, uint64_t bytes, enum slots_effort effort)
{
	bool fits = true;

	slot->pins++; /* not itself */
	while (fits && s->charged_bytes + bytes > s->limit_bytes)
		fits = reclaim(s, NULL, effort);
	slot->pins--;
	return fits;
}

static void make_live(struct slots *s, struct slot *slot, const struct block_object *o)
{
	struct slot **bucket = bucket_of(s, &o->id);

	list_remove(&s->free, slot);
	list_add_newest(&s->live, slot);
	slot->object = *o;
	slot->live = true;
	slot->chain = *bucket;
	*bucket = slot;
}

struct slot *slots_reserve(struct slots *s, const struct block_object *o, uint64_t blocks,
			   bool headroom, enum slots_effort effort)
{
	uint64_t extra = headroom ? BLOCKS_HEADROOM : 0;
	struct slot *slot = slots_find(s, &o->id);

	if (slot) {
		if (!make_room(s, slot, bytes_of(blocks) + extra, effort))
			return NULL;
	} else {
		slot = find_place(s, blocks, extra, effort);
		if (!slot)
			return NULL;
		make_live(s, slot, o);
	}
	s->charged_bytes += bytes_of(blocks & ~slot->resident) + extra;
	slot->resident |= blocks;
	slot->loading |= blocks;
	slot->headroom |= headroom;
	return slot;
}

void slots_loaded(struct slots *s, struct slot *slot, uint64_t blocks)
{
	slot->loading &= ~blocks;
	slot->present |= blocks;
	give_back_headroom(s, slot);
}

void slots_failed(struct slots *s, struct slot *slot, uint64_t blocks)
{
	slot->loading &= ~blocks;
	slot->used &= ~blocks;
	give_back(s, slot, blocks);
	give_back_headroom(s, slot);
}

/* ---- use ---- */

void slots_pin(struct slot *slot)
{
	slot->pins++;
}

bool slots_unpin(struct slots *s, struct slot *slot)
{
	if (--slot->pins > 0)
		return false;
	if (slot->present == 0)
		make_free(s, slot);
	if (s->over)
		shrink(s);
	return true;
}

void slots_touch(struct slots *s, struct slot *slot, uint32_t offset, uint32_t len_bytes,
		 bool passing)
{
	uint32_t end = offset + len_bytes;
	unsigned first = (unsigned)(offset / BLOCKS_BLOCK_BYTES);
	unsigned after = (unsigned)(end / BLOCKS_BLOCK_BYTES);

	if (end == slot->object.plain_bytes && end % BLOCKS_BLOCK_BYTES)
		after++;
	if (after > first)
		slot->used |= mask_of(first, after - first) & slot->present;
	slot->guessed = false;
	list_remove(&s->live, slot);
	if (passing && slot->used == slot->resident)
		list_add_oldest(&s->live, slot);
	else
		list_add_newest(&s->live, slot);
}

void slots_expect(struct slots *s, struct slot *slot, uint64_t blocks, bool guessed)
{
	if (!guessed) {
		slot->guessed = false;
		slot->used &= ~blocks;
	}
	list_remove(&s->live, slot);
	list_add_newest(&s->live, slot);
}

void slots_forget(struct slots *s, struct slot *slot)
{
	slot->used = slot->resident;
	list_remove(&s->live, slot);
	list_add_oldest(&s->live, slot);
}

/* ---- invariants ---- */

static const char *check_slot(const struct slots *s, const struct slot *slot)
{
	uint64_t all = slot->live ? slots_all_of(&slot->object) : 0;

	if (!slot->live)
		return slot->present || slot->loading || slot->used || slot->pins ||
				       slot->headroom || slot->guessed
			       ? "a free slot is in use"
			       : NULL;
	if (slot->present & slot->loading)
		return "a block is both present and loading";
	if (slot->resident != (slot->present | slot->loading))
		return "resident is not what is present or loading";
	if (slot->used & ~slot->resident)
		return "an absent block is used";
	if ((slot->resident & ~all) != 0)
		return "a block lies beyond the object";
	if (slot->object.whole &&
	    ((slot->present && slot->present != all) || (slot->loading && slot->loading != all)))
		return "a part of an object that is whole";
	if ((slot->loading || slot->headroom || !slot->present) && slot->pins == 0)
		return "a slot that is loading or empty is not pinned";
	if (slots_find((struct slots *)(uintptr_t)s, &slot->object.id) != slot)
		return "an object is not found, or has two slots";
	return NULL;
}

static size_t list_count(const struct slot_list *l, bool live)
{
	const struct slot *older = NULL;
	size_t count = 0;

	for (const struct slot *slot = l->oldest; slot; older = slot, slot = slot->newer) {
		if (slot->older != older || slot->live != live)
			return SIZE_MAX;
		count++;
	}
	return l->newest == older ? count : SIZE_MAX;
}

const char *slots_check(const struct slots *s)
{
	uint64_t charged = 0;
	size_t live = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct slot *slot = &s->all[i];
		const char *broken = check_slot(s, slot);

		if (broken)
			return broken;
		charged += bytes_of(slot->resident) + (slot->headroom ? BLOCKS_HEADROOM : 0);
		live += slot->live;
	}
	if (charged != s->charged_bytes)
		return "the memory that is charged is not what is resident";
	if (charged > s->limit_bytes && !s->over)
		return "more memory is resident than allowed";
	if (list_count(&s->live, true) != live || list_count(&s->free, false) != s->count - live)
		return "a list is broken";
	return NULL;
}
