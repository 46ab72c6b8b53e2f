/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials as JSON: of the container endpoint, the metadata service, and credential_process. Untrusted input. Any thread. */
#ifndef SSTABLEFS_STORE_CREDS_JSON_H
#define SSTABLEFS_STORE_CREDS_JSON_H

#include "store/creds_link.h"

#define CREDS_JSON_MAX (64 * (size_t)KIB)

enum creds_json_form {
	CREDS_JSON_ENDPOINT, /* "Token", and a "Code" that says "Success" where there is one */
	CREDS_JSON_PROCESS,  /* "Version": 1, "SessionToken" */
};

/* Fills value and expires_ns. 0, -ENOMEM, or ERR_CREDENTIALS: nothing of the text is repeated but the names of its members. */
int creds_json_read(enum creds_json_form form, const char *text, size_t len_bytes,
		    struct creds_found *ret, struct err *e);

#endif
