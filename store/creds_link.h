/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the links of the chain of credentials have in common: the world that they look at, what they
 * find, and the trail of what they said. Any thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_LINK_H
#define SSTABLEFS_STORE_CREDS_LINK_H

#include "store/creds.h"

#define CREDS_TRAIL_MAX 960

struct creds_world { /* never changes */
	char *credentials_file, *profile, *region, *ca_file;
	const char *(*getenv)(void *ctx, const char *name);
	void *getenv_ctx;
	const struct clock *clock;
	int process_timeout_ms;
};

struct creds_found { /* wiped by creds_value_wipe(&found->value) */
	struct creds_value value;
	int64_t expires_ns;	       /* wall clock; 0: never */
	char source[CREDS_SOURCE_MAX]; /* "the environment" */
};

/* One walk along the chain. */
struct creds_attempt {
	const struct creds_world *world;
	const struct cancel *cancel;
	bool had_some;		     /* the chain has given credentials before */
	bool asked;		     /* an endpoint or a program, not only files */
	char trail[CREDS_TRAIL_MAX]; /* the links that had nothing, and why; cut off where too long */
};

enum creds_link_outcome { CREDS_LINK_ABSENT = 1 };

/*
 * A link: 0; CREDS_LINK_ABSENT: it is not set up here, which it has noted in the trail; < 0: it is
 * set up and failed, and no later link is asked.
 */
typedef int creds_link_fn(struct creds_attempt *a, struct creds_found *ret, struct err *e);

/* Notes "link (why)" in the trail. Returns CREDS_LINK_ABSENT. */
int creds_link_absent(struct creds_attempt *a, const char *link, const char *fmt, ...)
	_printf_(3, 4);
/* The variable, or NULL where it is not set or empty. */
const char *creds_link_variable(const struct creds_world *w, const char *name);
/*
 * Copies a field that becomes a header value: no blanks, no control bytes, never cut. 0, or
 * ERR_CREDENTIALS with a sentence that does not repeat it.
 */
int creds_link_keep(char *out, size_t size, const char *text, const char *what, struct err *e);
/* RFC 3339 with "Z" or an offset such as "+00:00" to nanoseconds: 0 or -EINVAL. */
int creds_link_time(const char *text, int64_t *ret_wall_ns);
/* The text of a token file without the blanks around it, a new string to be wiped by creds_link_free_secret. */
int creds_link_token_file(const char *path, char **ret, struct err *e);
/* Wipes and frees. */
void creds_link_free_secret(char **text);

#endif
