/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request to S3, signed, and what its answer says. What an answer tells about the bucket's
 * region, the time and redirects is followed here (store/s3follow.h), each once for a request, and
 * learned (store/s3site.h); none of these answers means that anything was carried out. Any thread.
 */
#ifndef SSTABLEFS_STORE_S3REQ_H
#define SSTABLEFS_STORE_S3REQ_H

#include "base/clock.h"
#include "store/creds.h"
#include "store/http.h"
#include "store/httphdr.h"
#include "store/s3site.h"
#include "store/sigv4.h"
#include "store/store.h"

/* What all requests to one bucket share; borrowed by them. */
struct s3req_client {
	struct s3site *site;
	const char *bucket;
	const char *prefix; /* before every key: "", or with a '/' at its end */
	struct http *http;
	struct creds *creds;
	const struct clock *clock;
	struct log *log; /* may be NULL */
};

struct s3req_reply {
	int status;
	bool has_length, has_range;
	uint64_t length_bytes; /* Content-Length */
	struct httphdr_range range;
	char etag[STORE_ETAG_MAX]; /* without quotes */
	int64_t date_ns, modified_ns;
	int retry_after_ms;
	char request_id[64], region[S3ADDR_REGION_MAX], location[HTTPHDR_VALUE_MAX];
	bool encoded, is_web_page;   /* Content-Encoding, Content-Type: text/html: not from S3 */
	int64_t signed_ns;	     /* the time that the request was signed with */
	const struct s3place *place; /* where it was sent, but for a redirect */
	struct s3sum_way way;	     /* how the body was sent */
	char sum_sent[S3SUM_TEXT], sum_received[S3SUM_TEXT]; /* checksums; "": none */
	size_t dst_bytes;				     /* of the body, written into dst */
	struct wbuf text; /* the body where it did not go to dst */
};

struct s3req_call {
	const char *method;
	const char *key;		/* without the prefix; NULL: the bucket itself */
	const struct sigv4_pair *query; /* not encoded */
	size_t query_count;
	const struct sigv4_pair *headers; /* name in lower case; signed */
	size_t header_count;
	const struct iovec *body;
	int body_count;
	bool has_body, is_put;
	void *dst;
	size_t dst_cap, text_max;
	/*
	 * Where the body of an answer below 300 goes, on the network thread; NULL: text. Error
	 * bodies always go to text.
	 */
	enum http_sink (*sink)(void *ctx, const struct s3req_reply *reply);
	void *ctx;
	void (*progress)(void *ctx, size_t done_bytes);
	void *progress_ctx;
};

/*
 * 0 with a whole answer of any status (deinit the reply), HTTP_REFUSED by the sink (the same), < 0
 * as http_perform; -ENAMETOOLONG with ERR_USAGE; -EIO for an answer below 300 that is a web page,
 * or was encoded on its way.
 */
int s3req_perform(const struct s3req_client *client, const struct s3req_call *call,
		  struct s3req_reply *ret, const struct cancel *cancel, struct err *e);
void s3req_reply_deinit(struct s3req_reply *reply);

/* The code of an error answer ("" where there is none), for outcomes. */
void s3req_error_code(const struct s3req_reply *reply, char code[64]);
/* Fills e from an error answer and returns < 0. */
int s3req_fail(const struct s3req_client *client, const struct s3req_call *call,
	       const struct s3req_reply *reply, struct err *e);

#endif
