/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/digest.h"
#include "store/s3xml.h"

/* A page of 1000 keys of 1024 bytes, each byte as %XX, with what stands around them. */
#define ANSWER_MAX (8 * MIB)
/* Pages without a key that may follow one another: a server that has passed over what was deleted gives some. */
#define EMPTY_PAGES_MAX 100
#define DELETE_BODY_MAX (16 * MIB)

/* An error document under a good status, or no whole document: it may come whole the next time. */
static int bad_document(const struct s3req_client *client, const struct s3req_call *call,
			const struct s3req_reply *reply, int rc, struct err *e)
{
	if (rc == S3XML_ERROR_DOCUMENT)
		return s3req_fail(client, call, reply, e);
	if (rc == -ENOMEM)
		return err_nomem(e);
	rc = err_set(e, ERR_STORE, -EIO, "%s does not answer like an S3 server: its XML %s",
		     reply->place->addr.origin,
		     reply->text.len ? "is not understood" : "is missing");
	if (e) {
		e->http_status = reply->status;
		e->retryable = true;
		snprintf(e->request_id, sizeof(e->request_id), "%s", reply->request_id);
	}
	return rc;
}

/* ---- listing ---- */

struct listing {
	const struct s3req_client *client;
	const struct store_list *req;
	char *prefix, *start_after; /* whole keys; start_after NULL: none */
	char *token;		    /* of the page to come, NULL: the first */
	char *last;		    /* the last key so far, NULL: none */
	unsigned empty_pages;	    /* since that key */
};

static void listing_deinit(struct listing *l)
{
	free(l->prefix);
	free(l->start_after);
	free(l->token);
	free(l->last);
}

static int listing_init(struct listing *l, const struct s3req_client *client,
			const struct store_list *req)
{
	*l = (struct listing){ .client = client, .req = req };
	l->prefix = util_printf("%s%s", client->prefix, req->prefix);
	if (req->start_after)
		l->start_after = util_printf("%s%s", client->prefix, req->start_after);
	return l->prefix && (l->start_after || !req->start_after) ? 0 : -ENOMEM;
}

/* encoding-type=url: XML cannot hold every key. */
static size_t page_query(const struct listing *l, struct sigv4_pair q[8])
{
	size_t n = 0;

	q[n++] = (struct sigv4_pair){ "list-type", "2" };
	q[n++] = (struct sigv4_pair){ "encoding-type", "url" };
	q[n++] = (struct sigv4_pair){ "max-keys", "1000" };
	if (l->prefix[0])
		q[n++] = (struct sigv4_pair){ "prefix", l->prefix };
	if (l->req->delimiter)
		q[n++] = (struct sigv4_pair){ "delimiter", "/" };
	if (l->token)
		q[n++] = (struct sigv4_pair){ "continuation-token", l->token };
	else if (l->start_after)
		q[n++] = (struct sigv4_pair){ "start-after", l->start_after };
	return n;
}

static int fetch_page(const struct listing *l, struct s3xml_page *ret, const struct cancel *c,
		      struct err *e)
{
	_cleanup_(s3req_reply_deinit) struct s3req_reply reply = { 0 };
	struct sigv4_pair query[8];
	struct s3req_call call = { .method = "GET", .query = query, .text_max = ANSWER_MAX };
	struct s3xml_error doc;
	int r;

	call.query_count = page_query(l, query);
	r = s3req_perform(l->client, &call, &reply, c, e);
	if (r < 0)
		return r;
	if (reply.status != 200)
		return s3req_fail(l->client, &call, &reply, e);
	r = s3xml_parse_list(reply.text.data, reply.text.len, ret, &doc);
	return r ? bad_document(l->client, &call, &reply, r, e) : 0;
}

/*
 * Not ours to see: what start_after excludes, and the empty objects that other tools make for
 * "directories".
 */
static bool is_hidden(const struct listing *l, const struct s3xml_entry *entry)
{
	size_t len = strlen(entry->key);

	if (entry->is_prefix)
		return false;
	return (l->start_after && strcmp(entry->key, l->start_after) <= 0) ||
	       entry->key[len - 1] == '/';
}

static int check_order(const struct listing *l, const char *before, const char *key, struct err *e)
{
	if (strncmp(key, l->prefix, strlen(l->prefix)) != 0)
		return err_set(e, ERR_STORE, -EIO,
			       "the server lists the key '%s', which does not begin with '%s'", key,
			       l->prefix);
	if (before && strcmp(before, key) >= 0)
		return err_set(
			e, ERR_STORE, -EIO,
			"the server does not list keys in order of their bytes: '%s' comes behind '%s'",
			key, before);
	return 0;
}

static int hand_out(const struct listing *l, const struct s3xml_page *page, const struct cancel *c,
		    struct err *e)
{
	const char *before = l->last;

	for (size_t i = 0; i < page->count; i++) {
		const struct s3xml_entry *n = &page->entries[i];
		int r = check_order(l, before, n->key, e);

		if (r < 0)
			return r;
		before = n->key;
		if (is_hidden(l, n))
			continue;
		if (cancel_is_set(c))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		r = l->req->entry(l->req->ctx,
				  &(struct store_entry){ .key = n->key + strlen(l->client->prefix),
							 .is_prefix = n->is_prefix,
							 .size_bytes = n->size_bytes,
							 .etag = n->etag,
							 .modified_ns = n->modified_ns },
				  e);
		if (r)
			return r;
	}
	return 0;
}

