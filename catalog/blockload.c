/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/blockload.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

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

struct block_object blockload_object(uint32_t node, const struct object_ref *ref)
{
	struct place_of place = { ref->writer, node, ref->head_bytes, ref->flags };
	struct block_object o = { .id = ref->id,
				  .plain_bytes = ref->plain_bytes,
				  .whole = !(ref->flags & OBJECT_UNIFORM) };

	memcpy(o.locator, &place, sizeof(place));
	return o;
}

/* Back: the reference, and a copy of the node's name. */
static void locate(struct blockload *l, const struct block_object *o, struct object_ref *ref,
		   struct node_name *n)
{
	struct place_of place;

	memcpy(&place, o->locator, sizeof(place));
	*ref = (struct object_ref){ .writer = place.writer,
				    .id = o->id,
				    .head_bytes = place.head_bytes,
				    .plain_bytes = o->plain_bytes,
				    .flags = place.flags };
	pthread_mutex_lock(&l->lock);
	*n = l->nodes[place.node];
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
	struct object_ref ref;
	struct node_name n;

	if (o->whole || has_head(l, &o->id))
		return;
	locate(l, o, &ref, &n);
	if (source_head(l->source, &n, KEY_OBJECT_DATA, &ref, &head, c, NULL) == 0)
		keep_head(l, head);
}

/* ---- the cache's callbacks ---- */

static int load_whole(struct blockload *l, const struct node_name *n, const struct object_ref *ref,
		      void *base, const struct cancel *c, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *head = NULL;
	bool is_pack = !(ref->flags & OBJECT_UNIFORM);
	int r;

	r = source_fetch(l->source, n, KEY_OBJECT_DATA, ref, base, l->kv && is_pack ? &head : NULL,
			 c, e);
	if (r == 0 && head)
		keep_head(l, head);
	return r;
}

static int load(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		void *base, const struct cancel *c, struct err *e)
{
	struct blockload *l = ctx;
	struct object_ref ref;
	struct node_name n;
	uint32_t start, end;
	int r;

	locate(l, o, &ref, &n);
	if (len_bytes == o->plain_bytes)
		return load_whole(l, &n, &ref, base, c, e);
	r = source_fetch_range(l->source, &n, KEY_OBJECT_DATA, &ref, offset, len_bytes, base,
			       &start, &end, c, e);
	if (r < 0)
		return r;
	if (start != offset || end != offset + len_bytes)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "the frames of an object do not fit its blocks");
	return 0;
}

static int check_frames(const struct object_head *head, uint32_t offset, uint32_t len,
			const uint8_t *base, struct err *e)
{
	uint32_t first = object_frame_at(head, offset);
	uint32_t last = object_frame_at(head, offset + len - 1);
	int r = 0;

	/* The local disk is ours: accidents are looked for, not attacks. */
	for (uint32_t i = first; i <= last && r == 0; i++)
		r = object_frame_check(head, i, base + head->frames[i].plain_offset,
				       OBJECT_VERIFY_XXH3, e);
	return r;
}

static int verify(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		  const void *base, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *head = NULL;
	_cleanup_free_ void *bytes = NULL;
	struct blockload *l = ctx;
	size_t len;
	int r;

	r = kv_get(l->kv, KV_HEADS, o->id.b, SHA256_BYTES, &bytes, &len, e);
	if (r)
		return r < 0 ? r : -ENOENT;
	r = object_head_parse(bytes, len, &o->id, &head, e);
	if (r < 0)
		return r;
	if (head->plain_bytes != o->plain_bytes || (!o->whole && !(head->flags & OBJECT_UNIFORM)))
		return -EBADMSG;
	return check_frames(head, offset, len_bytes, base, e);
}

struct block_loader blockload_callbacks(struct blockload *l)
{
	return (struct block_loader){ .load = load, .verify = verify, .kept = kept, .ctx = l };
}
