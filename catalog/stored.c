/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/stored.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "catalog/parallel.h"

#define FIRST_BYTES 4096 /* holds the head of every object but packs of many files */
/* A whole piece of a large file whose frames are all raw: most objects of a node. Its head says nothing that its id does not. */
#define LARGE_HEAD_BYTES           \
	(FORMAT_HEAD_FIXED_BYTES + \
	 FORMAT_HEAD_FRAME_BYTES * (FORMAT_OBJECT_BYTES / FORMAT_FRAME_BYTES))
#define LARGE_BYTES (LARGE_HEAD_BYTES + FORMAT_OBJECT_BYTES)

struct object {
	struct id256 id;
	uint64_t total_bytes;
	struct object_head *head; /* of a pack; NULL: not asked for, no pack, or no room */
};

struct frame {	       /* where a frame lies */
	uint64_t hash; /* the first bytes of its SHA-256 */
	uint32_t object, index;
};

struct stored {
	struct ulid writer;
	struct object *objects; /* in ascending order of ids */
	size_t object_count, object_cap;
	struct frame *frames; /* in ascending order of hashes */
	size_t frame_count, frame_cap;
};

struct load {
	const struct stored_options *o;
	const struct cancel *cancel;
	struct stored *s;
	size_t prefix_bytes;
	_Atomic uint64_t used;
};

void stored_free(struct stored *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->object_count; i++)
		object_head_free(s->objects[i].head);
	free(s->objects);
	free(s->frames);
	free(s);
}

static uint64_t hash_of(const struct id256 *frame)
{
	uint64_t hash;

	memcpy(&hash, frame->b, sizeof(hash));
	return hash;
}

/* ---- what is there ---- */

/* store_list_fn: keys come in the order of their ids. What is no object's name is not ours. */
static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct load *l = ctx;
	struct stored *s = l->s;
	struct object found = { .total_bytes = entry->size_bytes };
	const char *name = entry->key + l->prefix_bytes;

	if (strlen(name) != SHA256_HEX - 1 || util_unhex(found.id.b, sizeof(found.id.b), name) < 0)
		return 0;
	if (l->used + sizeof(found) > l->o->memory_bytes)
		return 1;
	if (util_grow(&s->objects, &s->object_cap, s->object_count + 1, sizeof(found)) < 0)
		return err_nomem(e);
	s->objects[s->object_count++] = found;
	l->used += sizeof(found);
	return 0;
}

static int list_objects(struct load *l, struct err *e)
{
	static const struct id256 none;
	char key[KEY_BYTES];
	struct store_list list = { .prefix = key, .entry = on_key, .ctx = l };

	keys_object(key, l->o->where, KEY_OBJECT_DATA, &l->o->writer, &none);
	*(strrchr(key, '/') + 1) = '\0';
	l->prefix_bytes = strlen(key);
	return store_list(repo_store(l->o->repo), &list, l->cancel, e);
}

/* ---- heads ---- */

static int damaged(struct err *e, const char *key, const char *why)
{
	int r = err_set(
		e, ERR_CORRUPT, -EBADMSG,
		"what the interrupted backup stored is damaged, run it again and it begins anew: %s",
		why);

	err_key(e, key);
	return r;
}

/* Bytes [offset, end) of the object into dst. */
static int get_part(struct load *l, const char *key, size_t offset, size_t end, uint8_t *dst,
		    struct err *e)
{
	const struct store_get req = { .key = key,
				       .offset = offset,
				       .len_bytes = end - offset,
				       .dst = dst + offset,
				       .cap_bytes = end - offset };
	int r = store_get(repo_store(l->o->repo), &req, NULL, l->cancel, e);

	return r > 0 ? damaged(e, key, "an object is gone") : r;
}

static int fetch_head(struct load *l, const struct object *o, const char *key,
		      struct object_head **ret, struct err *e)
{
	size_t first = (size_t)MIN_OF(o->total_bytes, (uint64_t)FIRST_BYTES);
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	_cleanup_free_ uint8_t *data = malloc(FORMAT_HEAD_MAX_BYTES);
	ssize_t len;
	int r;

	if (!data)
		return err_nomem(e);
	if (o->total_bytes <= FORMAT_HEAD_FIXED_BYTES)
		return damaged(e, key, "an object is cut short");
	r = get_part(l, key, 0, first, data, e);
	if (r < 0)
		return r;
	len = object_head_length(data);
	if (len < 0 || (uint64_t)len > o->total_bytes)
		return damaged(e, key, "an object has no head");
	if ((size_t)len > first)
		r = get_part(l, key, first, (size_t)len, data, e);
	if (r < 0)
		return r;
	if (object_head_parse(data, (size_t)len, &o->id, &h, NULL) < 0 ||
	    o->total_bytes != (uint64_t)h->head_bytes + h->stored_bytes)
		return damaged(e, key, "an object's head is not that of its id");
	*ret = steal_pointer(&h);
	return 0;
}

