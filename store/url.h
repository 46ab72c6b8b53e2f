/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repository URLs (CLI.md): /path, file:///path, s3://BUCKET[/PREFIX][?endpoint=…&region=…&addressing=…&ca=…&profile=…], and the stack of
 * stores that such a URL stands for: backend, trace, rate limit, retry.
 */
#ifndef SSTABLEFS_STORE_URL_H
#define SSTABLEFS_STORE_URL_H

#include "base/log.h"
#include "base/metrics.h"
#include "store/s3.h"
#include "store/store.h"

enum url_scheme { URL_DIRECTORY, URL_S3 };

struct url { /* every string is owned; "" and NULL are told apart: NULL = not given */
	enum url_scheme scheme;
	char *path; /* directory: absolute or relative as given */
	char *bucket, *prefix, *endpoint, *region, *ca, *profile;
	enum s3_addressing addressing;
};

/* 0, or -EINVAL with ERR_USAGE and a sentence; userinfo, unknown schemes and unknown parameters are refused by name. %XX is decoded. */
int url_parse(const char *text, struct url *ret, struct err *e);
void url_deinit(struct url *u);
/* The URL without anything that need not be shown; for messages. New string or NULL. */
char *url_display(const struct url *u);

struct url_open_options {
	bool create; /* directory: make it */
	unsigned connections;
	uint64_t limit_rate;			     /* bytes a second, 0: none */
	const char *credentials_file, *profile, *ca; /* of the configuration; the URL's own win */
	const struct clock *clock;
	struct log *log;
	struct metrics *metrics;
	int retry_total_ms; /* 0: the default of retry.h */
};

enum url_outcome { URL_NO_CREDENTIALS = 1 };

/*
 * Looks for the credentials as the store would, and says where they are from ("profile [x] of
 * FILE"). 0; URL_NO_CREDENTIALS for a directory; < 0 as creds_get.
 */
int url_find_credentials(const struct url *u, const struct url_open_options *o,
			 char ret_source[CREDS_SOURCE_MAX], const struct cancel *cancel,
			 struct err *e);

/* The whole stack. *ret_trace (may be NULL) is the trace wrapper inside it, borrowed, for trace_store_counts. */
int url_open_store(const struct url *u, const struct url_open_options *o, struct store **ret,
		   struct store **ret_trace, struct err *e);

#endif
