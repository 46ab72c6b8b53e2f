/* SPDX-License-Identifier: Apache-2.0 */
/* The local state of an actor in memory: what is called in place of cache/kv.c (-Wl,--wrap). A crash leaves it as it was. */
#include "tests/explore/memkv.h"

#include <string.h>

#include "cache/kv.h"

struct item {
	struct item *next;
	enum kv_table table;
	void *key, *value;
	size_t key_bytes, len;
};

struct kv {
	struct item *first;
	const bool *stopped;
};

static void *copy(const void *data, size_t len)
{
	char *c = malloc(len + 1);

	if (!c)
		abort();
	memcpy(c, data, len);
	c[len] = '\0';
	return c;
}

static struct item
	*probed; /* what the first one to probe the store found: known to all that come later */

static struct item *item_new(enum kv_table t, const void *key, size_t key_bytes, const void *value,
			     size_t len)
{
	struct item *i = calloc(1, sizeof(*i));

	if (!i)
		abort();
	*i = (struct item){ NULL, t, copy(key, key_bytes), copy(value, len), key_bytes, len };
	return i;
}

static struct item *remembered; /* what memkv_remember kept */

/* Appends copies, in order. */
static void copy_items(struct item **to, const struct item *from)
{
	while (*to)
		to = &(*to)->next;
	for (; from; from = from->next) {
		*to = item_new(from->table, from->key, from->key_bytes, from->value, from->len);
		to = &(*to)->next;
	}
}

struct kv *memkv_new(const bool *stopped, bool warm)
{
	struct kv *kv = calloc(1, sizeof(*kv));

	if (!kv)
		abort();
	kv->stopped = stopped;
	copy_items(&kv->first, warm ? remembered : probed);
	return kv;
}

void memkv_remember(const struct kv *kv)
{
	copy_items(&remembered, kv->first);
}

static void item_free(struct item *i)
{
	free(i->key);
	free(i->value);
	free(i);
}

void memkv_free(struct kv *kv)
{
	while (kv->first) {
		struct item *next = kv->first->next;

		item_free(kv->first);
		kv->first = next;
	}
	free(kv);
}

static struct item **find(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes)
{
	struct item **at = &kv->first;

	while (*at && ((*at)->table != t || (*at)->key_bytes != key_bytes ||
		       memcmp((*at)->key, key, key_bytes) != 0))
		at = &(*at)->next;
	return at;
}

int __wrap_kv_get(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void **ret,
		  size_t *ret_len, struct err *e);
int __wrap_kv_put(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes,
		  const void *value, size_t len_bytes, struct err *e);
int __wrap_kv_delete(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes,
		     struct err *e);

int __wrap_kv_get(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes, void **ret,
		  size_t *ret_len, struct err *e)
{
	struct item *i = *find(kv, t, key, key_bytes);

	if (!i)
		return KV_ABSENT;
	*ret = copy(i->value, i->len);
	*ret_len = i->len;
	return 0;
}

int __wrap_kv_delete(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes,
		     struct err *e)
{
	struct item **at = find(kv, t, key, key_bytes), *i = *at;

	if (*kv->stopped || !i)
		return KV_ABSENT;
	*at = i->next;
	item_free(i);
	return 0;
}

int __wrap_kv_put(struct kv *kv, enum kv_table t, const void *key, size_t key_bytes,
		  const void *value, size_t len_bytes, struct err *e)
{
	struct item *i;

	if (*kv->stopped)
		return 0;
	__wrap_kv_delete(kv, t, key, key_bytes, e);
	i = item_new(t, key, key_bytes, value, len_bytes);
	i->next = kv->first;
	kv->first = i;
	if (!probed && t == KV_STATE && strncmp(key, "probe ", 6) == 0)
		probed = item_new(t, key, key_bytes, value, len_bytes);
	return 0;
}

int __wrap_kv_batch_begin(struct kv *kv, struct kv_batch **ret, struct err *e);
int __wrap_kv_batch_put(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
			const void *value, size_t len_bytes, struct err *e);
int __wrap_kv_batch_commit(struct kv_batch *b, struct err *e);

/* No step of another actor comes between those of a batch: it needs nothing of its own. */
int __wrap_kv_batch_begin(struct kv *kv, struct kv_batch **ret, struct err *e)
{
	*ret = (struct kv_batch *)kv;
	return 0;
}

int __wrap_kv_batch_put(struct kv_batch *b, enum kv_table t, const void *key, size_t key_bytes,
			const void *value, size_t len_bytes, struct err *e)
{
	return __wrap_kv_put((struct kv *)b, t, key, key_bytes, value, len_bytes, e);
}

int __wrap_kv_batch_commit(struct kv_batch *b, struct err *e)
{
	return 0;
}

int __wrap_kv_each(struct kv *kv, enum kv_table t, const void *prefix, size_t prefix_bytes,
		   kv_each_fn *fn, void *ctx, struct err *e);

/* Not in order: nobody here minds. */
int __wrap_kv_each(struct kv *kv, enum kv_table t, const void *prefix, size_t prefix_bytes,
		   kv_each_fn *fn, void *ctx, struct err *e)
{
	int r = 0;

	for (struct item *i = kv->first; i && r == 0; i = i->next)
		if (i->table == t && i->key_bytes >= prefix_bytes &&
		    memcmp(i->key, prefix, prefix_bytes) == 0)
			r = fn(ctx, i->key, i->key_bytes, i->value, i->len, e);
	return MIN_OF(r, 0);
}

void memkv_forget(void)
{
	if (probed)
		item_free(probed);
	probed = NULL;
	while (remembered) {
		struct item *next = remembered->next;

		item_free(remembered);
		remembered = next;
	}
}
