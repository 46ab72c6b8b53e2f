/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include "catalog/keep.h"

#define KEEP_BUCKETS 4096
#define KEEP_LOOK_MS 100 /* how often a waiting thread looks at its cancel token */

/*
 * LOADING -> READY or FAILED. An item is in the table while LOADING or READY; in the list of those that may be dropped while
 * READY and held by nobody. Everything is protected by keep.lock; value and bytes do not change once READY.
 */
enum keep_state { KEEP_LOADING, KEEP_READY, KEEP_FAILED };

struct keep_item {
	struct keep_key key;
	enum keep_state state;
	unsigned holders;
	void *value;
	size_t value_bytes;
	struct err *error; /* of FAILED, NULL where memory was short */
	int code;
	struct keep_item *chain;	 /* of the bucket */
	struct keep_item *newer, *older; /* among those that may be dropped */
};

struct keep {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* an item left LOADING */
	void (*free_value)(void *value);
	uint64_t max_bytes, bytes; /* bytes: of all READY items in the table */
	struct keep_item *newest, *oldest;
	struct keep_item *buckets[KEEP_BUCKETS];
};

struct keep *keep_new(uint64_t max_bytes, void (*free_value)(void *value))
{
	struct keep *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;

	if (!k)
		return NULL;
	k->free_value = free_value;
	k->max_bytes = max_bytes;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->changed, &attr);
	pthread_condattr_destroy(&attr);
	return k;
}

static void item_free(struct keep *k, struct keep_item *item)
{
	if (item->value)
		k->free_value(item->value);
	free(item->error);
	free(item);
}

void keep_free(struct keep *k)
{
	if (!k)
		return;
	while (k->oldest) {
		struct keep_item *item = k->oldest;

		k->oldest = item->newer;
		item_free(k, item);
	}
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static struct keep_item **bucket_of(struct keep *k, const struct keep_key *key)
{
	uint64_t h;

	memcpy(&h, key->id.b, sizeof(h)); /* a SHA-256 is its own hash */
	return &k->buckets[h % KEEP_BUCKETS];
}

static struct keep_item *table_find(struct keep *k, const struct keep_key *key)
{
	struct keep_item *item = *bucket_of(k, key);

	while (item && memcmp(&item->key, key, sizeof(*key)) != 0)
		item = item->chain;
	return item;
}

static void table_remove(struct keep *k, struct keep_item *item)
{
	struct keep_item **p = bucket_of(k, &item->key);

	while (*p != item)
		p = &(*p)->chain;
	*p = item->chain;
}

static void list_remove(struct keep *k, struct keep_item *item)
{
	*(item->newer ? &item->newer->older : &k->newest) = item->older;
	*(item->older ? &item->older->newer : &k->oldest) = item->newer;
	item->newer = item->older = NULL;
}

static void list_push(struct keep *k, struct keep_item *item)
{
	item->older = k->newest;
	*(k->newest ? &k->newest->newer : &k->oldest) = item;
	k->newest = item;
}

static size_t cost(const struct keep_item *item)
{
	return item->value_bytes + sizeof(*item);
}

/* Takes items out of the table until the bound is kept; they are returned as a chain, to be freed without the lock. */
static struct keep_item *shrink(struct keep *k)
{
	struct keep_item *dropped = NULL;

	while (k->bytes > k->max_bytes && k->oldest) {
		struct keep_item *item = k->oldest;

		list_remove(k, item);
		table_remove(k, item);
		k->bytes -= cost(item);
		item->chain = dropped;
		dropped = item;
	}
	return dropped;
}

static void free_chain(struct keep *k, struct keep_item *item)
{
	while (item) {
		struct keep_item *next = item->chain;

		item_free(k, item);
		item = next;
	}
}

static void hold(struct keep *k, struct keep_item *item)
{
	if (item->holders++ == 0 && item->state == KEEP_READY)
		list_remove(k, item);
}

struct keep_item *keep_find(struct keep *k, const struct keep_key *key)
{
	struct keep_item *item;

	pthread_mutex_lock(&k->lock);
	item = table_find(k, key);
	if (item && item->state != KEEP_READY)
		item = NULL;
	if (item)
		hold(k, item);
	pthread_mutex_unlock(&k->lock);
	return item;
}

/* A new LOADING item in the table, held once. */
static struct keep_item *claim_locked(struct keep *k, const struct keep_key *key)
{
	struct keep_item *item = calloc(1, sizeof(*item)), **bucket = bucket_of(k, key);

	if (!item)
		return NULL;
	item->key = *key;
	item->state = KEEP_LOADING;
	item->holders = 1;
	item->chain = *bucket;
	*bucket = item;
	return item;
}

static void wait_locked(struct keep *k)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += KEEP_LOOK_MS * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&k->changed, &k->lock, &until);
}

