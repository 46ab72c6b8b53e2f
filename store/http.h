/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 requests over kept-alive connections to one server. A single network thread drives all
 * of them; callers block on their own. Bodies are read from and written to the caller's memory.
 * Nothing is retried and no redirect is followed here. A request with a body reaches the server at
 * most once. Proxies are those of the usual environment variables. While the server answers 429 or
 * 503, fewer requests are under way at once (store/aimd.h).
 */
#ifndef SSTABLEFS_STORE_HTTP_H
#define SSTABLEFS_STORE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>
#include "base/buf.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"

#define HTTP_CONNECTIONS_MAX 256

struct http;

struct http_options {
	const char *ca_file;	/* PEM, NULL: the system's */
	const char *user_agent; /* borrowed as long as the object lives, like ca_file */
	unsigned connections; /* 1 to HTTP_CONNECTIONS_MAX at once; further requests wait their turn */
	bool direct; /* through no proxy, whatever the environment says: link-local services */
	int connect_timeout_ms; /* name, connection and TLS handshake; over all addresses of a name */
	int first_byte_timeout_ms; /* from the request's last byte there to the answer's first one here; 0: as stall */
	int stall_timeout_ms; /* less than HTTPLIMIT_STEP_BYTES moved, while a body is under way */
	/*
	 * From the moment when the request has its connection slot; and a second more for every
	 * HTTPLIMIT_SLOWEST_BYTES_PER_S of body and of dst_cap.
	 */
	int request_timeout_ms;
	const struct clock *clock; /* NULL: the system's */
	struct metrics *metrics;   /* may be NULL */
	const char *resolve; /* "HOST:PORT:ADDRESS[,ADDRESS]" instead of a look-up, for tests; NULL */
};

enum http_sink {
	HTTP_SINK_DST,	  /* the body goes to dst */
	HTTP_SINK_TEXT,	  /* the body goes to text */
	HTTP_SINK_REFUSE, /* the transfer is broken off, http_perform returns HTTP_REFUSED */
};

enum http_outcome { HTTP_REFUSED = 1 };

/*
 * Everything is borrowed until http_perform returns. The callbacks run on the network thread, one
 * at a time, and must not block; but for `progress`, which runs on the caller's and may.
 */
struct http_request {
	const char *method;
	const char *url;	    /* complete and encoded: sent as it is */
	const char *const *headers; /* "name: value", `header_count` of them */
	size_t header_count;
	const struct iovec *body; /* has_body: sent with its Content-Length, also where it is empty */
	int body_count;
	bool has_body;
	void *dst;
	size_t dst_cap;
	/* Longer than its maximum: cut off in answers of 300 and more, an error in others. */
	struct wbuf *text;
	/* Each header of the answer that httphdr_split takes; may be NULL. */
	void (*header)(void *ctx, const char *name, const char *value);
	/* Once, when the first byte of a body is there; NULL: all bodies are text. */
	enum http_sink (*sink)(void *ctx, int status);
	void *ctx;
	/*
	 * dst[0..done) is filled: now and then, while the rest arrives, and at the end, also of a
	 * transfer that fails. May be NULL.
	 */
	void (*progress)(void *ctx, size_t done_bytes);
	void *progress_ctx;
};

struct http_answer {
	int status;
	size_t dst_bytes; /* written into dst */
};

/* 0, or < 0 with e filled (-EINVAL, ERR_USAGE: the CA file cannot be read). */
int http_new(const struct http_options *options, struct http **ret, struct err *e);
/* No request may be under way. */
void http_free(struct http *h);

/*
 * 0: a complete answer, whatever its status. HTTP_REFUSED: the sink said so. < 0: -ECANCELED
 * within 100 ms of `cancel`; -ENOMEM; -EIO, -ETIMEDOUT and others with ERR_STORE, retryable where
 * another attempt may do better. outcome_unknown: the request has a body and the server may have
 * got it.
 */
int http_perform(struct http *h, const struct http_request *request, struct http_answer *ret,
		 const struct cancel *cancel, struct err *e);

DEFINE_CLEANUP(struct http *, http_free);

#endif
