/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/idmap.h"

#include <errno.h>
#include <string.h>

#define SLOTS_MIN 64

static const struct id256 *id_of(const struct idmap *m, const void *thing)
{
	return (const struct id256 *)((const char *)thing + m->id_offset);
}

/* A SHA-256 is as good a hash as there is. */
static size_t first_slot(const struct idmap *m, const struct id256 *id)
{
	uint64_t hash;

	memcpy(&hash, id->b, sizeof(hash));
	return (size_t)hash & (m->slot_count - 1);
}

/* The slot that holds the id, or the free one where it belongs. */
static void **slot_of(const struct idmap *m, const struct id256 *id)
{
	size_t at = first_slot(m, id);

	while (m->slots[at] && memcmp(id_of(m, m->slots[at]), id, sizeof(*id)) != 0)
		at = (at + 1) & (m->slot_count - 1);
	return &m->slots[at];
}

void idmap_deinit(struct idmap *m)
{
	free(m->slots);
	*m = (struct idmap){ .id_offset = m->id_offset };
}

void *idmap_find(const struct idmap *m, const struct id256 *id)
{
	return m->slot_count ? *slot_of(m, id) : NULL;
}

static int grow(struct idmap *m)
{
	struct idmap larger = { .slot_count = MAX_OF(m->slot_count * 2, (size_t)SLOTS_MIN),
				.count = m->count,
				.id_offset = m->id_offset };

	larger.slots = calloc(larger.slot_count, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->slot_count; i++)
		if (m->slots[i])
			*slot_of(&larger, id_of(m, m->slots[i])) = m->slots[i];
	free(m->slots);
	*m = larger;
	return 0;
}

int idmap_add(struct idmap *m, void *thing)
{
	/* At most two thirds full. */
	if (m->count * 3 >= m->slot_count * 2) {
		int r = grow(m);

		if (r < 0)
			return r;
	}
	*slot_of(m, id_of(m, thing)) = thing;
	m->count++;
	return 0;
}