static int replace(char **text, const char *by)
{
	char *copy = strdup(by);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* 0: there is a next page; > 0: that was the last. */
static int go_on(struct listing *l, const struct s3xml_page *page, struct err *e)
{
	if (!page->truncated)
		return 1;
	l->empty_pages = page->count ? 0 : l->empty_pages + 1;
	if ((l->token && strcmp(l->token, page->token) == 0) || l->empty_pages > EMPTY_PAGES_MAX)
		return err_set(e, ERR_STORE, -EIO, "the server's listing does not advance");
	if (replace(&l->token, page->token) < 0 ||
	    (page->count && replace(&l->last, page->entries[page->count - 1].key) < 0))
		return err_nomem(e);
	return 0;
}

/*
 * Whether any key can begin with the prefix: not where it holds an empty segment, "." or "..".
 * Servers that keep objects as files refuse such prefixes or list something else.
 */
static bool is_prefix_of_keys(const char *prefix)
{
	size_t len = strcspn(prefix, "/");

	for (; prefix[len]; prefix += len + 1, len = strcspn(prefix, "/")) {
		if (len == 0 || (prefix[0] == '.' && (len == 1 || (len == 2 && prefix[1] == '.'))))
			return false;
	}
	return true;
}

int s3list_run(const struct s3req_client *client, const struct store_list *req,
	       const struct cancel *c, struct err *e)
{
	_cleanup_(listing_deinit) struct listing l = { 0 };
	int r;

	if (!is_prefix_of_keys(req->prefix))
		return 0;
	r = listing_init(&l, client, req);
	if (r < 0)
		return err_nomem(e);
	while (r == 0) {
		_cleanup_(s3xml_page_deinit) struct s3xml_page page = { 0 };

		r = fetch_page(&l, &page, c, e);
		if (r == 0)
			r = hand_out(&l, &page, c, e);
		if (r == 0)
			r = go_on(&l, &page, e);
	}
	return MIN_OF(r, 0);
}

/* ---- deleting ---- */

struct deletion {
	const struct s3req_client *client;
	const char *const *keys;
	size_t count;
	struct store_delete_error *errors;
	size_t error_count;
	bool unknown_key; /* the answer named a key that was not asked for */
};

static void add_error(struct deletion *d, size_t index, const char *code, const char *message)
{
	struct store_delete_error *x;

	for (size_t i = 0; i < d->error_count; i++) {
		if (d->errors[i].index == index)
			return;
	}
	x = &d->errors[d->error_count++];
	x->index = index;
	snprintf(x->code, sizeof(x->code), "%s", code);
	snprintf(x->message, sizeof(x->message), "%s", message);
}

static void on_failed_key(void *ctx, const struct s3xml_delete_error *error)
{
	struct deletion *d = ctx;
	size_t prefix_len = strlen(d->client->prefix);

	if (strcmp(error->code, "NoSuchKey") == 0)
		return; /* gone is what was wanted */
	for (size_t i = 0; i < d->count; i++) {
		if (strncmp(error->key, d->client->prefix, prefix_len) == 0 &&
		    strcmp(error->key + prefix_len, d->keys[i]) == 0) {
			add_error(d, i, error->code, error->message);
			return;
		}
	}
	d->unknown_key = true;
}

/* How many keys the request names. */
static size_t delete_body(struct deletion *d, struct wbuf *out)
{
	size_t named = 0;

	s3xml_delete_begin(out);
	for (size_t i = 0; i < d->count; i++) {
		if (!s3xml_can_hold(d->keys[i])) {
			add_error(d, i, "InvalidKey",
				  "a key with control characters cannot be named in this request");
			continue;
		}
		s3xml_delete_key(out, d->client->prefix, d->keys[i]);
		named++;
	}
	s3xml_delete_end(out);
	return named;
}

static int send_deletion(struct deletion *d, const struct wbuf *body, const struct cancel *c,
			 struct err *e)
{
	_cleanup_(s3req_reply_deinit) struct s3req_reply reply = { 0 };
	struct iovec iov = { .iov_base = body->data, .iov_len = body->len };
	char md5_text[4 * ((MD5_BYTES + 2) / 3) + 1];
	struct sigv4_pair query = { "delete", "" }, header = { "content-md5", md5_text };
	struct s3req_call call = {
		.method = "POST",
		.query = &query,
		.query_count = 1,
		.headers = &header,
		.header_count = 1,
		.body = &iov,
		.body_count = 1,
		.has_body = true,
		.text_max = ANSWER_MAX,
	};
	struct s3xml_error doc;
	uint8_t md5[MD5_BYTES];
	int r;

	digest_md5(md5, body->data, body->len);
	digest_base64(md5_text, md5, sizeof(md5));
	r = s3req_perform(d->client, &call, &reply, c, e);
	if (r < 0)
		return r;
	if (reply.status != 200)
		return s3req_fail(d->client, &call, &reply, e);
	r = s3xml_parse_delete(reply.text.data, reply.text.len, on_failed_key, d, &doc);
	if (r == 0 && d->unknown_key)
		r = -EBADMSG;
	return r ? bad_document(d->client, &call, &reply, r, e) : 0;
}

int s3list_delete(const struct s3req_client *client, const char *const *keys, size_t count,
		  struct store_delete_error *errors, size_t *ret_error_count,
		  const struct cancel *c, struct err *e)
{
	struct deletion d = { .client = client, .keys = keys, .count = count, .errors = errors };
	_cleanup_wbuf_ struct wbuf body;
	size_t named;
	int r = 0;

	wbuf_init(&body, DELETE_BODY_MAX);
	named = delete_body(&d, &body);
	if (wbuf_error(&body))
		return err_nomem(e);
	if (named)
		r = send_deletion(&d, &body, c, e);
	if (r == 0)
		*ret_error_count = d.error_count;
	return r;
}
