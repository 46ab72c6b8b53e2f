/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/linkcache.h"

#include <pthread.h>

#define LOCKS 16

struct slot {
	uint64_t file, number; /* file 0: empty */
	struct linkcache_block *block;
};

struct linkcache {
	pthread_mutex_t lock[LOCKS]; /* of slots i, i + LOCKS, ... */
	struct slot slots[LINKCACHE_BLOCKS];
	atomic_ullong files;
};

struct linkcache_block *linkcache_block_new(void)
{
	struct linkcache_block *b = malloc(sizeof(*b));

	if (b)
		atomic_init(&b->refs, 1);
	return b;
}

void linkcache_block_unref(struct linkcache_block *b)
{
	if (b && atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

struct linkcache *linkcache_new(void)
{
	struct linkcache *c = calloc(1, sizeof(*c));

	for (size_t i = 0; c && i < LOCKS; i++)
		pthread_mutex_init(&c->lock[i], NULL);
	return c;
}

void linkcache_free(struct linkcache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < LINKCACHE_BLOCKS; i++)
		linkcache_block_unref(c->slots[i].block);
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&c->lock[i]);
	free(c);
}

uint64_t linkcache_join(struct linkcache *c)
{
	return atomic_fetch_add(&c->files, 1) + 1;
}

/* Blocks that follow each other never share a slot, so a small file fits as a whole. */
static size_t slot_of(uint64_t number)
{
	return number % LINKCACHE_BLOCKS;
}

struct linkcache_block *linkcache_find(struct linkcache *c, uint64_t file, uint64_t number)
{
	size_t i = slot_of(number);
	const struct slot *s = &c->slots[i];
	struct linkcache_block *found = NULL;

	pthread_mutex_lock(&c->lock[i % LOCKS]);
	if (s->file == file && s->number == number) {
		found = s->block;
		atomic_fetch_add(&found->refs, 1);
	}
	pthread_mutex_unlock(&c->lock[i % LOCKS]);
	return found;
}

void linkcache_put(struct linkcache *c, uint64_t file, uint64_t number, struct linkcache_block *b)
{
	size_t i = slot_of(number);
	struct slot *s = &c->slots[i];
	struct linkcache_block *before;

	atomic_fetch_add(&b->refs, 1);
	pthread_mutex_lock(&c->lock[i % LOCKS]);
	before = s->block;
	*s = (struct slot){ file, number, b };
	pthread_mutex_unlock(&c->lock[i % LOCKS]);
	linkcache_block_unref(before);
}
