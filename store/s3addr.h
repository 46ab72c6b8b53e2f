/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a bucket is reached: endpoint, host and path, with path or virtual-host addressing. Pure.
 * Any thread.
 */
#ifndef SSTABLEFS_STORE_S3ADDR_H
#define SSTABLEFS_STORE_S3ADDR_H

#include <stdbool.h>
#include "base/err.h"
#include "store/s3.h"

struct s3addr {
	char *origin; /* "https://bucket.s3.eu-west-1.amazonaws.com", without a '/' at its end */
	char *host; /* what the Host header says: with the port where it is not the scheme's own */
	char *path; /* before "/key", not encoded: "" or "/bucket" */
	bool tls;
};

/*
 * 0, or -EINVAL with ERR_USAGE (endpoint or bucket not well formed), -ENOMEM. Endpoint NULL: AWS
 * for the region.
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

#endif
