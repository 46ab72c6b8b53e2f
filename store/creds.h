/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials for S3: where they come from (docs/store.md), apart from how they are used. They are
 * fetched again before they expire, when their file changed, and when the store has refused them;
 * one thread fetches, the others go on with what is still valid. Any thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_H
#define SSTABLEFS_STORE_CREDS_H

#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define CREDS_FIELD_MAX 4096
#define CREDS_SOURCE_MAX 512

struct creds_value { /* wiped by creds_value_wipe after use; never logged */
	char access_key[256];
	char secret_key[256];
	char session_token[CREDS_FIELD_MAX]; /* "" for none */
};

struct creds;

struct creds_options { /* strings are copied */
	/* Of the configuration: only this is read. NULL: the AWS chain. */
	const char *credentials_file;
	/* Asked for by name, by the URL or the configuration: then the environment's keys do not count. NULL: $AWS_PROFILE, else "default". */
	const char *profile;
	const char *region; /* for STS, where neither environment nor profile name one; NULL: none */
	const char *ca_file; /* for an STS endpoint that the environment names; NULL: the system's */
	const char *(*getenv)(void *ctx,
			      const char *name); /* replaceable by tests; NULL: the process's */
	void *getenv_ctx;
	const struct clock *clock;
	struct log *log;	/* NULL: none */
	int process_timeout_ms; /* of credential_process; 0: 60 s */
};

enum creds_outcome { CREDS_SAME = 1 };

/* Reads nothing yet. NULL: out of memory. */
struct creds *creds_new(const struct creds_options *options);
void creds_free(struct creds *c);
/*
 * The credentials to sign with now. 0; or < 0: -ECANCELED; ERR_USAGE for a file that others can
 * read; ERR_STORE, retryable, where an endpoint has a hiccup, with retry_after_ms: until then every
 * caller is told the same, and the endpoint is left alone; ERR_CREDENTIALS with a sentence that
 * says where was looked, in order, and what was found there.
 */
int creds_get(struct creds *c, struct creds_value *ret, const struct cancel *cancel, struct err *e);
#define CREDS_RENEW_MIN_MS 10000 /* between two fetches that the store is the reason for */
/*
 * The store has refused these; `sure`: because of them, and not because of what was asked. 0:
 * creds_get has others now. CREDS_SAME: there are no others. < 0 as creds_get: others could not be
 * had.
 */
int creds_renew(struct creds *c, const struct creds_value *refused, bool sure,
		const struct cancel *cancel, struct err *e);
/* Where the credentials of the last successful creds_get came from, and until when they are valid: "the environment". Returns out. */
char *creds_describe(struct creds *c, char out[CREDS_SOURCE_MAX]);
void creds_value_wipe(struct creds_value *v);
DEFINE_CLEANUP(struct creds *, creds_free);

#endif
