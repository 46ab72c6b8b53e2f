/* SPDX-License-Identifier: Apache-2.0 */
#include "store/s3send.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/digest.h"

#define REQUEST_TEXT_MAX (64 * KIB)
#define REQUEST_HEADERS_MAX 16

/* ---- the request ---- */

static const struct s3addr *aim_addr(const struct s3send_aim *a)
{
	return a->elsewhere ? &a->elsewhere->addr : &a->place->addr;
}

struct request {
	struct sigv4_pair signed_headers[REQUEST_HEADERS_MAX];
	size_t signed_count;
	char payload_hash[SHA256_HEX], date[CLOCK_RFC3339_BYTES], sum[S3SUM_TEXT];
	struct s3sum_way way;
	struct creds_value keys;
	char *path; /* not encoded */
	const struct sigv4_pair *query;
	size_t query_count;
	struct wbuf text; /* URL and header lines, each with a NUL */
	size_t line_at[REQUEST_HEADERS_MAX + 1];
	const char *lines[REQUEST_HEADERS_MAX + 1];
	size_t line_count;
};

static void request_deinit(struct request *r)
{
	creds_value_wipe(&r->keys);
	free(r->path);
	if (r->text.data)
		explicit_bzero(r->text.data, r->text.len); /* the session token is in it */
	wbuf_deinit(&r->text);
}

static void sign_header(struct request *r, const char *name, const char *value)
{
	r->signed_headers[r->signed_count++] = (struct sigv4_pair){ name, value };
}

static struct s3sum_way choose_way(const struct s3send_aim *aim, const struct s3req_call *call)
{
	uint64_t body_bytes = 0;

	if (!call->has_body)
		return (struct s3sum_way){ 0 };
	for (int i = 0; i < call->body_count; i++)
		body_bytes += call->body[i].iov_len;
	return s3sum_way(aim->trust, aim_addr(aim)->tls, call->is_put, body_bytes);
}

static int hash_payload(struct request *r, const struct s3send_aim *aim,
			const struct s3req_call *call)
{
	_cleanup_(sha256_freep) struct sha256 *h = NULL;
	struct id256 id;

	r->way = choose_way(aim, call);
	if (r->way.checksum)
		s3sum_text(r->sum, call->body, call->body_count);
	if (r->way.skip_sha256) {
		snprintf(r->payload_hash, sizeof(r->payload_hash), SIGV4_UNSIGNED_PAYLOAD);
		return 0;
	}
	h = sha256_new();
	if (!h)
		return -ENOMEM;
	for (int i = 0; i < call->body_count; i++)
		sha256_update(h, call->body[i].iov_base, call->body[i].iov_len);
	id = sha256_final(h);
	util_hex(r->payload_hash, id.b, sizeof(id.b));
	return 0;
}

static void put_text(struct wbuf *out, const char *s)
{
	wbuf_put(out, s, strlen(s));
}

static void add_line(struct request *r, const char *name, const char *value)
{
	r->line_at[r->line_count++] = r->text.len;
	put_text(&r->text, name);
	put_text(&r->text, value[0] ? ": " : ";"); /* libcurl's form of a header without a value */
	put_text(&r->text, value);
	wbuf_u8(&r->text, 0);
}

static int add_authorization(struct request *r, const struct s3send_aim *aim,
			     const struct s3req_call *call)
{
	struct sigv4_request to_sign = {
		.method = call->method,
		.path = r->path,
		.query = r->query,
		.query_count = r->query_count,
		.headers = r->signed_headers,
		.header_count = r->signed_count,
		.payload_hash = r->payload_hash,
		.date = r->date,
		.region = aim->place->region,
		.service = "s3",
	};

	r->line_at[r->line_count++] = r->text.len;
	put_text(&r->text, "authorization: ");
	return sigv4_authorization(&r->text, &to_sign, r->keys.access_key, r->keys.secret_key);
}

