/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4 with an Authorization header. Pure: the time, the keys and the request
 * come from the caller. Any thread.
 */
#ifndef SSTABLEFS_STORE_SIGV4_H
#define SSTABLEFS_STORE_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"

#define SIGV4_PAIRS_MAX 32
#define SIGV4_DATE_BYTES 17 /* "20130524T000000Z" and the NUL */
#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* A header (name in lower case, value without blanks at its ends) or a query parameter (not encoded). */
struct sigv4_pair {
	const char *name, *value;
};

struct sigv4_request {
	const char *method;
	const char *path;		/* not encoded, begins with '/' */
	const struct sigv4_pair *query; /* in any order, at most SIGV4_PAIRS_MAX */
	size_t query_count;
	/* All that are signed, host and x-amz-date among them; in any order, at most SIGV4_PAIRS_MAX. */
	const struct sigv4_pair *headers;
	size_t header_count;
	const char *payload_hash; /* 64 hex digits, or SIGV4_UNSIGNED_PAYLOAD */
	const char *date;	  /* as in x-amz-date */
	const char *region, *service;
};

/*
 * Appends s percent-encoded as AWS wants it: all but A-Z a-z 0-9 - . _ ~, upper-case hex; '/' is
 * kept where keep_slash.
 */
void sigv4_encode(struct wbuf *out, const char *s, bool keep_slash);
/*
 * Appends the query as it is signed and sent: encoded, then sorted by name and value. More than
 * SIGV4_PAIRS_MAX: out's error is set (-E2BIG).
 */
void sigv4_query(struct wbuf *out, const struct sigv4_pair *query, size_t count);
/* Appends the canonical request; for sigv4_authorization and for tests. */
void sigv4_canonical_request(struct wbuf *out, const struct sigv4_request *r);
/*
 * Appends the value of the Authorization header and a NUL. 0, -ENOMEM, -E2BIG, or -EINVAL (a date
 * of another length).
 */
int sigv4_authorization(struct wbuf *out, const struct sigv4_request *r, const char *access_key,
			const char *secret_key);

#endif
