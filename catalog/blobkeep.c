/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/blobkeep.h"

#include <pthread.h>
#include <string.h>

struct waiting {
	struct id256 digest;
	void *data;
	size_t len;
};

struct lot {
	struct lot *next;
	size_t count, bytes;
	struct waiting v[BLOBKEEP_COUNT];
};

struct blobkeep {
	struct kv *kv;
	pthread_mutex_t lock; /* the rest */
	struct lot *lot;      /* takes more; NULL: there is none */
	struct lot *full;     /* each is being written by who filled it, and changes no more */
};

struct blobkeep *blobkeep_new(struct kv *kv)
{
	struct blobkeep *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->kv = kv;
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

static void lot_free(struct lot *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->v[i].data);
	free(l);
}

/* In one transaction. */
static void write_lot(struct kv *kv, const struct lot *l)
{
	struct kv_batch *batch;
	int r = kv_batch_begin(kv, &batch, NULL);

	if (r < 0)
		return;
	for (size_t i = 0; r == 0 && i < l->count; i++)
		r = kv_batch_put(batch, KV_BLOBS, &l->v[i].digest, sizeof(struct id256),
				 l->v[i].data, l->v[i].len, NULL);
	kv_batch_commit(batch, NULL);
}

/* It is found among the full ones until the store has it. */
static void write_full(struct blobkeep *b, struct lot *l)
{
	struct lot **at = &b->full;

	write_lot(b->kv, l);
	pthread_mutex_lock(&b->lock);
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	pthread_mutex_unlock(&b->lock);
	lot_free(l);
}

void blobkeep_free(struct blobkeep *b)
{
	if (!b)
		return;
	if (b->lot) {
		write_lot(b->kv, b->lot);
		lot_free(b->lot);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static const struct waiting *find_in(const struct lot *l, const struct id256 *digest)
{
	for (size_t i = 0; i < l->count; i++)
		if (memcmp(&l->v[i].digest, digest, sizeof(*digest)) == 0)
			return &l->v[i];
	return NULL;
}

/* With the lock held. */
static const struct waiting *find(const struct blobkeep *b, const struct id256 *digest)
{
	const struct waiting *found = b->lot ? find_in(b->lot, digest) : NULL;

	for (const struct lot *l = b->full; l && !found; l = l->next)
		found = find_in(l, digest);
	return found;
}

bool blobkeep_get(struct blobkeep *b, const struct id256 *digest, void **ret, size_t *ret_len)
{
	const struct waiting *w;
	void *copy = NULL;
	bool found;

	pthread_mutex_lock(&b->lock);
	w = find(b, digest);
	found = w;
	if (w && (copy = malloc(w->len + 1))) {
		memcpy(copy, w->data, w->len);
		*ret_len = w->len;
		*ret = copy;
	}
	pthread_mutex_unlock(&b->lock);
	return found ? copy != NULL
		     : kv_get(b->kv, KV_BLOBS, digest, sizeof(*digest), ret, ret_len, NULL) == 0;
}

/* With the lock held: the blob waits; false: there is no memory for it. */
static bool add(struct blobkeep *b, const struct id256 *digest, const void *data, size_t len)
{
	struct waiting *w;
	void *copy;

	if (!b->lot)
		b->lot = calloc(1, sizeof(*b->lot));
	copy = b->lot ? malloc(len + 1) : NULL;
	if (!copy)
		return false;
	memcpy(copy, data, len);
	w = &b->lot->v[b->lot->count++];
	*w = (struct waiting){ *digest, copy, len };
	b->lot->bytes += len;
	return true;
}

void blobkeep_put(struct blobkeep *b, const struct id256 *digest, const void *data, size_t len)
{
	struct lot *full = NULL;

	if (len > BLOBKEEP_BYTES) {
		kv_put(b->kv, KV_BLOBS, digest, sizeof(*digest), data, len, NULL);
		return;
	}
	pthread_mutex_lock(&b->lock);
	if (!find(b, digest) && add(b, digest, data, len) &&
	    (b->lot->count == BLOBKEEP_COUNT || b->lot->bytes >= BLOBKEEP_BYTES)) {
		full = steal_pointer(&b->lot);
		full->next = b->full;
		b->full = full;
	}
	pthread_mutex_unlock(&b->lock);
	if (full)
		write_full(b, full);
}

void blobkeep_drop(struct blobkeep *b, const struct id256 *digest)
{
	kv_delete(b->kv, KV_BLOBS, digest, sizeof(*digest), NULL);
}
