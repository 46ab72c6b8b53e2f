/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/version.h"
#include "store/http.h"
#include "store/s3err.h"
#include "store/s3list.h"
#include "store/s3req.h"

struct s3_store {
	struct store store;
	struct s3req_client client;
	char *bucket, *prefix, *ca_file; /* what the client points to */
};

static struct s3_store *s3_of(struct store *s)
{
	return (struct s3_store *)s;
}

static struct store_meta to_meta(const struct s3req_reply *reply, uint64_t size_bytes)
{
	struct store_meta meta = { .size_bytes = size_bytes,
				   .date_ns = reply->date_ns,
				   .modified_ns = reply->modified_ns };

	memcpy(meta.etag, reply->etag, sizeof(meta.etag));
	return meta;
}

static int bad_answer(const struct s3req_reply *reply, struct err *e, const char *text)
{
	int r = err_set(e, ERR_STORE, -EIO, "the server's answer is not what was asked for: %s",
			text);

	if (e) {
		e->http_status = reply->status;
		e->retryable = true;
		memcpy(e->request_id, reply->request_id, sizeof(e->request_id));
	}
	return r;
}

/* ---- put ---- */

/* Nothing may be built on it: the key exists, so that a second put would find it there. */
static int stored_damaged(const struct s3req_reply *reply, struct err *e)
{
	int r = err_set(
		e, ERR_CORRUPT, -EBADMSG,
		"the store holds other bytes than were sent: its CRC-32 is %s, and should be %s",
		reply->sum_received, reply->sum_sent);

	if (e)
		e->http_status = reply->status;
	return r;
}

/* A success is S3's own only with an ETag, and without an error document behind it. */
static int check_stored(const struct s3req_client *client, const struct s3req_call *call,
			const struct s3req_reply *reply, struct err *e)
{
	char code[64];
	int r;

	s3req_error_code(reply, code);
	if (code[0])
		r = s3req_fail(client, call, reply, e);
	else if (!reply->etag[0])
		r = bad_answer(reply, e,
			       "a 200 without an ETag, so nothing says that it was stored");
	else if (reply->way.checksum && reply->sum_received[0] &&
		 strcmp(reply->sum_received, reply->sum_sent) != 0)
		return stored_damaged(reply, e);
	else
		return 0;
	if (e)
		e->outcome_unknown = true;
	return r;
}

/* It will be sent again, but a host or network that changes bytes is to be known of. */
static void tell_damage(const struct s3req_client *client, const struct s3req_call *call,
			const struct s3req_reply *reply)
{
	char code[64];

	s3req_error_code(reply, code);
	if (s3err_is_about_damage(code))
		log_write(client->log, LOG_LEVEL_WARNING, "damaged",
			  "the store refused %s, whose bytes were changed on their way to it (%s)",
			  call->key, code);
}

/* Outcome of a put, or 0 where its status is an error. */
static int put_outcome(const struct store_put *req, const struct s3req_reply *reply)
{
	char code[64];

	switch (reply->status) {
	case 404:
		s3req_error_code(reply, code);
		return req->cond == STORE_IF_MATCH && strcmp(code, "NoSuchKey") == 0
			       ? STORE_NOT_FOUND
			       : 0;
	case 409:
		return STORE_CONFLICT;
	case 412:
		return req->cond != STORE_ALWAYS ? STORE_PRECONDITION : 0;
	default:
		return 0;
	}
}

/* A header value is made of it: an ETag comes from a server. */
static int quote_etag(const char *etag, char out[STORE_ETAG_MAX + 3], struct err *e)
{
	for (const char *p = etag; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "an ETag with blanks or control characters");
	}
	snprintf(out, STORE_ETAG_MAX + 3, strncmp(etag, "W/", 2) == 0 ? "%s" : "\"%s\"", etag);
	return 0;
}

static int s3_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		  const struct cancel *c, struct err *e)
{
	_cleanup_(s3req_reply_deinit) struct s3req_reply reply = { 0 };
	const struct s3req_client *client = &s3_of(s)->client;
	char etag[STORE_ETAG_MAX + 3] = "*";
	struct sigv4_pair condition = { req->cond == STORE_IF_MATCH ? "if-match" : "if-none-match",
					etag };
	struct s3req_call call = {
		.method = "PUT",
		.key = req->key,
		.headers = &condition,
		.header_count = req->cond == STORE_ALWAYS ? 0 : 1,
		.body = req->body,
		.body_count = req->body_count,
		.has_body = true,
		.is_put = true,
	};
	uint64_t size = 0;
	int r = 0;

	if (req->cond == STORE_IF_MATCH)
		r = quote_etag(req->etag, etag, e);
	if (r == 0)
		r = s3req_perform(client, &call, &reply, c, e);
	if (r < 0)
		return r;
	if (reply.status == 200) {
		for (int i = 0; i < req->body_count; i++)
			size += req->body[i].iov_len;
		r = check_stored(client, &call, &reply, e);
		if (r == 0)
			*ret = to_meta(&reply, size);
		return r;
	}
	tell_damage(client, &call, &reply);
	r = put_outcome(req, &reply);
	return r ? r : s3req_fail(client, &call, &reply, e);
}

