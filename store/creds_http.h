/* SPDX-License-Identifier: Apache-2.0 */
/* One request to an endpoint that hands out credentials. Any thread. */
#ifndef SSTABLEFS_STORE_CREDS_HTTP_H
#define SSTABLEFS_STORE_CREDS_HTTP_H

#include "base/buf.h"
#include "store/creds_link.h"

#define CREDS_HTTP_ANSWER_MAX (64 * (size_t)KIB)
#define CREDS_HTTP_HEADERS_MAX 8
#define CREDS_HTTP_URL_MAX 2048

struct creds_http_request {
	const char *method, *url;
	const char *headers[CREDS_HTTP_HEADERS_MAX]; /* "name: value", up to the first NULL */
	const char *body;			     /* NULL: none */
	const char *ca_file;			     /* NULL: the system's */
	bool direct;				     /* through no proxy */
	int connect_ms, total_ms;
};

struct creds_http_answer {
	int status;
	struct wbuf text; /* wiped by creds_http_answer_deinit */
};

/*
 * 0 with an answer of any status, to be deinitialised. < 0: -ECANCELED, -ENOMEM, or ERR_STORE,
 * retryable where another attempt may do better. Nothing is made again here, no redirect followed.
 */
int creds_http_perform(struct creds_attempt *a, const struct creds_http_request *request,
		       struct creds_http_answer *ret, struct err *e);
void creds_http_answer_deinit(struct creds_http_answer *answer);
/*
 * Fills e for an answer that is not 200: ERR_STORE, retryable, for 429 and 500 and more; else
 * ERR_CREDENTIALS. `why` may be "".
 */
int creds_http_refused(const struct creds_http_answer *answer, const char *why, struct err *e);

#endif
