/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/known.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "catalog/idmap.h"

struct known {
	uint64_t memory_bytes;
	struct idmap by_content, by_digest;
	struct content **contents; /* in the order in which they were added, like places */
	struct place **places;
	size_t content_count, content_cap, place_count, place_cap;
	uint64_t used; /* of all but the claims; the main thread's, like everything above */

	pthread_mutex_t lock;	/* everything below */
	struct idmap by_object; /* extents that are whole objects: parts of contents, or claims */
	struct extent **claims;
	size_t claim_count, claim_cap;
};

/* ---- contents by themselves ---- */

static size_t content_bytes(const struct content *c)
{
	return sizeof(*c) + c->extent_count * sizeof(c->extents[0]);
}

struct content *content_new(uint64_t size_bytes, uint32_t extent_count)
{
	struct content *c = calloc(1, sizeof(*c) + extent_count * sizeof(c->extents[0]));

	if (!c)
		return NULL;
	c->size_bytes = size_bytes;
	c->extent_count = extent_count;
	c->refs = 1;
	return c;
}

struct content *content_ref(struct content *c)
{
	c->refs++;
	return c;
}

void content_unref(struct content *c)
{
	if (c && --c->refs == 0)
		free(c);
}

/* ---- all that is known ---- */

struct known *known_new(uint64_t memory_bytes)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->memory_bytes = memory_bytes;
	k->by_content = IDMAP_OF(struct content, id);
	k->by_digest = IDMAP_OF(struct place, digest);
	k->by_object = IDMAP_OF(struct extent, object.id);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

void known_free(struct known *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->content_count; i++)
		content_unref(k->contents[i]);
	for (size_t i = 0; i < k->place_count; i++)
		free(k->places[i]);
	for (size_t i = 0; i < k->claim_count; i++)
		free(k->claims[i]);
	free(k->contents);
	free(k->places);
	free(k->claims);
	idmap_deinit(&k->by_content);
	idmap_deinit(&k->by_digest);
	idmap_deinit(&k->by_object);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

bool known_is_full(const struct known *k)
{
	return k->used >= k->memory_bytes;
}

uint64_t known_memory(const struct known *k)
{
	return k->used;
}

static bool is_whole_object(const struct extent *x)
{
	return x->offset == 0 && x->len_bytes == x->object.plain_bytes &&
	       x->len_bytes >= FORMAT_OWN_OBJECT_BYTES;
}

/* Its whole objects, so that other contents that begin alike find them. */
static int add_objects(struct known *k, struct content *c)
{
	int r = 0;

	pthread_mutex_lock(&k->lock);
	for (uint32_t i = 0; i < c->extent_count && r == 0; i++) {
		struct extent *x = &c->extents[i];

		if (!is_whole_object(x) || idmap_find(&k->by_object, &x->object.id))
			continue;
		r = idmap_add(&k->by_object, x);
		k->used += IDMAP_THING_BYTES;
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

int known_add(struct known *k, struct content *c)
{
	if (known_is_full(k) || idmap_find(&k->by_content, &c->id))
		return 0;
	if (util_grow(&k->contents, &k->content_cap, k->content_count + 1, sizeof(*k->contents)) <
		    0 ||
	    idmap_add(&k->by_content, c) < 0)
		return -ENOMEM;
	k->contents[k->content_count++] = content_ref(c);
	k->used += content_bytes(c) + sizeof(c) + IDMAP_THING_BYTES;
	return add_objects(k, c);
}

struct content *known_find(const struct known *k, const struct id256 *id)
{
	return idmap_find(&k->by_content, id);
}

struct place *known_find_place(const struct known *k, const struct id256 *digest)
{
	return idmap_find(&k->by_digest, digest);
}

struct place *known_add_place(struct known *k, const struct place *p)
{
	struct place *copy;

	if (util_grow(&k->places, &k->place_cap, k->place_count + 1, sizeof(*k->places)) < 0)
		return NULL;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = *p;
	if (idmap_add(&k->by_digest, copy) < 0) {
		free(copy);
		return NULL;
	}
	k->places[k->place_count++] = copy;
	k->used += sizeof(*copy) + sizeof(copy) + IDMAP_THING_BYTES;
	return copy;
}

/* ---- claims ---- */

static int add_claim(struct known *k, const struct object_ref *ref)
{
	struct extent *x;

	if (util_grow(&k->claims, &k->claim_cap, k->claim_count + 1, sizeof(*k->claims)) < 0)
		return -ENOMEM;
	x = malloc(sizeof(*x));
	if (!x)
		return -ENOMEM;
	*x = (struct extent){ .object = *ref, .len_bytes = ref->plain_bytes };
	if (idmap_add(&k->by_object, x) < 0) {
		free(x);
		return -ENOMEM;
	}
	k->claims[k->claim_count++] = x;
	return 0;
}

int known_claim(struct known *k, struct object_ref *ref)
{
	const struct extent *there;
	int r;

	pthread_mutex_lock(&k->lock);
	there = idmap_find(&k->by_object, &ref->id);
	if (there) {
		*ref = there->object;
		r = KNOWN_THERE;
	} else {
		r = add_claim(k, ref);
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

/* ---- rollback ---- */

struct known_mark known_mark(const struct known *k)
{
	return (struct known_mark){ .contents = k->content_count, .places = k->place_count };
}

/* The maps know no removal: they are filled anew. */
static int rebuild(struct known *k)
{
	size_t content_count = k->content_count;
	int r = 0;

	idmap_deinit(&k->by_content);
	idmap_deinit(&k->by_digest);
	idmap_deinit(&k->by_object);
	k->used = 0;
	for (size_t i = 0; i < k->place_count && r == 0; i++) {
		r = idmap_add(&k->by_digest, k->places[i]);
		k->used += sizeof(struct place) + sizeof(void *) + IDMAP_THING_BYTES;
	}
	for (size_t i = 0; i < content_count && r == 0; i++) {
		r = idmap_add(&k->by_content, k->contents[i]);
		k->used += content_bytes(k->contents[i]) + sizeof(void *) + IDMAP_THING_BYTES;
		if (r == 0)
			r = add_objects(k, k->contents[i]);
	}
	return r;
}

int known_rollback(struct known *k, struct known_mark mark)
{
	while (k->content_count > mark.contents)
		content_unref(k->contents[--k->content_count]);
	while (k->place_count > mark.places)
		free(k->places[--k->place_count]);
	return rebuild(k);
}
