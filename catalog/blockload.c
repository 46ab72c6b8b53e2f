/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/blockload.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define PART_BYTES MIB

struct blockload {
	struct source *source;
	struct kv *kv;
	pthread_mutex_t lock; /* the names */
	struct node_name *nodes;
	size_t count, cap;
};

/* What a locator holds. */
struct place_of {
	struct ulid writer;
	uint32_t node;
	uint32_t head_bytes;
	uint8_t flags;
};

_Static_assert(sizeof(struct place_of) <= BLOCKS_LOCATOR_BYTES, "a locator has room");
_Static_assert(BLOCKS_HEADROOM == SOURCE_HEADROOM, "one gives what the other needs");
_Static_assert(BLOCKS_BLOCK_BYTES == FORMAT_FRAME_BYTES, "a block of a uniform object is a frame");
_Static_assert(BLOCKS_OBJECT_BYTES == FORMAT_OBJECT_BYTES, "an object fits");

struct blockload *blockload_new(struct source *source, struct kv *kv)
{
	struct blockload *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->source = source;
	l->kv = kv;
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void blockload_free(struct blockload *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l->nodes);
	free(l);
}

/* ---- names and places ---- */

static int find_or_add(struct blockload *l, const struct node_name *n, uint32_t *ret)
{
	int r;

	for (size_t i = 0; i < l->count; i++) {
		if (keys_node_equal(&l->nodes[i], n)) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	r = util_grow(&l->nodes, &l->cap, l->count + 1, sizeof(*l->nodes));
	if (r < 0)
		return r;
	*ret = (uint32_t)l->count;
	l->nodes[l->count++] = *n;
	return 0;
}

int blockload_node(struct blockload *l, const struct node_name *n, uint32_t *ret)
{
	int r;

	pthread_mutex_lock(&l->lock);
	r = find_or_add(l, n, ret);
	pthread_mutex_unlock(&l->lock);
	return r;
}

/* Writers may store the same object, and that of one may be damaged: a copy's key in the cache is the id, changed by the writer; done again, the id. */
static struct id256 key_of_copy(struct id256 id, const struct ulid *writer)
{
	for (size_t i = 0; i < sizeof(writer->b); i++)
		id.b[i] ^= writer->b[i];
	return id;
}

struct block_object blockload_object(uint32_t node, const struct object_ref *ref)
{
	struct place_of place = { ref->writer, node, ref->head_bytes, ref->flags };
	struct block_object o = { .id = key_of_copy(ref->id, &ref->writer),
				  .plain_bytes = ref->plain_bytes,
				  .whole = !(ref->flags & OBJECT_UNIFORM) };

	memcpy(o.locator, &place, sizeof(place));
	return o;
}

bool blockload_has_part(const struct extent *x)
{
	return x->len_bytes > 0 && x->len_bytes <= PART_BYTES &&
	       x->object.plain_bytes <= FORMAT_OBJECT_BYTES && x->offset <= x->object.plain_bytes &&
	       x->len_bytes <= x->object.plain_bytes - x->offset;
}

struct block_object blockload_part(uint32_t node, const struct extent *x)
{
	struct block_object o = blockload_object(node, &x->object);
	uint64_t words[2];

	o.of.id = o.id;
	o.of.plain_bytes = o.plain_bytes;
	o.of.offset = x->offset;
	o.plain_bytes = x->len_bytes;
	/* The factor is odd: no two offsets, and no two lengths, give the same, and none leaves the id as it was. Tables hash by the first word. */
	memcpy(words, o.id.b, sizeof(words));
	words[0] ^= (x->offset + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
	words[1] ^= (x->len_bytes + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
	memcpy(o.id.b, words, sizeof(words));
	return o;
}

/* The object in the store; of a part that which it is part of. */
static struct object_ref ref_of(const struct block_object *o)
{
	struct object_ref ref = { .plain_bytes = o->of.plain_bytes ? o->of.plain_bytes
								   : o->plain_bytes };
	struct place_of place;

	memcpy(&place, o->locator, sizeof(place));
	ref.writer = place.writer;
	ref.id = key_of_copy(o->of.plain_bytes ? o->of.id : o->id, &place.writer);
	ref.head_bytes = place.head_bytes;
	ref.flags = place.flags;
	return ref;
}

/* And where it lies. */
struct located {
	struct object_ref ref;
	struct node_name node; /* a copy */
};

static void locate(struct blockload *l, const struct block_object *o, struct located *ret)
{
	struct place_of place;

	memcpy(&place, o->locator, sizeof(place));
	ret->ref = ref_of(o);
	pthread_mutex_lock(&l->lock);
	ret->node = l->nodes[place.node];
	pthread_mutex_unlock(&l->lock);
}

/* ---- heads on disk ---- */

static bool has_head(struct blockload *l, const struct id256 *id)
{
	uint8_t first[1];
	size_t len;
	int r = kv_read(l->kv, KV_HEADS, id->b, SHA256_BYTES, first, sizeof(first), &len, NULL);

	return r == 0 || r == -E2BIG;
}

/* A head that cannot be kept costs a load later, no more. */
static void keep_head(struct blockload *l, struct object_head *head)
{
	_cleanup_free_ void *bytes = NULL;

	if (has_head(l, &head->id))
		return;
	bytes = malloc(head->head_bytes);
	if (!bytes)
		return;
	object_head_encode(head, bytes);
	kv_put(l->kv, KV_HEADS, head->id.b, SHA256_BYTES, bytes, head->head_bytes, NULL);
}

/* Called when blocks went to disk. Of an object that is loaded as a whole the head was kept when it was at hand. */
static void kept(void *ctx, const struct block_object *o, const struct cancel *c)
{
	_cleanup_(object_head_freep) struct object_head *head = NULL;
	struct blockload *l = ctx;
	struct located at;

	if (o->whole)
		return;
	locate(l, o, &at);
	if (!has_head(l, &at.ref.id) &&
	    source_head(l->source, &at.node, KEY_OBJECT_DATA, &at.ref, &head, c, NULL) == 0)
		keep_head(l, head);
}

/* ---- the cache's callbacks ---- */

static int load_whole(struct blockload *l, const struct located *at, void *base,
		      const struct source_listener *listener, const struct cancel *c, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *head = NULL;
	bool is_pack = !(at->ref.flags & OBJECT_UNIFORM);
	int r;

	r = source_fetch(l->source, &at->node, KEY_OBJECT_DATA, &at->ref, base, listener,
			 l->kv && is_pack ? &head : NULL, c, e);
	if (r == 0 && head)
		keep_head(l, head);
	return r;
}

/* By way of memory that is the object's in full, of which pages come only to those frames: a file's may begin or end inside a frame. */
static int load_part(struct blockload *l, const struct located *at, const struct block_object *o,
		     void *dst, const struct cancel *c, struct err *e)
{
	size_t size = at->ref.plain_bytes;
	uint32_t start, end;
	uint8_t *content;
	int r;

	content = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (content == MAP_FAILED)
		return err_nomem(e);
	r = source_fetch_range(l->source, &at->node, KEY_OBJECT_DATA, &at->ref, o->of.offset,
			       o->plain_bytes, content, NULL, &start, &end, c, e);
	if (r == 0)
		memcpy(dst, content + o->of.offset, o->plain_bytes);
	munmap(content, size);
	return r;
}

static int load(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		void *base, const struct block_arrivals *a, const struct cancel *c, struct err *e)
{
	struct source_listener listener = { a->arrived, a->ctx };
	struct blockload *l = ctx;
	struct located at;
	uint32_t start, end;
	int r;

	locate(l, o, &at);
	if (o->of.plain_bytes)
		return load_part(l, &at, o, base, c, e);
	if (len_bytes == o->plain_bytes)
		return load_whole(l, &at, base, &listener, c, e);
	r = source_fetch_range(l->source, &at.node, KEY_OBJECT_DATA, &at.ref, offset, len_bytes,
			       base, &listener, &start, &end, c, e);
	if (r < 0)
		return r;
	if (start != offset || end != offset + len_bytes)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "the frames of an object do not fit its blocks");
	return 0;
}

/* `data` is what lies at `offset`: whole frames, else it cannot be checked. */
static int check_frames(const struct object_head *head, uint32_t offset, uint32_t len,
			const uint8_t *data, struct err *e)
{
	uint32_t first = object_frame_at(head, offset);
	uint32_t last = object_frame_at(head, offset + len - 1);
	int r = 0;

	if (head->frames[first].plain_offset != offset ||
	    head->frames[last].plain_offset + head->frames[last].plain_bytes != offset + len)
		return -EBADMSG;
	/* The local disk is ours: accidents are looked for, not attacks. */
	for (uint32_t i = first; i <= last && r == 0; i++)
		r = object_frame_check(head, i, data + (head->frames[i].plain_offset - offset),
				       OBJECT_VERIFY_XXH3, e);
	return r;
}

static int verify(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		  const void *base, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *head = NULL;
	_cleanup_free_ void *bytes = NULL;
	struct blockload *l = ctx;
	struct object_ref ref = ref_of(o);
	size_t len;
	int r;

	r = kv_get(l->kv, KV_HEADS, ref.id.b, SHA256_BYTES, &bytes, &len, e);
	if (r)
		return r < 0 ? r : -ENOENT;
	r = object_head_parse(bytes, len, &ref.id, &head, e);
	if (r < 0)
		return r;
	if (head->plain_bytes != ref.plain_bytes || (!o->whole && !(head->flags & OBJECT_UNIFORM)))
		return -EBADMSG;
	return check_frames(head, o->of.offset + offset, len_bytes, (const uint8_t *)base + offset,
			    e);
}

struct block_loader blockload_callbacks(struct blockload *l)
{
	return (struct block_loader){ .load = load, .verify = verify, .kept = kept, .ctx = l };
}
