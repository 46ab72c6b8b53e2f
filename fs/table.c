/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/table.h"

#define BUCKETS_FIRST 64

int table_init(struct table *t, struct room *r)
{
	void *buckets;
	int rc = room_take(r, BUCKETS_FIRST * sizeof(*t->buckets), &buckets);

	if (rc == 0)
		*t = (struct table){ .buckets = buckets, .bucket_count = BUCKETS_FIRST };
	return rc;
}

void table_deinit(struct table *t, struct room *r)
{
	room_give(r, t->buckets, t->bucket_count * sizeof(*t->buckets));
	t->buckets = NULL;
}

static struct table_item **bucket_of(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->bucket_count - 1)];
}

static void grow(struct table *t, struct room *r)
{
	struct table wider = { .bucket_count = 2 * t->bucket_count, .count = t->count };
	void *buckets;

	if (room_take(r, wider.bucket_count * sizeof(*t->buckets), &buckets) < 0)
		return;
	wider.buckets = buckets;
	for (size_t i = 0; i < t->bucket_count; i++) {
		for (struct table_item *item = t->buckets[i], *next; item; item = next) {
			struct table_item **at = bucket_of(&wider, item->hash);

			next = item->next;
			item->next = *at;
			*at = item;
		}
	}
	table_deinit(t, r);
	*t = wider;
}

void table_add(struct table *t, struct room *r, struct table_item *i, uint64_t hash)
{
	struct table_item **at;

	if (t->count >= t->bucket_count)
		grow(t, r);
	at = bucket_of(t, hash);
	i->hash = hash;
	i->next = *at;
	*at = i;
	t->count++;
}

void table_remove(struct table *t, struct table_item *i)
{
	struct table_item **at = bucket_of(t, i->hash);

	while (*at != i)
		at = &(*at)->next;
	*at = i->next;
	t->count--;
}

static struct table_item *same_hash(struct table_item *i, uint64_t hash)
{
	while (i && i->hash != hash)
		i = i->next;
	return i;
}

struct table_item *table_first(const struct table *t, uint64_t hash)
{
	return same_hash(*bucket_of(t, hash), hash);
}

struct table_item *table_next(const struct table_item *i)
{
	return same_hash(i->next, i->hash);
}

void table_each(struct table *t, void (*fn)(void *ctx, struct table_item *i), void *ctx)
{
	for (size_t i = 0; i < t->bucket_count; i++) {
		for (struct table_item *item = t->buckets[i], *next; item; item = next) {
			next = item->next;
			fn(ctx, item);
		}
	}
}
