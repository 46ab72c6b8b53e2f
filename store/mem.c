/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "store/mem.h"

#define PIECE_BYTES (1 * MIB) /* copied between two looks at cancel */

/* The content of one put. Never changed, so that readers copy it without the lock. */
struct blob {
	atomic_uint refs;
	uint64_t version; /* the ETag */
	int64_t modified_ns;
	size_t size;
	uint8_t data[];
};

struct object {
	char *key;
	struct blob *blob;
};

struct mem_store {
	struct store store;
	const struct clock *clock;
	pthread_mutex_t lock;	/* protects everything below */
	struct object *objects; /* sorted bytewise by key */
	size_t count, cap;
	uint64_t last_version;
};

static struct mem_store *mem_of(struct store *s)
{
	return (struct mem_store *)s;
}

static void blob_unref(struct blob *b)
{
	if (atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}
DEFINE_CLEANUP(struct blob *, blob_unref);

static struct blob *blob_new(const struct store_put *req, const struct cancel *c, int *ret_error)
{
	_cleanup_(blob_unrefp) struct blob *b = NULL;
	size_t size = 0, at = 0;

	for (int i = 0; i < req->body_count; i++)
		size += req->body[i].iov_len;
	b = malloc(sizeof(*b) + size);
	*ret_error = -ENOMEM;
	if (!b)
		return NULL;
	*b = (struct blob){ .refs = 1, .size = size };
	*ret_error = -ECANCELED;
	for (int i = 0; i < req->body_count; i++) {
		if (cancel_is_set(c))
			return NULL;
		if (req->body[i].iov_len > 0)
			memcpy(b->data + at, req->body[i].iov_base, req->body[i].iov_len);
		at += req->body[i].iov_len;
	}
	return steal_pointer(&b);
}

/* The place of the first key that is not less. */
static size_t lower_bound(const struct mem_store *m, const char *key)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(m->objects[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct object *find(struct mem_store *m, const char *key)
{
	size_t at = lower_bound(m, key);

	return at < m->count && strcmp(m->objects[at].key, key) == 0 ? &m->objects[at] : NULL;
}

static struct store_meta describe(const struct mem_store *m, const struct blob *b)
{
	struct store_meta meta = { .size_bytes = b->size, .modified_ns = b->modified_ns };

	meta.date_ns = clock_wall_ns(m->clock);
	snprintf(meta.etag, sizeof(meta.etag), "%" PRIu64, b->version);
	return meta;
}

/* The outcome of a put's condition. */
static int decide(const struct mem_store *m, const struct store_put *req, const struct object *o)
{
	switch (req->cond) {
	case STORE_ALWAYS:
		return 0;
	case STORE_IF_ABSENT:
		return o ? STORE_PRECONDITION : 0;
	case STORE_IF_MATCH:
		if (!o)
			return STORE_NOT_FOUND;
		return strcmp(describe(m, o->blob).etag, req->etag) ? STORE_PRECONDITION : 0;
	}
	return -EINVAL;
}

static int insert(struct mem_store *m, const char *key, struct blob *b)
{
	size_t at = lower_bound(m, key);
	char *copy = strdup(key);

	if (!copy || util_grow(&m->objects, &m->cap, m->count + 1, sizeof(*m->objects)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	memmove(m->objects + at + 1, m->objects + at, (m->count - at) * sizeof(*m->objects));
	m->objects[at] = (struct object){ .key = copy, .blob = b };
	m->count++;
	return 0;
}

/* With the lock held; takes *b over where it returns 0, and leaves the replaced blob in it. */
static int put_locked(struct mem_store *m, const struct store_put *req, struct blob **b,
		      struct store_meta *ret)
{
	struct object *o = find(m, req->key);
	struct blob *old;
	int r = decide(m, req, o);

	if (r)
		return r;
	(*b)->version = m->last_version + 1;
	(*b)->modified_ns = clock_wall_ns(m->clock);
	*ret = describe(m, *b);
	ret->modified_ns = 0;
	if (!o) {
		r = insert(m, req->key, *b);
		old = NULL;
	} else {
		old = o->blob;
		o->blob = *b;
	}
	if (r == 0) {
		m->last_version++;
		*b = old;
	}
	return r;
}

static int mem_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	struct mem_store *m = mem_of(s);
	int r = 0;
	_cleanup_(blob_unrefp) struct blob *b = blob_new(req, c, &r);

	if (!b)
		return r == -ENOMEM ? err_nomem(e) : err_set(e, ERR_IO, -ECANCELED, "interrupted");
	pthread_mutex_lock(&m->lock);
	r = put_locked(m, req, &b, ret);
	pthread_mutex_unlock(&m->lock);
	return r == -ENOMEM ? err_nomem(e) : r;
}

/* A reference to the blob of a key, or NULL. */
static struct blob *take(struct mem_store *m, const char *key)
{
	struct blob *b = NULL;
	struct object *o;

	pthread_mutex_lock(&m->lock);
	o = find(m, key);
	if (o) {
		b = o->blob;
		atomic_fetch_add(&b->refs, 1);
	}
	pthread_mutex_unlock(&m->lock);
	return b;
}

static int check_range(const struct store_get *req, const struct blob *b, struct err *e)
{
	if (req->whole && b->size > req->cap_bytes)
		return err_set(e, ERR_CORRUPT, -EFBIG, "%zu bytes where at most %zu are expected",
			       b->size, req->cap_bytes);
	if (!req->whole && (req->offset > b->size || req->len_bytes > b->size - req->offset))
		return err_set(e, ERR_CORRUPT, -ERANGE,
			       "%zu bytes, too few for %" PRIu64 " from %" PRIu64, b->size,
			       req->len_bytes, req->offset);
	return 0;
}

static int mem_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	_cleanup_(blob_unrefp) struct blob *b = take(mem_of(s), req->key);
	size_t done = 0, size;
	int r;

	if (!b)
		return STORE_NOT_FOUND;
	r = check_range(req, b, e);
	if (r < 0)
		return r;
	size = req->whole ? b->size : req->len_bytes;
	while (done < size) {
		size_t n = MIN_OF(size - done, PIECE_BYTES);

		if (cancel_is_set(c))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		memcpy((uint8_t *)req->dst + done, b->data + req->offset + done, n);
		done += n;
		if (req->progress)
			req->progress(req->progress_ctx, done);
	}
	*ret = describe(mem_of(s), b);
	return 0;
}

static int mem_head(struct store *s, const char *key, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	_cleanup_(blob_unrefp) struct blob *b = take(mem_of(s), key);

	if (!b)
		return STORE_NOT_FOUND;
	*ret = describe(mem_of(s), b);
	return 0;
}

/* One page of a listing: copies, so that the callback runs without the lock. */
struct page_entry {
	char *key;
	bool is_prefix;
	struct store_meta meta;
};

struct page {
	struct page_entry *entries;
	size_t count, cap;
};

static void page_deinit(struct page *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->entries[i].key);
	free(p->entries);
}

static int page_add(struct page *p, const struct mem_store *m, const struct object *o,
		    size_t group_len)
{
	char *key = group_len ? strndup(o->key, group_len) : strdup(o->key);

	if (!key || util_grow(&p->entries, &p->cap, p->count + 1, sizeof(*p->entries)) < 0) {
		free(key);
		return -ENOMEM;
	}
	p->entries[p->count++] = (struct page_entry){
		.key = key,
		.is_prefix = group_len > 0,
		.meta = group_len ? (struct store_meta){ 0 } : describe(m, o->blob),
	};
	return 0;
}

/* Whether o lies behind what was handed out: `after` is a key, or a group that ends in '/'. */
static bool is_behind(const struct object *o, const char *after, bool after_is_group)
{
	if (after_is_group)
		return strncmp(o->key, after, strlen(after)) > 0;
	return strcmp(o->key, after) > 0;
}

/* With the lock held: the next page after `after` ("" and not a group: from the start). */
static int page_fill(struct page *p, const struct mem_store *m, const struct store_list *req,
		     const char *after, bool after_is_group)
{
	size_t prefix_len = strlen(req->prefix);
	size_t at = lower_bound(m, strcmp(after, req->prefix) > 0 ? after : req->prefix);

	for (; at < m->count && p->count < STORE_LIST_PAGE; at++) {
		const struct object *o = &m->objects[at];
		const char *slash;
		size_t group_len;
		int r;

		if (strncmp(o->key, req->prefix, prefix_len) != 0)
			break;
		if (!is_behind(o, after, after_is_group))
			continue;
		slash = req->delimiter ? strchr(o->key + prefix_len, '/') : NULL;
		group_len = slash ? (size_t)(slash + 1 - o->key) : 0;
		r = page_add(p, m, o, group_len);
		if (r < 0)
			return r;
		if (group_len) {
			after = p->entries[p->count - 1].key;
			after_is_group = true;
		}
	}
	return 0;
}

static int page_hand_out(const struct page *p, const struct store_list *req, const struct cancel *c,
			 struct err *e)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct page_entry *n = &p->entries[i];
		struct store_entry entry = {
			.key = n->key,
			.is_prefix = n->is_prefix,
			.size_bytes = n->meta.size_bytes,
			.etag = n->meta.etag,
			.modified_ns = n->meta.modified_ns,
		};
		int r;

		if (cancel_is_set(c))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		r = req->entry(req->ctx, &entry, e);
		if (r)
			return r;
	}
	return 0;
}

