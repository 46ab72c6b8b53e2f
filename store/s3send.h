/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt of a request to S3: built, signed, sent, its answer taken apart. Any thread. */
#ifndef SSTABLEFS_STORE_S3SEND_H
#define SSTABLEFS_STORE_S3SEND_H

#include "store/s3follow.h"
#include "store/s3req.h"

/* Where an attempt goes, and with what; borrowed. */
struct s3send_aim {
	const struct s3place *place;
	const struct s3follow_target *elsewhere; /* of a redirect; NULL: to the place itself */
	enum s3sum_trust trust;			 /* in the server that it goes to */
	int64_t now_ns;				 /* to sign with */
};

/*
 * As s3req_perform, but nothing is learned from the answer. *ret_used is set in any case: what it
 * was signed with, to be wiped by the caller.
 */
int s3send(const struct s3req_client *client, const struct s3send_aim *aim,
	   const struct s3req_call *call, struct s3req_reply *ret, struct creds_value *ret_used,
	   const struct cancel *cancel, struct err *e);

/* Of a success: S3 itself would not have answered like that. Its body is refused. */
bool s3send_is_foreign(const struct s3req_reply *reply);

#endif
