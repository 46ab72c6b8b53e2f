/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/decay.h"

#include <errno.h>
#include <string.h>

#include "catalog/idmap.h"
#include "catalog/seen.h"

struct pack {
	struct id256 id; /* of the object, mixed with its writer: two may have equal ones */
	uint64_t live_bytes;
	uint32_t plain_bytes;
};

struct decay {
	uint64_t run_bytes; /* what is left of it */
	uint64_t memory_bytes;
	bool given_up;
	struct seen extents;
	struct idmap by_id;
	struct pack **packs;
	size_t pack_count, pack_cap;
};

struct decay *decay_new(uint64_t run_bytes, uint64_t memory_bytes)
{
	struct decay *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->run_bytes = run_bytes ? run_bytes : DECAY_RUN_BYTES;
	d->memory_bytes = memory_bytes;
	d->by_id = IDMAP_OF(struct pack, id);
	return d;
}

void decay_free(struct decay *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->pack_count; i++)
		free(d->packs[i]);
	free(d->packs);
	idmap_deinit(&d->by_id);
	seen_deinit(&d->extents);
	free(d);
}

void decay_give_up(struct decay *d)
{
	d->given_up = true;
}

static struct id256 pack_id(const struct object_ref *ref)
{
	struct id256 id = ref->id;

	for (size_t i = 0; i < ULID_BYTES; i++)
		id.b[i] ^= ref->writer.b[i];
	return id;
}

/* NULL: out of memory. */
static struct pack *find_pack(struct decay *d, const struct object_ref *ref)
{
	struct id256 id = pack_id(ref);
	struct pack *p = idmap_find(&d->by_id, &id);

	if (p)
		return p;
	if (util_grow(&d->packs, &d->pack_cap, d->pack_count + 1, sizeof(*d->packs)) < 0)
		return NULL;
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	*p = (struct pack){ .id = id, .plain_bytes = ref->plain_bytes };
	if (idmap_add(&d->by_id, p) < 0) {
		free(p);
		return NULL;
	}
	d->packs[d->pack_count++] = p;
	return p;
}

static uint64_t memory_of(const struct decay *d)
{
	return d->extents.cap * sizeof(*d->extents.slots) +
	       d->pack_count * (sizeof(struct pack) + sizeof(void *) + IDMAP_THING_BYTES);
}

/* It does not fill its object by itself. */
static bool is_packed(const struct extent *x)
{
	return x->len_bytes < x->object.plain_bytes;
}

int decay_count(struct decay *d, const struct extent *x)
{
	struct {
		struct id256 pack;
		uint32_t offset;
	} name = { .pack = pack_id(&x->object), .offset = x->offset };
	struct pack *p;
	int r;

	if (d->given_up || !is_packed(x))
		return 0;
	r = seen_add(&d->extents, &name, sizeof(name));
	if (r <= 0)
		return r;
	p = find_pack(d, &x->object);
	if (!p)
		return -ENOMEM;
	p->live_bytes += x->len_bytes;
	if (memory_of(d) > d->memory_bytes)
		decay_give_up(d);
	return 0;
}

static bool is_decayed(const struct decay *d, const struct extent *x)
{
	struct id256 id = pack_id(&x->object);
	const struct pack *p = is_packed(x) ? idmap_find(&d->by_id, &id) : NULL;

	return p && p->live_bytes * DECAY_LIVE_PART < p->plain_bytes;
}

bool decay_declines(struct decay *d, struct content *c, uint64_t cost_bytes)
{
	if (!d || d->given_up || c->fate != CONTENT_UNDECIDED)
		return c->fate == CONTENT_MOVES;
	c->fate = CONTENT_STAYS;
	if (cost_bytes <= d->run_bytes && is_decayed(d, &c->extents[c->extent_count - 1])) {
		d->run_bytes -= cost_bytes;
		c->fate = CONTENT_MOVES;
	}
	return c->fate == CONTENT_MOVES;
}

bool decay_declines_place(const struct decay *d, const struct place *p)
{
	return d && !d->given_up && is_decayed(d, &p->extent);
}