/* What is signed is what is sent, byte for byte. */
static void add_url(struct request *r, const struct s3send_aim *aim)
{
	put_text(&r->text, aim_addr(aim)->origin);
	sigv4_encode(&r->text, r->path, true);
	if (r->query_count) {
		wbuf_u8(&r->text, '?');
		sigv4_query(&r->text, r->query, r->query_count);
	}
	wbuf_u8(&r->text, 0);
}

static int collect_headers(struct request *r, const struct s3send_aim *aim,
			   const struct s3req_call *call)
{
	if (call->header_count > REQUEST_HEADERS_MAX - 5)
		return -E2BIG;
	sign_header(r, "host", aim_addr(aim)->host);
	sign_header(r, "x-amz-content-sha256", r->payload_hash);
	sign_header(r, "x-amz-date", r->date);
	if (r->keys.session_token[0])
		sign_header(r, "x-amz-security-token", r->keys.session_token);
	if (r->way.checksum)
		sign_header(r, S3SUM_HEADER, r->sum);
	for (size_t i = 0; i < call->header_count; i++)
		sign_header(r, call->headers[i].name, call->headers[i].value);
	return 0;
}

/* A redirect says where to go in full, but often leaves the query away. */
static int set_resource(struct request *r, const struct s3req_client *client,
			const struct s3send_aim *aim, const struct s3req_call *call)
{
	const struct s3follow_target *t = aim->elsewhere;

	r->query = t && t->has_query ? t->query : call->query;
	r->query_count = t && t->has_query ? t->query_count : call->query_count;
	if (t && t->addr.path[0])
		r->path = strdup(t->addr.path);
	else
		r->path = util_printf("%s/%s%s", aim->place->addr.path,
				      call->key ? client->prefix : "", call->key ? call->key : "");
	return r->path ? 0 : -ENOMEM;
}

static int request_build(struct request *r, const struct s3req_client *client,
			 const struct s3send_aim *aim, const struct s3req_call *call,
			 const struct cancel *cancel, struct err *e)
{
	int rc;

	wbuf_init(&r->text, REQUEST_TEXT_MAX);
	rc = creds_get(client->creds, &r->keys, cancel, e);
	if (rc < 0)
		return rc;
	if (call->key && strlen(client->prefix) + strlen(call->key) > STORE_KEY_MAX)
		return err_set(e, ERR_USAGE, -ENAMETOOLONG,
			       "with the repository's prefix the key is longer than %d bytes",
			       STORE_KEY_MAX);
	if (set_resource(r, client, aim, call) < 0 || hash_payload(r, aim, call) < 0)
		return err_nomem(e);
	clock_compact(r->date, aim->now_ns);
	rc = collect_headers(r, aim, call);
	add_url(r, aim);
	for (size_t i = 0; rc == 0 && i < r->signed_count; i++)
		add_line(r, r->signed_headers[i].name, r->signed_headers[i].value);
	if (rc == 0)
		rc = add_authorization(r, aim, call);
	if (rc < 0 || (rc = wbuf_error(&r->text)) < 0)
		return rc == -ENOMEM
			       ? err_nomem(e)
			       : err_set(e, ERR_USAGE, rc, "the request to the store is too long");
	for (size_t i = 0; i < r->line_count; i++)
		r->lines[i] = (const char *)r->text.data + r->line_at[i];
	return 0;
}

/* ---- the answer ---- */

struct receiver {
	const struct s3req_call *call;
	struct s3req_reply *reply;
	int64_t now_ns;
};

/* Copies what fits; what does not is as good as absent. */
static void copy_fitting(char *out, size_t size, const char *text, size_t len)
{
	if (len < size) {
		memcpy(out, text, len);
		out[len] = 0;
	}
}

static void take_etag(struct s3req_reply *reply, const char *value)
{
	size_t len = strlen(value);

	if (len >= 2 && value[0] == '"' && value[len - 1] == '"')
		copy_fitting(reply->etag, sizeof(reply->etag), value + 1, len - 2);
	else
		copy_fitting(reply->etag, sizeof(reply->etag), value, len);
}

