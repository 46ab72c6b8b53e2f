/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/seen.h"

#include <errno.h>
#include <string.h>

#define SEEN_FIRST 1024

static const struct xxh128 free_slot;

void seen_deinit(struct seen *s)
{
	free(s->slots);
	*s = (struct seen){ 0 };
}

static bool same(const struct xxh128 *a, const struct xxh128 *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Where it is, or the free slot where it would be put. cap is a power of two and more than count. */
static size_t slot_of(const struct seen *s, const struct xxh128 *name)
{
	uint64_t h;
	size_t i;

	memcpy(&h, name->b, sizeof(h));
	i = h & (s->cap - 1);
	while (!same(&s->slots[i], &free_slot) && !same(&s->slots[i], name))
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int grow(struct seen *s)
{
	struct seen larger = { .count = s->count, .cap = s->cap ? 2 * s->cap : SEEN_FIRST };

	if (2 * (s->count + 1) <= s->cap)
		return 0;
	larger.slots = calloc(larger.cap, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->cap; i++)
		if (!same(&s->slots[i], &free_slot))
			larger.slots[slot_of(&larger, &s->slots[i])] = s->slots[i];
	free(s->slots);
	*s = larger;
	return 0;
}

int seen_add_digest(struct seen *s, const struct xxh128 *digest)
{
	size_t i;

	if (grow(s) < 0)
		return -ENOMEM;
	i = slot_of(s, digest);
	if (same(&s->slots[i], digest))
		return 0;
	s->slots[i] = *digest;
	s->count++;
	return SEEN_NEW;
}

bool seen_has_digest(const struct seen *s, const struct xxh128 *digest)
{
	return s->cap > 0 && same(&s->slots[slot_of(s, digest)], digest);
}

bool seen_slot(const struct seen *s, size_t i)
{
	return !same(&s->slots[i], &free_slot);
}

int seen_add(struct seen *s, const void *name, size_t len_bytes)
{
	struct xxh128 h = digest_xxh128(name, len_bytes);

	return seen_add_digest(s, &h);
}

bool seen_has(const struct seen *s, const void *name, size_t len_bytes)
{
	struct xxh128 h = digest_xxh128(name, len_bytes);

	return seen_has_digest(s, &h);
}

#define OBJECT_NAME_BYTES (ULID_BYTES + SHA256_BYTES)

static void object_name(uint8_t out[OBJECT_NAME_BYTES], const struct object_ref *ref)
{
	memcpy(out, ref->writer.b, ULID_BYTES);
	memcpy(out + ULID_BYTES, ref->id.b, SHA256_BYTES);
}

int seen_add_object(struct seen *s, const struct object_ref *ref)
{
	uint8_t name[OBJECT_NAME_BYTES];

	object_name(name, ref);
	return seen_add(s, name, sizeof(name));
}

struct xxh128 seen_object_digest(const struct object_ref *ref)
{
	uint8_t name[OBJECT_NAME_BYTES];

	object_name(name, ref);
	return digest_xxh128(name, sizeof(name));
}

bool seen_has_object(const struct seen *s, const struct object_ref *ref)
{
	uint8_t name[OBJECT_NAME_BYTES];

	object_name(name, ref);
	return seen_has(s, name, sizeof(name));
}

int seen_add_place(struct seen *s, const struct place *p)
{
	uint8_t name[OBJECT_NAME_BYTES + SHA256_BYTES + 2 * sizeof(uint32_t)];
	uint8_t *rest = name + OBJECT_NAME_BYTES;

	object_name(name, &p->extent.object);
	memcpy(rest, p->digest.b, SHA256_BYTES);
	memcpy(rest + SHA256_BYTES, &p->extent.offset, sizeof(uint32_t));
	memcpy(rest + SHA256_BYTES + sizeof(uint32_t), &p->extent.len_bytes, sizeof(uint32_t));
	return seen_add(s, name, sizeof(name));
}
