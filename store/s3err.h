/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a failed answer of an S3 server means: kind, errno, whether to try again, and a sentence
 * that says what to do. Pure. Any thread.
 */
#ifndef SSTABLEFS_STORE_S3ERR_H
#define SSTABLEFS_STORE_S3ERR_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct s3err_answer {
	int status;
	const char *code, *message; /* of the error document; "" where there was none */
	const char *region; /* of the document or of x-amz-bucket-region; "" where unknown */
	const char *bucket, *origin;
	const char *location; /* of a redirect that is not followed; "" where there is none */
	const char *request_id;
	int retry_after_ms;
	int64_t skew_s; /* how far the server's clock is ahead of ours; 0 where unknown */
	bool is_put;
};

/* Fills e and returns e->code. */
int s3err_set(struct err *e, const struct s3err_answer *a);

/* Whether other credentials may help: expired, revoked or rotated ones get such a code. */
bool s3err_is_about_credentials(const char *code);
/* Whether the server got other bytes than were sent. */
bool s3err_is_about_damage(const char *code);

#endif
