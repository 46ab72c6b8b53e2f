/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "store/store.h"

static bool segment_is_fine(const char *segment, size_t len)
{
	if (len == 0)
		return false;
	return segment[0] != '.' || (len != 1 && (len != 2 || segment[1] != '.'));
}

int store_key_check(const char *key)
{
	const char *segment = key, *p = key;

	while (*p) {
		size_t n = util_utf8_length(p);

		if (n == 0 || (size_t)(p - key) + n > STORE_KEY_MAX)
			return -EINVAL;
		if (*p == '/') {
			if (!segment_is_fine(segment, (size_t)(p - segment)))
				return -EINVAL;
			segment = p + 1;
		}
		p += n;
	}
	return segment_is_fine(segment, (size_t)(p - segment)) ? 0 : -EINVAL;
}

static int check_key(const char *key, struct err *e)
{
	if (key && store_key_check(key) == 0)
		return 0;
	err_set(e, ERR_USAGE, -EINVAL, "this is no valid object key");
	if (key)
		err_key(e, key);
	return -EINVAL;
}

static int check_cancel(const struct cancel *c, struct err *e)
{
	return cancel_is_set(c) ? err_set(e, ERR_IO, -ECANCELED, "interrupted") : 0;
}

static int check_put(const struct store_put *req, struct err *e)
{
	uint64_t size = 0;

	if (req->body_count < 0 || (req->body_count > 0 && !req->body))
		return err_set(e, ERR_USAGE, -EINVAL, "a put without a body");
	for (int i = 0; i < req->body_count; i++) {
		if (req->body[i].iov_len > STORE_OBJECT_MAX - size)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "an object may not be larger than %llu bytes",
				       (unsigned long long)STORE_OBJECT_MAX);
		size += req->body[i].iov_len;
	}
	if (req->cond == STORE_IF_MATCH &&
	    (!req->etag || !*req->etag || strlen(req->etag) >= STORE_ETAG_MAX))
		return err_set(e, ERR_USAGE, -EINVAL, "a put that depends on an ETag needs one");
	return 0;
}

static int check_get(const struct store_get *req, struct err *e)
{
	bool fine;

	if (req->whole)
		fine = req->offset == 0 && req->len_bytes == 0 &&
		       (!req->progress ||
			(req->expected_bytes > 0 && req->expected_bytes <= req->cap_bytes));
	else
		fine = req->len_bytes > 0 && req->len_bytes <= req->cap_bytes &&
		       req->offset <= INT64_MAX - req->len_bytes;
	if (!fine || (req->cap_bytes > 0 && !req->dst))
		return err_set(e, ERR_USAGE, -EINVAL, "a get whose range and buffer do not fit");
	return 0;
}

/* The end of a request on one key: the key goes into the error, the answer to the caller. */
static int finish(int r, const char *key, const struct store_meta *meta, struct store_meta *ret,
		  struct err *e)
{
	if (r < 0)
		err_key(e, key);
	if (r == 0 && ret)
		*ret = *meta;
	return r;
}

int store_put(struct store *s, const struct store_put *req, struct store_meta *ret,
	      const struct cancel *c, struct err *e)
{
	struct store_meta meta = { 0 };
	int r;

	if ((r = check_key(req->key, e)) || (r = check_put(req, e)) || (r = check_cancel(c, e)))
		return r;
	return finish(s->ops->put(s, req, &meta, c, e), req->key, &meta, ret, e);
}

int store_get(struct store *s, const struct store_get *req, struct store_meta *ret,
	      const struct cancel *c, struct err *e)
{
	struct store_meta meta = { 0 };
	int r;

	if ((r = check_key(req->key, e)) || (r = check_get(req, e)) || (r = check_cancel(c, e)))
		return r;
	return finish(s->ops->get(s, req, &meta, c, e), req->key, &meta, ret, e);
}

int store_head(struct store *s, const char *key, struct store_meta *ret, const struct cancel *c,
	       struct err *e)
{
	struct store_meta meta = { 0 };
	int r;

	if ((r = check_key(key, e)) || (r = check_cancel(c, e)))
		return r;
	return finish(s->ops->head(s, key, &meta, c, e), key, &meta, ret, e);
}

int store_list(struct store *s, const struct store_list *req, const struct cancel *c, struct err *e)
{
	int r;

	if (!req->prefix || !req->entry || strlen(req->prefix) > STORE_KEY_MAX ||
	    (req->start_after && strlen(req->start_after) > STORE_KEY_MAX))
		return err_set(e, ERR_USAGE, -EINVAL, "a listing whose prefix does not fit");
	if ((r = check_cancel(c, e)))
		return r;
	r = s->ops->list(s, req, c, e);
	if (r < 0)
		err_key(e, req->prefix);
	return r;
}

int store_delete_many(struct store *s, const char *const *keys, size_t count,
		      struct store_delete_error *errors, size_t *ret_error_count,
		      const struct cancel *c, struct err *e)
{
	size_t error_count = 0;
	int r;

	if (count > STORE_DELETE_MAX || !ret_error_count || (count > 0 && (!keys || !errors)))
		return err_set(e, ERR_USAGE, -EINVAL, "at most %d keys are deleted at once",
			       STORE_DELETE_MAX);
	for (size_t i = 0; i < count; i++)
		if ((r = check_key(keys[i], e)))
			return r;
	if ((r = check_cancel(c, e)))
		return r;
	if (count > 0)
		r = s->ops->delete_many(s, keys, count, errors, &error_count, c, e);
	if (r == 0)
		*ret_error_count = error_count;
	return r;
}

unsigned store_caps(struct store *s)
{
	return s->ops->caps(s);
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

int store_put_bytes(struct store *s, const char *key, const void *data, size_t len_bytes,
		    enum store_cond cond, const char *etag, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct iovec body = { .iov_base = (void *)(uintptr_t)data, .iov_len = len_bytes };
	struct store_put req = {
		.key = key,
		.body = &body,
		.body_count = len_bytes > 0 ? 1 : 0,
		.cond = cond,
		.etag = etag,
	};

	return store_put(s, &req, ret, c, e);
}

int store_get_alloc(struct store *s, const char *key, size_t max_bytes, char **ret_data,
		    size_t *ret_len, struct store_meta *ret_meta, const struct cancel *c,
		    struct err *e)
{
	_cleanup_free_ char *data = NULL;
	struct store_meta meta;
	char *fitted;
	int r;

	if (max_bytes > STORE_OBJECT_MAX)
		return err_set(e, ERR_USAGE, -EINVAL, "a get whose range and buffer do not fit");
	data = malloc(max_bytes + 1); /* pages that are not written to cost nothing */
	if (!data)
		return err_nomem(e);
	r = store_get(s,
		      &(struct store_get){
			      .key = key, .whole = true, .dst = data, .cap_bytes = max_bytes },
		      &meta, c, e);
	if (r)
		return r;
	fitted = realloc(data, meta.size_bytes + 1);
	if (fitted)
		data = fitted;
	data[meta.size_bytes] = '\0';
	*ret_data = steal_pointer(&data);
	*ret_len = meta.size_bytes;
	if (ret_meta)
		*ret_meta = meta;
	return 0;
}
