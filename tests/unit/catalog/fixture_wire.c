/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/catalog/fixture_wire.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct wire_store {
	struct store store;
	struct store *below;
	struct fixture_wire wire;
};

static struct wire_store *wire_of(struct store *s)
{
	return (struct wire_store *)s;
}

static int wire_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	return wire_of(s)->below->ops->put(wire_of(s)->below, req, ret, c, e);
}

static bool take_one(_Atomic unsigned *n)
{
	unsigned now = atomic_load(n);

	while (now > 0)
		if (atomic_compare_exchange_weak(n, &now, now - 1))
			return true;
	return false;
}

static int wire_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct fixture_wire *w = &wire_of(s)->wire;
	const char *part = atomic_load(&w->fail_key);
	struct store_get quiet = *req;
	int r;

	w->gets++;
	if (w->before_get)
		w->before_get(w->ctx, req);
	if (w->fail && (!part || strstr(req->key, part)))
		return err_set(e, ERR_STORE, w->fail, "the store does not answer");
	if (!w->flips)
		return wire_of(s)->below->ops->get(wire_of(s)->below, req, ret, c, e);
	quiet.progress = NULL; /* nobody may see the bytes as they were */
	r = wire_of(s)->below->ops->get(wire_of(s)->below, &quiet, ret, c, e);
	if (r == 0) {
		size_t len = req->whole ? ret->size_bytes : req->len_bytes;

		if (take_one(&w->flips))
			((uint8_t *)req->dst)[w->flip_head ? 0 : len - 1] ^= 0x10;
		if (req->progress)
			req->progress(req->progress_ctx, len);
	}
	return r;
}

static int wire_head(struct store *s, const char *key, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	return wire_of(s)->below->ops->head(wire_of(s)->below, key, ret, c, e);
}

static int wire_list(struct store *s, const struct store_list *req, const struct cancel *c,
		     struct err *e)
{
	wire_of(s)->wire.lists++;
	return wire_of(s)->below->ops->list(wire_of(s)->below, req, c, e);
}

static int wire_delete(struct store *s, const char *const *keys, size_t count,
		       struct store_delete_error *errors, size_t *ret_error_count,
		       const struct cancel *c, struct err *e)
{
	while (wire_of(s)->wire.deletes_hang) {
		if (cancel_is_set(c))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	return wire_of(s)->below->ops->delete_many(wire_of(s)->below, keys, count, errors,
						   ret_error_count, c, e);
}

static unsigned wire_caps(struct store *s)
{
	return store_caps(wire_of(s)->below);
}

static void wire_free(struct store *s)
{
	store_free(wire_of(s)->below);
	free(s);
}

static const struct store_ops wire_ops = {
	.name = "wire",
	.put = wire_put,
	.get = wire_get,
	.head = wire_head,
	.list = wire_list,
	.delete_many = wire_delete,
	.caps = wire_caps,
	.free = wire_free,
};

struct store *fixture_wire_new(struct store *below, struct fixture_wire **ret)
{
	struct wire_store *w = below ? calloc(1, sizeof(*w)) : NULL;

	if (!w)
		return NULL;
	w->store.ops = &wire_ops;
	w->below = below;
	*ret = &w->wire;
	return &w->store;
}
