/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bucket is reached: endpoint, host and path, with path or virtual-host addressing. Pure.
 * Any thread.
 */
#ifndef SSTABLEFS_STORE_S3ADDR_H
#define SSTABLEFS_STORE_S3ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "store/s3.h"

#define S3ADDR_REGION_MAX 65 /* with the NUL */

struct s3addr {
	char *origin; /* "https://bucket.s3.eu-west-1.amazonaws.com", without a '/' at its end */
	char *host; /* what the Host header says: with the port where it is not the scheme's own */
	char *path; /* before "/key", not encoded: "" or "/bucket" */
	char *server; /* the host alone: without bucket and port, an IPv6 address with its brackets */
	bool tls;
};

/*
 * 0, or -EINVAL with ERR_USAGE (endpoint, bucket or region not well formed; a virtual host below an
 * IP address), -ENOMEM. Endpoint NULL: AWS for the region.
 */
int s3addr_init(struct s3addr *ret, const char *bucket, const char *endpoint, const char *region,
		enum s3_addressing addressing, struct err *e);
void s3addr_deinit(struct s3addr *a);

/* 0, or -EINVAL with ERR_USAGE and a sentence: scheme://host[:port] and nothing else. */
int s3addr_check_endpoint(const char *endpoint, struct err *e);
/*
 * 0, or -EINVAL with ERR_USAGE: 3 to 255 of A-Z a-z 0-9 - . _, beginning and ending with a letter
 * or digit.
 */
int s3addr_check_bucket(const char *bucket, struct err *e);

/* Whether it is formed like the name of a region. */
bool s3addr_is_region(const char *region);
/* Whether the host is one of AWS's for S3, of any region. */
bool s3addr_is_aws(const char *server);
/*
 * The endpoint for the bucket's own region, as a new string: where it is one of AWS's the host of
 * that region, else the same. NULL stays NULL. 0, -EINVAL, -ENOMEM.
 */
int s3addr_for_region(const char *endpoint, const char *region, char **ret);
/* scheme://host[:port] alone, from the first len bytes of text: path is "". 0, -EINVAL, -ENOMEM. */
int s3addr_init_origin(struct s3addr *ret, const char *text, size_t len);

#endif
