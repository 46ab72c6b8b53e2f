/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's hold on a backup (ARCHITECTURE.md section 4, "Reader"): a pin is written, and only then the record is read. Only if that says
 * COMMITTED is the pin valid; otherwise it is withdrawn, and the backup does not exist. A thread renews it until the end. A reader whose pin was
 * fenced, or could not be renewed for too long, reads no more: its backup may be on its way to be deleted.
 */
#ifndef SSTABLEFS_CATALOG_HOLD_H
#define SSTABLEFS_CATALOG_HOLD_H

#include "base/log.h"
#include "catalog/pin.h"

struct hold_options {
	struct repo *repo;
	const struct record *record; /* as found; read again here. Only used by hold_begin */
	const char *purpose;	     /* "mount", "restore": for people */
	int64_t renew_ms, limit_ms;  /* 0: those of a backup's record, 120,000 and 900,000 */
	bool by_hand;		     /* no thread renews it: its owner calls hold_tick */
	struct log *log;	     /* may be NULL: renewals that failed, a pin that stays */
};

struct hold;

enum { HOLD_READ_ONLY = 1 };

/*
 * 0: held. HOLD_READ_ONLY: the store lets us write nothing, so there is no pin (*ret NULL; *e says why): whoever reads goes on without one. -ENOENT
 * (ERR_NOT_FOUND): there is no such backup any more. Other failures leave no pin that is renewed.
 */
int hold_begin(const struct hold_options *o, struct hold **ret, const struct cancel *c,
	       struct err *e);
/* Deletes the pin; where that may not be, marks it ENDED. Within 10 s: a store that does not answer keeps the pin until a collector fences it. */
void hold_end(struct hold *h);
/* The same, until *c is set: for who ends many. */
void hold_end_until(struct hold *h, const struct cancel *c);
DEFINE_CLEANUP(struct hold *, hold_end);
/* Frees it and leaves the pin to the collectors. */
void hold_abandon(struct hold *h);

/* 0, or -EIO and why: the pin was lost. Any thread. NULL is fine: 0. */
int hold_check(struct hold *h, struct err *e);
/* With by_hand, about once a second and from one thread at a time: renews it where it is time to, which may wait for the store. */
void hold_tick(struct hold *h);
/* Whether it is time to. Any thread. */
bool hold_is_due(const struct hold *h);
/* What hold_tick asks of the store now gives up soon. Any thread; only hold_end may follow. */
void hold_stop(struct hold *h);
/* Set when the pin is lost. */
const struct cancel *hold_lost(const struct hold *h);
/* The pin as it was written first; times and sequence are not those of now. */
const struct pin *hold_pin(const struct hold *h);
/* Seconds since the last renewal that went well began. */
int64_t hold_age_s(struct hold *h);

#endif
