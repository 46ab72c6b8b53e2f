/* SPDX-License-Identifier: Apache-2.0 */
/* W4 of ARCHITECTURE.md section 4: while a backup runs, or a reader holds a pin, a thread writes the record or pin again every few minutes. It owns the register until it is stopped. */
#ifndef SSTABLEFS_CATALOG_RENEW_H
#define SSTABLEFS_CATALOG_RENEW_H

#include "base/log.h"
#include "catalog/register.h"
#include "catalog/work.h"

#define RENEW_MS 120000
#define RENEW_LIMIT_MS 900000

struct renew_options {
	struct reg *reg;
	struct work *
		work; /* failed where the document is lost, was not renewed for limit_ms, or is older than greatest_age_ms */
	int64_t renew_ms, limit_ms;
	int64_t greatest_age_ms; /* 0: none */
	int64_t age_ms;		 /* how old the document was when renew_start is called */
	struct log *log;	 /* may be NULL: renewals that failed and are tried again */
};

struct renew;
/* With a thread of its own that ticks. */
int renew_start(const struct renew_options *o, struct renew **ret, struct err *e);
/* Without: whoever made it calls renew_tick, about once a second, from one thread at a time. NULL: out of memory. */
struct renew *renew_new(const struct renew_options *o);
/* Renews where it is time to. May wait for the store. */
void renew_tick(struct renew *n);
void renew_stop(struct renew *n);
DEFINE_CLEANUP(struct renew *, renew_stop);

/* Whether the last renewal is so recent, and a backup so young, that it may be committed: 0, or < 0. */
int renew_check(const struct renew_options *o, int64_t started_elapsed_ns, struct err *e);

#endif
