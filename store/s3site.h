/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store learns of its server while it works, and keeps for its life: in which region the
 * bucket lies, where it is reached there, how far this host's clock is off, and whether the server
 * checks what it is sent. Any thread.
 */
#ifndef SSTABLEFS_STORE_S3SITE_H
#define SSTABLEFS_STORE_S3SITE_H

#include "base/clock.h"
#include "base/log.h"
#include "store/s3addr.h"
#include "store/s3sum.h"

#define S3SITE_PLACES_MAX 8 /* a server that names more regions than that is not believed */

struct s3place {
	struct s3addr addr;
	char region[S3ADDR_REGION_MAX];
};

struct s3site_options {
	const char *bucket;
	const char *endpoint; /* NULL: AWS */
	const char *region;   /* to begin with */
	enum s3_addressing addressing;
	const struct clock *clock;
	struct log *log; /* borrowed as long as the site lives; may be NULL */
};

struct s3site;

/* 0; -EINVAL with ERR_USAGE as s3addr_init; -ENOMEM. */
int s3site_new(const struct s3site_options *options, struct s3site **ret, struct err *e);
void s3site_free(struct s3site *s);
/* Where to send requests now; valid as long as the site, unchanged. */
const struct s3place *s3site_place(struct s3site *s);
/*
 * A request that was sent to `was` learned that the bucket lies in `region`. True: another attempt
 * goes to another place (somebody else may have learned it before).
 */
bool s3site_learn_region(struct s3site *s, const struct s3place *was, const char *region);

/* The server's wall time, as far as it is known: this host's, or corrected by what was learned. */
int64_t s3site_wall_ns(struct s3site *s);
/* A request that was signed with s3site_wall_ns was refused for it, by an answer of server_ns. */
void s3site_learn_clock(struct s3site *s, int64_t server_ns);

/* Whether the server checks the bodies of PUTs itself. */
enum s3sum_trust s3site_trust(struct s3site *s);
/* What refuses is never trusted again. */
void s3site_learn_trust(struct s3site *s, enum s3sum_trust trust);

DEFINE_CLEANUP(struct s3site *, s3site_free);

#endif
