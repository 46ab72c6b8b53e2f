/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an answer that is no success tells about how to ask again: in another region, with another
 * time, or elsewhere. Pure. Any thread.
 */
#ifndef SSTABLEFS_STORE_S3FOLLOW_H
#define SSTABLEFS_STORE_S3FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include "store/s3addr.h"
#include "store/sigv4.h"

#define S3FOLLOW_REDIRECTS_MAX 2 /* of one request */
#define S3FOLLOW_QUERY_MAX 16

enum s3follow_action {
	S3FOLLOW_NOT,
	S3FOLLOW_REGION,    /* the bucket lies in s3follow_region's */
	S3FOLLOW_CLOCK,	    /* sign with the time of the answer */
	S3FOLLOW_ELSEWHERE, /* to the Location, this time only */
};

struct s3follow_answer {
	int status;
	const char *code, *message; /* of the error document; "" where there was none */
	const char *region;   /* of x-amz-bucket-region, else of the document; "" where unknown */
	const char *location; /* "" where there is none */
	int64_t date_ns;      /* Date; 0 where unknown */
	int64_t signed_ns;    /* the time that the request was signed with */
};

struct s3follow_tried { /* zero: a request's first attempt */
	bool region, clock;
	unsigned redirects;
};

/* `region` is the one that the request was signed for. */
enum s3follow_action s3follow_decide(const struct s3follow_answer *a, const char *region,
				     const struct s3follow_tried *tried);
/* The region that an answer names, "" where it names none. */
void s3follow_region(const struct s3follow_answer *a, char ret[S3ADDR_REGION_MAX]);

/* Where a redirect leads. */
struct s3follow_target {
	struct s3addr addr; /* path: the whole one, not encoded */
	bool has_query;
	struct sigv4_pair query[S3FOLLOW_QUERY_MAX]; /* not encoded */
	size_t query_count;
	char *text; /* what the query points to */
};

/*
 * Follows the Location of a redirect from an address of the bucket, if it may be: to the endpoint's own host (any port), to a
 * host below it ("bucket.endpoint"), or, where the endpoint is one of AWS's for S3, to another of
 * these; never from https to http. So neither a body nor what a signature covers reaches a host
 * that the user did not name. 0; -EINVAL: not well formed; -EPERM: it may not be followed; -ENOMEM.
 */
int s3follow_location(const char *location, const struct s3addr *from, struct s3follow_target *ret);
void s3follow_target_deinit(struct s3follow_target *t);

#endif