/* The end of a failed item for one of its holders. Returns its code, with *e filled. */
static int leave_failed_locked(struct keep *k, struct keep_item *item, struct err *e)
{
	int r = item->code;

	if (e && item->error)
		*e = *item->error;
	else
		err_set(e, ERR_IO, r, "another request for the same object failed");
	if (--item->holders == 0)
		item_free(k, item);
	return r;
}

/* Waits, holding the item, until it is no longer LOADING. 0: READY; > 0: whoever loaded it was cancelled; < 0. The item is held on only for 0. */
static int await_locked(struct keep *k, struct keep_item *item, const struct cancel *c,
			struct err *e)
{
	int r;

	while (item->state == KEEP_LOADING && !cancel_is_set(c))
		wait_locked(k);
	if (item->state == KEEP_READY)
		return 0;
	if (item->state == KEEP_LOADING) {
		item->holders--; /* never the last: who loads holds it too */
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	}
	r = leave_failed_locked(k, item, e);
	return r == -ECANCELED && !cancel_is_set(c) ? 1 : r;
}

int keep_claim(struct keep *k, const struct keep_key *key, struct keep_item **ret,
	       const struct cancel *c, struct err *e)
{
	struct keep_item *item;
	int r;

	pthread_mutex_lock(&k->lock);
	do {
		item = table_find(k, key);
		if (!item) {
			item = claim_locked(k, key);
			r = item ? KEEP_CLAIMED : err_nomem(e);
			break;
		}
		hold(k, item);
		r = await_locked(k, item, c, e);
	} while (r > 0);
	pthread_mutex_unlock(&k->lock);
	if (r >= 0)
		*ret = item;
	return r;
}

void keep_fill(struct keep *k, struct keep_item *claimed, void *value, size_t value_bytes)
{
	struct keep_item *dropped;

	pthread_mutex_lock(&k->lock);
	claimed->value = value;
	claimed->value_bytes = value_bytes;
	claimed->state = KEEP_READY;
	k->bytes += cost(claimed);
	dropped = shrink(k);
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	free_chain(k, dropped);
}

void keep_fail(struct keep *k, struct keep_item *claimed, int r, const struct err *e)
{
	struct err *copy = e ? malloc(sizeof(*copy)) : NULL;

	if (copy)
		*copy = *e;
	pthread_mutex_lock(&k->lock);
	table_remove(k, claimed);
	claimed->state = KEEP_FAILED;
	claimed->code = r;
	claimed->error = copy;
	if (--claimed->holders == 0)
		item_free(k, claimed);
	else
		pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

void keep_add(struct keep *k, const struct keep_key *key, void *value, size_t value_bytes)
{
	struct keep_item *item = NULL;

	pthread_mutex_lock(&k->lock);
	if (!table_find(k, key))
		item = claim_locked(k, key);
	pthread_mutex_unlock(&k->lock);
	if (!item) {
		k->free_value(value);
		return;
	}
	keep_fill(k, item, value, value_bytes);
	keep_release(k, item);
}

void *keep_value(const struct keep_item *item)
{
	return item->value;
}

size_t keep_value_bytes(const struct keep_item *item)
{
	return item->value_bytes;
}

void keep_release(struct keep *k, struct keep_item *item)
{
	struct keep_item *dropped = NULL;

	if (!item)
		return;
	pthread_mutex_lock(&k->lock);
	if (--item->holders == 0) {
		list_push(k, item);
		dropped = shrink(k);
	}
	pthread_mutex_unlock(&k->lock);
	free_chain(k, dropped);
}
