/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/packer.h"

#include <errno.h>

struct slot {
	struct packer *packer;
	struct object_builder *builder;
	bool busy; /* being sent. Protected by work->lock */
};

struct packer {
	struct packer_options o;
	struct slot *slots;
	unsigned slot_count;
	struct slot *open;	 /* NULL: none */
	struct extent **waiting; /* the extents in the open object */
	size_t waiting_count, waiting_cap;
	uint64_t stored_bytes;
};

struct packer *packer_new(const struct packer_options *o)
{
	_cleanup_(packer_freep) struct packer *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->o = *o;
	p->slots = calloc(o->builders, sizeof(*p->slots));
	if (!p->slots)
		return NULL;
	p->slot_count = o->builders;
	for (unsigned i = 0; i < p->slot_count; i++) {
		p->slots[i].packer = p;
		p->slots[i].builder = object_builder_new(o->compression);
		if (!p->slots[i].builder)
			return NULL;
	}
	return steal_pointer(&p);
}

void packer_free(struct packer *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->slot_count; i++)
		object_builder_free(p->slots[i].builder);
	free(p->slots);
	free(p->waiting);
	free(p);
}

static void on_sent(void *ctx)
{
	struct slot *s = ctx;
	struct work *work = s->packer->o.work;

	pthread_mutex_lock(&work->lock);
	s->busy = false;
	work_ring(work);
	pthread_mutex_unlock(&work->lock);
}

static struct slot *find_free(struct packer *p)
{
	for (unsigned i = 0; i < p->slot_count; i++)
		if (!p->slots[i].busy)
			return &p->slots[i];
	return NULL;
}

/* Waits for a builder. */
static int open_object(struct packer *p, struct err *e)
{
	struct work *work = p->o.work;
	struct slot *s;

	pthread_mutex_lock(&work->lock);
	while (!(s = find_free(p)) && work->code == 0)
		work_wait(work);
	pthread_mutex_unlock(&work->lock);
	if (!s)
		return work_failed(work, e);
	object_builder_reset(s->builder);
	p->open = s;
	return 0;
}

struct object_ref packer_ref(const struct object_image *image, const struct ulid *writer)
{
	return (struct object_ref){ .writer = *writer,
				    .id = image->id,
				    .head_bytes = image->head->head_bytes,
				    .plain_bytes = image->head->plain_bytes,
				    .flags = (uint8_t)image->head->flags };
}

int packer_close(struct packer *p, struct err *e)
{
	struct slot *s = p->open;
	struct object_image image;
	struct object_ref ref;
	int r;

	if (!s)
		return 0;
	r = object_builder_finish(s->builder, &image, e);
	if (r < 0)
		return r;
	ref = packer_ref(&image, &p->o.writer);
	s->busy = true; /* nobody else looks at it before the upload has it */
	p->open = NULL;
	r = upload_put(p->o.upload, p->o.kind, &image, on_sent, s, e);
	if (r < 0) {
		s->busy = false;
		return r;
	}
	for (size_t i = 0; i < p->waiting_count; i++)
		p->waiting[i]->object = ref;
	p->waiting_count = 0;
	return 0;
}

int packer_add(struct packer *p, const void *data, size_t len_bytes,
	       const struct frame_digest *digests, struct extent *where, struct err *e)
{
	uint32_t offset;
	int r = 0;

	if (len_bytes > FORMAT_OBJECT_BYTES)
		return err_set(e, ERR_IO, -E2BIG, "%zu bytes do not fit an object", len_bytes);
	if (digests && stored_find(p->o.stored, digests, len_bytes, where)) {
		p->stored_bytes += len_bytes;
		return 0;
	}
	if (p->open && !object_builder_fits(p->open->builder, len_bytes))
		r = packer_close(p, e);
	if (r == 0 && !p->open)
		r = open_object(p, e);
	if (r < 0)
		return r;
	if (util_grow(&p->waiting, &p->waiting_cap, p->waiting_count + 1, sizeof(*p->waiting)) < 0)
		return err_nomem(e);
	r = object_builder_add(p->open->builder, data, len_bytes, false, digests, &offset, e);
	if (r < 0)
		return r;
	*where = (struct extent){ .offset = offset, .len_bytes = (uint32_t)len_bytes };
	p->waiting[p->waiting_count++] = where;
	return 0;
}

uint64_t packer_stored_bytes(const struct packer *p)
{
	return p->stored_bytes;
}
