/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/buffers.h"

#include <sys/mman.h>

struct buffers {
	struct work *work;
	enum object_compression compression;
	unsigned count;
	struct buffer slots[]; /* `taken`: protected by work->lock; the rest belongs to who has it */
};

struct buffers *buffers_new(struct work *work, unsigned count, enum object_compression compression)
{
	struct buffers *b = calloc(1, sizeof(*b) + count * sizeof(b->slots[0]));

	if (!b)
		return NULL;
	b->work = work;
	b->count = count;
	b->compression = compression;
	return b;
}

void buffers_free(struct buffers *b)
{
	if (!b)
		return;
	for (unsigned i = 0; i < b->count; i++) {
		if (b->slots[i].data)
			munmap(b->slots[i].data, FORMAT_OBJECT_BYTES);
		object_builder_free(b->slots[i].builder);
	}
	free(b);
}

/* The memory of a slot, made when it is first used. */
static int prepare(struct buffers *b, struct buffer *slot, struct err *e)
{
	void *data;

	slot->owner = b;
	if (!slot->builder)
		slot->builder = object_builder_new(b->compression);
	if (!slot->data) {
		data = mmap(NULL, FORMAT_OBJECT_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		slot->data = data == MAP_FAILED ? NULL : data;
	}
	return slot->builder && slot->data ? 0 : err_nomem(e);
}

bool buffers_any_free(const struct buffers *b)
{
	for (unsigned i = 0; i < b->count; i++)
		if (!b->slots[i].taken)
			return true;
	return false;
}

/* With the lock held. */
static struct buffer *take_free(struct buffers *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		if (!b->slots[i].taken) {
			b->slots[i].taken = true;
			return &b->slots[i];
		}
	}
	return NULL;
}

/* No memory for the slot ends everything: it was promised. */
static struct buffer *prepared(struct buffers *b, struct buffer *slot)
{
	struct err e = ERR_INIT;
	int r = prepare(b, slot, &e);

	if (r == 0)
		return slot;
	buffers_give(slot);
	work_fail(b->work, r, &e);
	return NULL;
}

struct buffer *buffers_try(struct buffers *b)
{
	struct buffer *slot;

	pthread_mutex_lock(&b->work->lock);
	slot = take_free(b);
	pthread_mutex_unlock(&b->work->lock);
	return slot ? prepared(b, slot) : NULL;
}

struct buffer *buffers_take(struct buffers *b)
{
	struct buffer *slot;

	pthread_mutex_lock(&b->work->lock);
	while (!(slot = take_free(b)) && b->work->code == 0)
		work_wait(b->work);
	pthread_mutex_unlock(&b->work->lock);
	return slot ? prepared(b, slot) : NULL;
}

void buffers_give(struct buffer *slot)
{
	struct work *work = slot->owner->work;

	pthread_mutex_lock(&work->lock);
	slot->taken = false;
	work_ring(work);
	pthread_mutex_unlock(&work->lock);
}