/* ---- get ---- */

enum promise {
	PROMISE_FITS,
	PROMISE_NO_LENGTH,
	PROMISE_WRONG,	   /* not the range that was asked for */
	PROMISE_TOO_LARGE, /* whole: larger than the buffer */
	PROMISE_TOO_SHORT, /* the object ends before the range does */
};

/* Whether the headers of an answer promise exactly what was asked for. */
static enum promise check_promise(const struct store_get *req, const struct s3req_reply *reply)
{
	const struct httphdr_range *range = &reply->range;

	if (reply->status == 206) {
		if (!reply->has_range || req->whole || range->first != req->offset)
			return PROMISE_WRONG;
		if (range->total < req->offset + req->len_bytes)
			return PROMISE_TOO_SHORT;
		return range->last == req->offset + req->len_bytes - 1 ? PROMISE_FITS
								       : PROMISE_WRONG;
	}
	if (!reply->has_length)
		return PROMISE_NO_LENGTH;
	if (req->whole)
		return reply->length_bytes <= req->cap_bytes ? PROMISE_FITS : PROMISE_TOO_LARGE;
	if (reply->length_bytes < req->offset + req->len_bytes)
		return PROMISE_TOO_SHORT;
	return req->offset == 0 && reply->length_bytes == req->len_bytes ? PROMISE_FITS
									 : PROMISE_WRONG;
}

static enum http_sink get_sink(void *ctx, const struct s3req_reply *reply)
{
	return check_promise(ctx, reply) == PROMISE_FITS ? HTTP_SINK_DST : HTTP_SINK_REFUSE;
}

static uint64_t object_size(const struct s3req_reply *reply)
{
	return reply->status == 206 ? reply->range.total : reply->length_bytes;
}

static int too_short(const struct store_get *req, uint64_t size, bool size_known, struct err *e)
{
	if (!size_known)
		return err_set(e, ERR_CORRUPT, -ERANGE,
			       "too short for %" PRIu64 " bytes from %" PRIu64, req->len_bytes,
			       req->offset);
	return err_set(e, ERR_CORRUPT, -ERANGE,
		       "%" PRIu64 " bytes, too few for %" PRIu64 " from %" PRIu64, size,
		       req->len_bytes, req->offset);
}

/* After a 200 or 206: the promise, and whether it was kept. */
static int check_body(const struct store_get *req, const struct s3req_reply *reply, struct err *e)
{
	uint64_t wanted = req->whole ? reply->length_bytes : req->len_bytes;

	if (!reply->etag[0])
		return bad_answer(reply, e, "it has no ETag");
	switch (check_promise(req, reply)) {
	case PROMISE_FITS:
		break;
	case PROMISE_NO_LENGTH:
		return bad_answer(reply, e, "it has no Content-Length");
	case PROMISE_WRONG:
		return bad_answer(reply, e, "another range");
	case PROMISE_TOO_LARGE:
		return err_set(e, ERR_CORRUPT, -EFBIG,
			       "%" PRIu64 " bytes where at most %zu are expected",
			       reply->length_bytes, req->cap_bytes);
	case PROMISE_TOO_SHORT:
		return too_short(req, object_size(reply), true, e);
	}
	return reply->dst_bytes == wanted
		       ? 0
		       : bad_answer(reply, e, "its body has another length than it promised");
}

/* 404 without the code of S3 is another server's: the address is wrong. */
static int get_failed(const struct s3req_client *client, const struct s3req_call *call,
		      const struct s3req_reply *reply, const struct store_get *req, struct err *e)
{
	char code[64];

	s3req_error_code(reply, code);
	if (reply->status == 404 && strcmp(code, "NoSuchKey") == 0)
		return STORE_NOT_FOUND;
	if (reply->status == 416)
		return too_short(req, 0, false, e);
	return s3req_fail(client, call, reply, e);
}

