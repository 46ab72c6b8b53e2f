/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "store/wrap.h"

struct fault_store {
	struct store store;
	struct store *below;
	fault_fn *decide;
	void *ctx;
};

static struct fault_store *fault_of(struct store *s)
{
	return (struct fault_store *)s;
}

static int fail(const char *method, bool outcome_unknown, struct err *e)
{
	err_set(e, ERR_STORE, -EIO, "injected fault in %s", method);
	if (e) {
		e->retryable = true;
		e->outcome_unknown = outcome_unknown;
	}
	return -EIO;
}

static int fault_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct fault_store *t = fault_of(s);
	enum fault f = t->decide(t->ctx, "put", req->key);
	int r;

	if (f == FAULT_BEFORE || f == FAULT_LOST)
		return fail("put", f == FAULT_LOST, e);
	if (f == FAULT_FULL)
		return err_set(e, ERR_STORE, -ENOSPC, "injected fault: no space left");
	r = t->below->ops->put(t->below, req, ret, c, e);
	return f == FAULT_AFTER ? fail("put", true, e) : r;
}

/* What a lying network makes of the body and of the length it claims. */
static void mangle(enum fault f, const struct store_get *req, struct store_meta *meta)
{
	size_t size = req->whole ? meta->size_bytes : req->len_bytes;
	size_t kept = f == FAULT_EMPTY ? 0 : size / 2;
	uint8_t *data = req->dst;

	if (size == 0)
		return;
	if (f == FAULT_FLIP_BIT)
		data[size / 2] ^= 0x10;
	else if (req->whole)
		meta->size_bytes = kept;
	else
		memset(data + kept, 0, size - kept);
}

static int fault_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct fault_store *t = fault_of(s);
	enum fault f = t->decide(t->ctx, "get", req->key);
	struct store_get quiet = *req;
	int r;

	if (f == FAULT_BEFORE || f == FAULT_LOST)
		return fail("get", false, e);
	if (f == FAULT_NONE || f == FAULT_AFTER || f == FAULT_FULL) {
		r = t->below->ops->get(t->below, req, ret, c, e);
		return f == FAULT_AFTER ? fail("get", false, e) : r;
	}
	quiet.progress = NULL; /* nobody may see the bytes as they were */
	r = t->below->ops->get(t->below, &quiet, ret, c, e);
	if (r)
		return r;
	mangle(f, req, ret);
	if (req->progress)
		req->progress(req->progress_ctx, req->whole ? ret->size_bytes : req->len_bytes);
	return 0;
}

static int fault_head(struct store *s, const char *key, struct store_meta *ret,
		      const struct cancel *c, struct err *e)
{
	struct fault_store *t = fault_of(s);
	enum fault f = t->decide(t->ctx, "head", key);
	int r;

	if (f == FAULT_BEFORE || f == FAULT_LOST)
		return fail("head", false, e);
	r = t->below->ops->head(t->below, key, ret, c, e);
	return f == FAULT_AFTER ? fail("head", false, e) : r;
}

static int fault_list(struct store *s, const struct store_list *req, const struct cancel *c,
		      struct err *e)
{
	struct fault_store *t = fault_of(s);
	enum fault f = t->decide(t->ctx, "list", req->prefix);
	int r;

	if (f == FAULT_BEFORE || f == FAULT_LOST)
		return fail("list", false, e);
	r = t->below->ops->list(t->below, req, c, e);
	return f == FAULT_AFTER ? fail("list", false, e) : r;
}

static int fault_delete_many(struct store *s, const char *const *keys, size_t count,
			     struct store_delete_error *errors, size_t *ret_error_count,
			     const struct cancel *c, struct err *e)
{
	struct fault_store *t = fault_of(s);
	enum fault f = t->decide(t->ctx, "delete_many", count > 0 ? keys[0] : "");
	int r;

	if (f == FAULT_BEFORE || f == FAULT_LOST)
		return fail("delete_many", false, e);
	r = t->below->ops->delete_many(t->below, keys, count, errors, ret_error_count, c, e);
	return f == FAULT_AFTER ? fail("delete_many", false, e) : r;
}

static unsigned fault_caps(struct store *s)
{
	return store_caps(fault_of(s)->below);
}

static void fault_free(struct store *s)
{
	store_free(fault_of(s)->below);
	free(s);
}

static const struct store_ops fault_ops = {
	.name = "fault",
	.put = fault_put,
	.get = fault_get,
	.head = fault_head,
	.list = fault_list,
	.delete_many = fault_delete_many,
	.caps = fault_caps,
	.free = fault_free,
};

struct store *fault_store_new(struct store *below, fault_fn *decide, void *ctx)
{
	struct fault_store *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->store.ops = &fault_ops;
	t->below = below;
	t->decide = decide;
	t->ctx = ctx;
	return &t->store;
}
