/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for S3: where they come from, apart from how they are used. Any thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_H
#define SSTABLEFS_STORE_CREDS_H

#include "base/clock.h"
#include "base/err.h"

#define CREDS_FIELD_MAX 4096

struct creds_value { /* wiped by creds_value_wipe after use; never logged */
	char access_key[256];
	char secret_key[256];
	char session_token[CREDS_FIELD_MAX]; /* "" for none */
};

struct creds;

struct creds_options {
	const char *
		credentials_file; /* of the configuration: only this is read; NULL: the AWS chain (environment, then shared file and profile) */
	const char *profile;	  /* NULL: $AWS_PROFILE, else "default" */
	const char *(*getenv)(void *ctx,
			      const char *name); /* replaceable by tests; NULL: the process's */
	void *getenv_ctx;
	const struct clock *clock;
};

/* Reads nothing yet. NULL: out of memory. */
struct creds *creds_new(const struct creds_options *options);
void creds_free(struct creds *c);
/* The credentials to sign with now. 0, or < 0 with ERR_CREDENTIALS and a sentence that says where was looked. A file that others can read is refused (ERR_USAGE). */
int creds_get(struct creds *c, struct creds_value *ret, struct err *e);
void creds_value_wipe(struct creds_value *v);
DEFINE_CLEANUP(struct creds *, creds_free);

#endif
