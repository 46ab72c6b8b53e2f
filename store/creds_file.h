/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared files of AWS, ~/.aws/credentials and ~/.aws/config, and what they say of a profile. Any
 * thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_FILE_H
#define SSTABLEFS_STORE_CREDS_FILE_H

#include <sys/stat.h>
#include "store/creds_link.h"

struct creds_file_stamp { /* tells two states of a file apart; all 0: it cannot be looked at */
	struct timespec mtime;
	off_t size;
	ino_t inode;
};

struct creds_files {
	char *credentials, *config; /* NULL: not to be read */
};

struct creds_file_state {
	struct creds_file_stamp credentials, config;
};

enum creds_file_key {
	CREDS_ACCESS_KEY,
	CREDS_SECRET_KEY,
	CREDS_SESSION_TOKEN,
	CREDS_ROLE_ARN,
	CREDS_SOURCE_PROFILE,
	CREDS_CREDENTIAL_SOURCE,
	CREDS_WEB_IDENTITY_TOKEN_FILE,
	CREDS_ROLE_SESSION_NAME,
	CREDS_EXTERNAL_ID,
	CREDS_DURATION_SECONDS,
	CREDS_MFA_SERIAL,
	CREDS_PROCESS,
	CREDS_REGION,
	CREDS_SSO_SESSION,
	CREDS_SSO_START_URL,
	CREDS_FILE_KEYS
};

struct creds_profile {
	char *name;
	bool seen;		     /* in either file */
	bool keys_in_config;	     /* else in the credentials file */
	char *text[CREDS_FILE_KEYS]; /* NULL: not given, or empty */
};

/* By the environment: $AWS_SHARED_CREDENTIALS_FILE and $AWS_CONFIG_FILE, else those of $HOME; the world's credentials_file stands alone. 0 or -ENOMEM. */
int creds_files_init(struct creds_files *f, const struct creds_world *w);
void creds_files_deinit(struct creds_files *f);
struct creds_file_state creds_files_look(const struct creds_files *f);
bool creds_files_same(const struct creds_file_state *a, const struct creds_file_state *b);
/*
 * What both files say of a profile; the credentials file wins, and keys are never mixed from both.
 * Files that do not exist say nothing. 0 (also where neither knows the profile), -ENOMEM,
 * ERR_USAGE where others can read secrets or write commands, ERR_CREDENTIALS.
 */
int creds_files_profile(const struct creds_files *f, const char *name, struct creds_profile *ret,
			struct err *e);
void creds_profile_deinit(struct creds_profile *p);

#endif