static int mem_list(struct store *s, const struct store_list *req, const struct cancel *c,
		    struct err *e)
{
	struct mem_store *m = mem_of(s);
	_cleanup_free_ char *after = strdup(req->start_after ? req->start_after : "");
	bool after_is_group = false;

	for (;;) {
		_cleanup_(page_deinit) struct page page = { 0 };
		int r;

		if (!after)
			return err_nomem(e);
		pthread_mutex_lock(&m->lock);
		r = page_fill(&page, m, req, after, after_is_group);
		pthread_mutex_unlock(&m->lock);
		if (r < 0)
			return err_nomem(e);
		r = page_hand_out(&page, req, c, e);
		if (r || page.count < STORE_LIST_PAGE)
			return r < 0 ? r : 0;
		free(after);
		after_is_group = page.entries[page.count - 1].is_prefix;
		after = strdup(page.entries[page.count - 1].key);
	}
}

static int mem_delete_many(struct store *s, const char *const *keys, size_t count,
			   struct store_delete_error *errors, size_t *ret_error_count,
			   const struct cancel *c, struct err *e)
{
	struct mem_store *m = mem_of(s);

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < count; i++) {
		struct object *o = find(m, keys[i]);

		if (!o)
			continue;
		free(o->key);
		blob_unref(o->blob);
		m->count--;
		memmove(o, o + 1, (size_t)(m->objects + m->count - o) * sizeof(*o));
	}
	pthread_mutex_unlock(&m->lock);
	*ret_error_count = 0;
	return 0;
}

static unsigned mem_caps(struct store *s)
{
	return STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE | STORE_CAP_LOCAL;
}

static void mem_free(struct store *s)
{
	struct mem_store *m = mem_of(s);

	for (size_t i = 0; i < m->count; i++) {
		free(m->objects[i].key);
		blob_unref(m->objects[i].blob);
	}
	free(m->objects);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static const struct store_ops mem_ops = {
	.name = "memory",
	.put = mem_put,
	.get = mem_get,
	.head = mem_head,
	.list = mem_list,
	.delete_many = mem_delete_many,
	.caps = mem_caps,
	.free = mem_free,
};

struct store *mem_store_new(const struct clock *clock)
{
	struct mem_store *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->store.ops = &mem_ops;
	m->clock = clock;
	pthread_mutex_init(&m->lock, NULL);
	return &m->store;
}