static int s3_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		  const struct cancel *c, struct err *e)
{
	_cleanup_(s3req_reply_deinit) struct s3req_reply reply = { 0 };
	const struct s3req_client *client = &s3_of(s)->client;
	char range[64];
	struct sigv4_pair header = { "range", range };
	struct s3req_call call = {
		.method = "GET",
		.key = req->key,
		.headers = &header,
		.header_count = req->whole ? 0 : 1,
		.dst = req->dst,
		.dst_cap = req->whole ? req->cap_bytes : req->len_bytes,
		.sink = get_sink,
		.ctx = (void *)(uintptr_t)req,
		.progress = req->progress,
		.progress_ctx = req->progress_ctx,
	};
	int r;

	if (!req->whole)
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, req->offset,
			 req->offset + req->len_bytes - 1);
	r = s3req_perform(client, &call, &reply, c, e);
	if (r < 0)
		return r;
	if (reply.status != 200 && reply.status != 206)
		return get_failed(client, &call, &reply, req, e);
	r = check_body(req, &reply, e);
	if (r == 0)
		*ret = to_meta(&reply, object_size(&reply));
	return r;
}

/* A HEAD's 404 has no body: a missing bucket looks like a missing key. */
static int s3_head(struct store *s, const char *key, struct store_meta *ret, const struct cancel *c,
		   struct err *e)
{
	_cleanup_(s3req_reply_deinit) struct s3req_reply reply = { 0 };
	const struct s3req_client *client = &s3_of(s)->client;
	struct s3req_call call = { .method = "HEAD", .key = key };
	int r = s3req_perform(client, &call, &reply, c, e);

	if (r < 0)
		return r;
	if (reply.status == 404)
		return STORE_NOT_FOUND;
	if (reply.status != 200)
		return s3req_fail(client, &call, &reply, e);
	if (!reply.has_length || !reply.etag[0])
		return bad_answer(&reply, e, "it has no Content-Length or no ETag");
	*ret = to_meta(&reply, reply.length_bytes);
	return 0;
}

static int s3_list(struct store *s, const struct store_list *req, const struct cancel *c,
		   struct err *e)
{
	return s3list_run(&s3_of(s)->client, req, c, e);
}

static int s3_delete_many(struct store *s, const char *const *keys, size_t count,
			  struct store_delete_error *errors, size_t *ret_error_count,
			  const struct cancel *c, struct err *e)
{
	return s3list_delete(&s3_of(s)->client, keys, count, errors, ret_error_count, c, e);
}

static unsigned s3_caps(struct store *s)
{
	return STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE;
}

static void s3_free(struct store *s)
{
	struct s3_store *x = s3_of(s);

	http_free(x->client.http);
	creds_free(x->client.creds);
	s3site_free(x->client.site);
	free(x->bucket);
	free(x->prefix);
	free(x->ca_file);
	free(x);
}

static const struct store_ops s3_ops = {
	.name = "s3",
	.put = s3_put,
	.get = s3_get,
	.head = s3_head,
	.list = s3_list,
	.delete_many = s3_delete_many,
	.caps = s3_caps,
	.free = s3_free,
};

static int copy_options(struct s3_store *x, const struct s3_options *o, struct err *e)
{
	const char *prefix = o->prefix ? o->prefix : "";

	x->bucket = strdup(o->bucket);
	x->prefix = util_printf("%s%s", prefix, *prefix ? "/" : "");
	x->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
	if (!x->bucket || !x->prefix || (o->ca_file && !x->ca_file))
		return err_nomem(e);
	x->client.bucket = x->bucket;
	x->client.prefix = x->prefix;
	x->client.clock = o->clock;
	x->client.log = o->log;
	return 0;
}

int s3_store_new(const struct s3_options *o, struct store **ret, struct err *e)
{
	struct http_options http = {
		.user_agent = "sstablefs/" SSTABLEFS_VERSION,
		.connections = o->connections ? o->connections : 16,
		.connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : 10000,
		.first_byte_timeout_ms = o->first_byte_timeout_ms ? o->first_byte_timeout_ms
								  : 30000,
		.stall_timeout_ms = o->stall_timeout_ms ? o->stall_timeout_ms : 30000,
		.request_timeout_ms = o->request_timeout_ms ? o->request_timeout_ms : 300000,
		.clock = o->clock,
		.metrics = o->metrics,
	};
	struct s3site_options site = {
		.bucket = o->bucket,
		.endpoint = o->endpoint,
		.region = o->region ? o->region : "us-east-1",
		.addressing = o->addressing,
		.clock = o->clock,
		.log = o->log,
	};
	struct s3_store *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return err_nomem(e);
	x->store.ops = &s3_ops;
	r = copy_options(x, o, e);
	if (r == 0)
		r = s3site_new(&site, &x->client.site, e);
	if (r == 0) {
		http.ca_file = x->ca_file;
		r = http_new(&http, &x->client.http, e);
	}
	if (r < 0) {
		s3_free(&x->store);
		return r;
	}
	x->client.creds = o->creds;
	*ret = &x->store;
	return 0;
}
