/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/ghost.h"

#include <string.h>
#include "cache/blocks.h"

#define BUCKETS 8192 /* a power of two */
#define NONE UINT32_MAX

struct entry {
	uint64_t hash, blocks;
	uint32_t chain; /* the next in its bucket, or NONE */
};

struct ghost {
	uint64_t limit_blocks, held_blocks;
	uint32_t oldest, count; /* entries[oldest], and those after it, around */
	uint32_t buckets[BUCKETS];
	struct entry entries[GHOST_OBJECTS];
};

struct ghost *ghost_new(uint64_t bytes)
{
	struct ghost *g = malloc(sizeof(*g));

	if (!g)
		return NULL;
	g->limit_blocks = bytes / BLOCKS_BLOCK_BYTES;
	g->held_blocks = 0;
	g->oldest = g->count = 0;
	memset(g->buckets, 0xff, sizeof(g->buckets));
	return g;
}

void ghost_free(struct ghost *g)
{
	free(g);
}

static void forget_oldest(struct ghost *g)
{
	struct entry *old = &g->entries[g->oldest];
	uint32_t *link = &g->buckets[old->hash % BUCKETS];

	while (*link != g->oldest)
		link = &g->entries[*link].chain;
	*link = old->chain;
	g->held_blocks -= (unsigned)__builtin_popcountll(old->blocks);
	g->oldest = (g->oldest + 1) % GHOST_OBJECTS;
	g->count--;
}

static uint64_t hash_of(const struct id256 *id)
{
	uint64_t hash;

	memcpy(&hash, id->b, sizeof(hash)); /* a SHA-256: as good as any hash */
	return hash;
}

/* The entry's index, or NONE. */
static uint32_t find(const struct ghost *g, uint64_t hash)
{
	uint32_t i = g->buckets[hash % BUCKETS];

	while (i != NONE && g->entries[i].hash != hash)
		i = g->entries[i].chain;
	return i;
}

static struct entry *add(struct ghost *g, uint64_t hash)
{
	uint32_t *bucket = &g->buckets[hash % BUCKETS], i;

	if (g->count == GHOST_OBJECTS)
		forget_oldest(g);
	i = (g->oldest + g->count++) % GHOST_OBJECTS;
	g->entries[i] = (struct entry){ .hash = hash, .chain = *bucket };
	*bucket = i;
	return &g->entries[i];
}

uint64_t ghost_note(struct ghost *g, const struct id256 *id, uint64_t blocks)
{
	uint64_t hash = hash_of(id), again;
	uint32_t i = find(g, hash);
	struct entry *entry = i == NONE ? add(g, hash) : &g->entries[i];

	again = entry->blocks & blocks;
	entry->blocks |= blocks;
	g->held_blocks += (unsigned)__builtin_popcountll(blocks & ~again);
	while (g->held_blocks > g->limit_blocks)
		forget_oldest(g);
	return again;
}

uint64_t ghost_find(const struct ghost *g, const struct id256 *id)
{
	uint32_t i = find(g, hash_of(id));

	return i == NONE ? 0 : g->entries[i].blocks;
}
