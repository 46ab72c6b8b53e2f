/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httpxfer.h"

#include <errno.h>
#include <string.h>
#include "store/httphdr.h"

uint64_t httpxfer_body_bytes(const struct http_request *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < r->body_count; i++)
		sum += r->body[i].iov_len;
	return sum;
}

size_t httpxfer_read(struct httpxfer *x, char *out, size_t room)
{
	const struct http_request *r = x->request;
	size_t done = 0;

	x->body_begun = true;
	while (done < room && x->iov < r->body_count) {
		const struct iovec *v = &r->body[x->iov];
		size_t n = MIN_OF(room - done, v->iov_len - x->iov_offset);

		if (n)
			memcpy(out + done, (const char *)v->iov_base + x->iov_offset, n);
		done += n;
		x->iov_offset += n;
		if (x->iov_offset == v->iov_len) {
			x->iov++;
			x->iov_offset = 0;
		}
	}
	return done;
}

void httpxfer_header(struct httpxfer *x, const char *line, size_t len)
{
	const struct http_request *r = x->request;
	char name[HTTPHDR_NAME_MAX], value[HTTPHDR_VALUE_MAX];

	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		const char *blank = memchr(line, ' ', len);

		/* libcurl has checked the line. An interim answer (1xx) says nothing of the object. */
		x->in_headers = blank && blank + 1 < line + len && blank[1] != '1';
		return;
	}
	if (len <= 2)
		x->in_headers = false; /* so that trailers after a body are not listened to */
	if (x->in_headers && r->header && httphdr_split(line, len, name, value))
		r->header(r->ctx, name, value);
}

static bool write_dst(struct httpxfer *x, const char *data, size_t len)
{
	const struct http_request *r = x->request;

	if (len > r->dst_cap - x->dst_done) {
		x->too_long = true;
		return false;
	}
	memcpy((char *)r->dst + x->dst_done, data, len);
	x->dst_done += len;
	return true;
}

static bool write_text(struct httpxfer *x, const char *data, size_t len, int status)
{
	struct wbuf *text = x->request->text;
	size_t room = text ? text->max - text->len : 0;

	if (len > room && status < 300) {
		x->too_long = true;
		return false;
	}
	if (text)
		wbuf_put(text, data, MIN_OF(len, room));
	x->no_memory = text && wbuf_error(text) == -ENOMEM;
	return !text || !wbuf_error(text);
}

bool httpxfer_write(struct httpxfer *x, int status, const char *data, size_t len)
{
	const struct http_request *r = x->request;

	if (!x->sink_chosen) {
		x->sink = r->sink ? r->sink(r->ctx, status) : HTTP_SINK_TEXT;
		x->sink_chosen = true;
	}
	switch (x->sink) {
	case HTTP_SINK_DST:
		return write_dst(x, data, len);
	case HTTP_SINK_TEXT:
		return write_text(x, data, len, status);
	case HTTP_SINK_REFUSE:
		break;
	}
	return false;
}