/* An object that is one piece of a large file is found by its id. */
static bool is_pack(const struct object_head *h)
{
	return !(h->flags & OBJECT_UNIFORM) || h->plain_bytes < FORMAT_OWN_OBJECT_BYTES;
}

/* parallel_fn */
static int read_head(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct load *l = ctx;
	struct object *o = &l->s->objects[i];
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	char key[KEY_BYTES];
	uint64_t bytes;
	int r;

	if (o->total_bytes == LARGE_BYTES || atomic_load(&l->used) > l->o->memory_bytes)
		return 0;
	keys_object(key, l->o->where, KEY_OBJECT_DATA, &l->o->writer, &o->id);
	r = fetch_head(l, o, key, &h, e);
	if (r < 0 || !is_pack(h))
		return r;
	bytes = sizeof(*h) + h->frame_count * (sizeof(h->frames[0]) + sizeof(struct frame));
	if (atomic_fetch_add(&l->used, bytes) + bytes <= l->o->memory_bytes)
		o->head = steal_pointer(&h);
	return 0;
}

static int compare_frames(const void *pa, const void *pb)
{
	const struct frame *a = pa, *b = pb;

	return (a->hash > b->hash) - (a->hash < b->hash);
}

static int index_frames(struct stored *s, struct err *e)
{
	for (size_t i = 0; i < s->object_count; i++) {
		const struct object_head *h = s->objects[i].head;

		for (uint32_t k = 0; h && k < h->frame_count; k++) {
			if (util_grow(&s->frames, &s->frame_cap, s->frame_count + 1,
				      sizeof(*s->frames)) < 0)
				return err_nomem(e);
			s->frames[s->frame_count++] =
				(struct frame){ hash_of(&h->frames[k].sha256), (uint32_t)i, k };
		}
	}
	if (s->frame_count)
		qsort(s->frames, s->frame_count, sizeof(*s->frames), compare_frames);
	return 0;
}

int stored_load(const struct stored_options *o, struct stored **ret, const struct cancel *c,
		struct err *e)
{
	_cleanup_(stored_freep) struct stored *s = calloc(1, sizeof(*s));
	struct load l = { .o = o, .cancel = c, .s = s };
	int r;

	if (!s)
		return err_nomem(e);
	s->writer = o->writer;
	r = list_objects(&l, e);
	if (r == 0)
		r = parallel_run("heads", o->connections, s->object_count, read_head, &l, e);
	if (r == 0)
		r = index_frames(s, e);
	if (r == 0)
		*ret = steal_pointer(&s);
	return r;
}

/* ---- looking ---- */

bool stored_has(const struct stored *s, const struct id256 *id, uint64_t total_bytes)
{
	size_t low = 0, high = s ? s->object_count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(s->objects[middle].id.b, id->b, sizeof(id->b));

		if (order == 0)
			return s->objects[middle].total_bytes == total_bytes;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* The first of the frames whose hash is not below this one. */
static size_t first_frame(const struct stored *s, uint64_t hash)
{
	size_t low = 0, high = s->frame_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->frames[middle].hash < hash)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether the piece is what begins with this frame: every frame, and each as long as the piece has it. */
static bool begins_here(const struct object_head *h, uint32_t at,
			const struct frame_digest *digests, size_t len_bytes)
{
	for (size_t done = 0; done < len_bytes; done += FORMAT_FRAME_BYTES, at++, digests++)
		if (at >= h->frame_count ||
		    h->frames[at].plain_bytes != MIN_OF(len_bytes - done, FORMAT_FRAME_BYTES) ||
		    memcmp(&h->frames[at].sha256, &digests->sha256, sizeof(digests->sha256)) != 0)
			return false;
	return true;
}

bool stored_find(const struct stored *s, const struct frame_digest *digests, size_t len_bytes,
		 struct extent *ret)
{
	uint64_t hash = hash_of(&digests[0].sha256);

	for (size_t i = s ? first_frame(s, hash) : 0;
	     s && i < s->frame_count && s->frames[i].hash == hash; i++) {
		const struct object *o = &s->objects[s->frames[i].object];
		uint32_t at = s->frames[i].index;

		if (!begins_here(o->head, at, digests, len_bytes))
			continue;
		*ret = (struct extent){
			.object = { .writer = s->writer,
				    .id = o->id,
				    .head_bytes = o->head->head_bytes,
				    .plain_bytes = o->head->plain_bytes,
				    .flags = (uint8_t)o->head->flags },
			.offset = o->head->frames[at].plain_offset,
			.len_bytes = (uint32_t)len_bytes,
		};
		return true;
	}
	return false;
}
