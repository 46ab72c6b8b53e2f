/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary credentials of a role, from STS. Any thread. */
#ifndef SSTABLEFS_STORE_CREDS_STS_H
#define SSTABLEFS_STORE_CREDS_STS_H

#include "store/creds_link.h"

struct creds_sts_role { /* borrowed; NULL: not given */
	const char *arn, *session_name, *external_id, *duration_seconds;
	const char *region; /* of the profile */
};

/* AssumeRole, signed with `signer`. Fills value and expires_ns. 0 or < 0. */
int creds_sts_assume(struct creds_attempt *a, const struct creds_sts_role *role,
		     const struct creds_value *signer, struct creds_found *ret, struct err *e);
/* AssumeRoleWithWebIdentity with the token in the file, which is read each time. */
int creds_sts_web_identity(struct creds_attempt *a, const struct creds_sts_role *role,
			   const char *token_path, struct creds_found *ret, struct err *e);

/* Where STS is for this world (docs/store.md). New string in *ret_origin, no slash at its end; *ret_region borrowed. */
int creds_sts_endpoint(const struct creds_world *w, const char *profile_region, char **ret_origin,
		       const char **ret_region, bool *ret_named, struct err *e);

struct creds_sts_answer { /* what is absent is "" */
	char access_key[256], secret_key[256], session_token[CREDS_FIELD_MAX], expiration[64];
	char error_code[64], error_message[256];
};

/* The XML of either action, or of an error. 0, -EBADMSG, -ENOMEM. To be wiped. */
int creds_sts_parse(const void *data, size_t len_bytes, struct creds_sts_answer *ret);

#endif