static void on_header(void *ctx, const char *name, const char *value)
{
	struct receiver *in = ctx;
	struct s3req_reply *reply = in->reply;
	int64_t ns;

	if (strcmp(name, "content-length") == 0)
		reply->has_length = httphdr_parse_u64(value, &reply->length_bytes) == 0;
	else if (strcmp(name, "content-range") == 0)
		reply->has_range = httphdr_parse_content_range(value, &reply->range) == 0;
	else if (strcmp(name, "etag") == 0)
		take_etag(reply, value);
	else if (strcmp(name, "date") == 0)
		reply->date_ns = clock_parse_http_date(value, &ns) == 0 ? ns : 0;
	else if (strcmp(name, "last-modified") == 0)
		reply->modified_ns = clock_parse_http_date(value, &ns) == 0 ? ns : 0;
	else if (strcmp(name, "retry-after") == 0)
		reply->retry_after_ms = httphdr_parse_retry_after_ms(value, in->now_ns);
	else if (strcmp(name, "x-amz-request-id") == 0)
		copy_fitting(reply->request_id, sizeof(reply->request_id), value, strlen(value));
	else if (strcmp(name, "x-amz-bucket-region") == 0)
		copy_fitting(reply->region, sizeof(reply->region), value, strlen(value));
	else if (strcmp(name, S3SUM_HEADER) == 0)
		copy_fitting(reply->sum_received, sizeof(reply->sum_received), value,
			     strlen(value));
	else if (strcmp(name, "location") == 0)
		copy_fitting(reply->location, sizeof(reply->location), value, strlen(value));
	else if (strcmp(name, "content-encoding") == 0)
		reply->encoded = strcasecmp(value, "identity") != 0;
	else if (strcmp(name, "content-type") == 0)
		reply->is_web_page = strncasecmp(value, "text/html", strlen("text/html")) == 0;
}

bool s3send_is_foreign(const struct s3req_reply *reply)
{
	return reply->encoded || reply->is_web_page;
}

static enum http_sink on_body(void *ctx, int status)
{
	struct receiver *in = ctx;

	in->reply->status = status;
	if (status < 300 && s3send_is_foreign(in->reply))
		return HTTP_SINK_REFUSE;
	if (status >= 300 || !in->call->sink)
		return HTTP_SINK_TEXT;
	return in->call->sink(in->call->ctx, in->reply);
}

static struct http_request to_http(const struct request *r, const struct s3req_call *call,
				   struct receiver *in)
{
	return (struct http_request){
		.method = call->method,
		.url = (const char *)r->text.data,
		.headers = r->lines,
		.header_count = r->line_count,
		.body = call->body,
		.body_count = call->body_count,
		.has_body = call->has_body,
		.dst = call->dst,
		.dst_cap = call->dst_cap,
		.text = &in->reply->text,
		.header = on_header,
		.sink = on_body,
		.ctx = in,
		.progress = call->progress,
		.progress_ctx = call->progress_ctx,
	};
}

int s3send(const struct s3req_client *client, const struct s3send_aim *aim,
	   const struct s3req_call *call, struct s3req_reply *ret, struct creds_value *ret_used,
	   const struct cancel *cancel, struct err *e)
{
	struct s3req_reply reply = { .signed_ns = aim->now_ns, .place = aim->place };
	struct receiver in = { .call = call, .reply = &reply, .now_ns = aim->now_ns };
	struct request request = { 0 };
	struct http_answer answer = { 0 };
	struct http_request http;
	int rc = request_build(&request, client, aim, call, cancel, e);

	wbuf_init(&reply.text, MAX_OF(call->text_max, (size_t)REQUEST_TEXT_MAX));
	if (rc == 0) {
		http = to_http(&request, call, &in);
		rc = http_perform(client->http, &http, &answer, cancel, e);
	}
	*ret_used = request.keys;
	request_deinit(&request);
	if (rc < 0) {
		s3req_reply_deinit(&reply);
		if (e && !call->is_put)
			e->outcome_unknown = false;
		return rc;
	}
	reply.status = answer.status;
	reply.dst_bytes = answer.dst_bytes;
	reply.way = request.way;
	memcpy(reply.sum_sent, request.sum, sizeof(reply.sum_sent));
	*ret = reply;
	return rc;
}
