/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The S3 store: AWS's REST API over HTTP/1.1 with keep-alive, Signature Version 4 of our own (libcurl before 8.9 signs queries wrongly).
 * One network thread drives libcurl's multi interface; callers block on their request. Bodies go straight from and to the caller's memory.
 */
#ifndef SSTABLEFS_STORE_S3_H
#define SSTABLEFS_STORE_S3_H

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "store/creds.h"
#include "store/store.h"

enum s3_addressing { S3_ADDRESSING_AUTO, S3_ADDRESSING_PATH, S3_ADDRESSING_VIRTUAL };

struct s3_options {
	const char *bucket;
	const char *prefix;   /* put before every key with a '/' between; "" for none */
	const char *endpoint; /* scheme://host[:port], NULL: AWS for the region */
	const char *region;   /* NULL: us-east-1 */
	const char *ca_file;  /* NULL: the system's */
	enum s3_addressing addressing;
	unsigned connections; /* at most this many at once; 0: 16 */
	struct creds *creds;  /* stolen on success */
	const struct clock *clock;
	struct log *log;
	struct metrics *metrics;
	/* As http_options has them. 0: 10 s, 30 s, 30 s, 300 s */
	int connect_timeout_ms, first_byte_timeout_ms, stall_timeout_ms, request_timeout_ms;
};

int s3_store_new(const struct s3_options *options, struct store **ret, struct err *e);

#endif
