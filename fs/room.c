/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/room.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_OVERHEAD 16 /* what malloc takes beside a block */
#define TRIM_BYTES \
	(4 * MIB) /* of blocks that were given back: then malloc gives them to the system */
#define WORD_PAGES 64

/*
 * Pages lie in one reserved region, which costs nothing where it is not used. Bit i of taken[] says that page i is taken; below `first_free` all are.
 */
struct room {
	uint64_t max_bytes, used_bytes;
	uint64_t claimed_bytes; /* of the bound; the others know */
	void (*changed)(void *ctx, uint64_t bytes);
	void *changed_ctx;
	uint64_t block_bytes, block_peak; /* the peak since memory was last given to the system */
	uint8_t *region;
	uint64_t *taken;
	size_t page_count, first_free;
};

struct room *room_new(uint64_t max_bytes)
{
	_cleanup_free_ struct room *r = calloc(1, sizeof(*r));
	size_t words;

	if (!r)
		return NULL;
	r->max_bytes = max_bytes;
	r->page_count = (size_t)(max_bytes / ROOM_PAGE_BYTES);
	words = (r->page_count + WORD_PAGES - 1) / WORD_PAGES;
	r->taken = calloc(words + 1, sizeof(*r->taken));
	if (!r->taken)
		return NULL;
	r->region = mmap(NULL, (r->page_count + 1) * ROOM_PAGE_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->region == MAP_FAILED) {
		free(r->taken);
		return NULL;
	}
	/* A huge page for each small file would go beyond the bound. */
	(void)madvise(r->region, (r->page_count + 1) * ROOM_PAGE_BYTES, MADV_NOHUGEPAGE);
	return steal_pointer(&r);
}

void room_free(struct room *r)
{
	munmap(r->region, (r->page_count + 1) * ROOM_PAGE_BYTES);
	free(r->taken);
	free(r);
}

/* What is used now, to the next step; less only where a whole step is left over. */
static void claim(struct room *r)
{
	uint64_t steps = (r->used_bytes + ROOM_STEP_BYTES - 1) / ROOM_STEP_BYTES;
	uint64_t wanted = MIN_OF(steps * ROOM_STEP_BYTES, r->max_bytes);

	if (!r->changed || wanted == r->claimed_bytes ||
	    (wanted < r->claimed_bytes && r->claimed_bytes - wanted <= ROOM_STEP_BYTES))
		return;
	r->claimed_bytes = wanted;
	r->changed(r->changed_ctx, wanted);
}

void room_share(struct room *r, void (*changed)(void *ctx, uint64_t bytes), void *ctx)
{
	r->changed = changed;
	r->changed_ctx = ctx;
	r->claimed_bytes = r->max_bytes;
	claim(r);
}

static int charge(struct room *r, uint64_t bytes)
{
	if (bytes > r->max_bytes - r->used_bytes)
		return -ENOSPC;
	r->used_bytes += bytes;
	claim(r);
	return 0;
}

int room_take(struct room *r, size_t bytes, void **ret)
{
	void *block;
	int rc = charge(r, bytes + BLOCK_OVERHEAD);

	if (rc < 0)
		return rc;
	block = calloc(1, bytes);
	if (!block) {
		r->used_bytes -= bytes + BLOCK_OVERHEAD;
		return -ENOMEM;
	}
	r->block_bytes += bytes + BLOCK_OVERHEAD;
	r->block_peak = MAX_OF(r->block_peak, r->block_bytes);
	*ret = block;
	return 0;
}

/* Otherwise blocks that were given back and pages that are taken afterwards could be twice the bound together. */
static void trim(struct room *r)
{
	if (r->block_peak - r->block_bytes < TRIM_BYTES)
		return;
	malloc_trim(0);
	r->block_peak = r->block_bytes;
}

void room_give(struct room *r, void *block, size_t bytes)
{
	if (!block)
		return;
	free(block);
	r->used_bytes -= bytes + BLOCK_OVERHEAD;
	r->block_bytes -= bytes + BLOCK_OVERHEAD;
	trim(r);
	claim(r);
}

int room_take_page(struct room *r, void **ret)
{
	size_t word = r->first_free / WORD_PAGES;
	int rc = charge(r, ROOM_PAGE_BYTES), bit;

	if (rc < 0)
		return rc;
	/* The bound leaves a free page: blocks are charged beside the pages. */
	while (r->taken[word] == UINT64_MAX)
		word++;
	bit = __builtin_ctzll(~r->taken[word]);
	r->taken[word] |= UINT64_C(1) << bit;
	r->first_free = word * WORD_PAGES + (size_t)bit;
	*ret = r->region + r->first_free * ROOM_PAGE_BYTES;
	return 0;
}

void room_give_page(struct room *r, void *page)
{
	size_t i = (size_t)((uint8_t *)page - r->region) / ROOM_PAGE_BYTES;

	r->taken[i / WORD_PAGES] &= ~(UINT64_C(1) << i % WORD_PAGES);
	r->first_free = MIN_OF(r->first_free, i);
	r->used_bytes -= ROOM_PAGE_BYTES;
	/* Where the system's pages are larger than ours they stay. */
	if (madvise(page, ROOM_PAGE_BYTES, MADV_DONTNEED) < 0)
		memset(page, 0, ROOM_PAGE_BYTES);
	claim(r);
}

uint64_t room_used(const struct room *r)
{
	return r->used_bytes;
}

uint64_t room_limit(const struct room *r)
{
	return r->max_bytes;
}
