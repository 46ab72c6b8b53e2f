/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified values by object, within a bound of bytes: the least recently used that nobody holds go first. Single flight: of several threads that want a
 * value that is not there, one loads it and the others wait for it. Any thread; no lock is held while a value is loaded.
 */
#ifndef SSTABLEFS_CATALOG_KEEP_H
#define SSTABLEFS_CATALOG_KEEP_H

#include "base/cancel.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/ulid.h"

struct keep_key { /* an object of a writer: two objects of equal content are two keys */
	struct ulid writer;
	struct id256 id;
};

struct keep;
struct keep_item; /* a value that is held: stays until keep_release */

/* free_value frees a value that was handed over. NULL: out of memory. */
struct keep *keep_new(uint64_t max_bytes, void (*free_value)(void *value));
void keep_free(struct keep *k); /* nothing may be held */
DEFINE_CLEANUP(struct keep *, keep_free);

/* The value if it is there, held; else NULL. Never waits. */
struct keep_item *keep_find(struct keep *k, const struct keep_key *key);

/*
 * 0: *ret is held and filled. KEEP_CLAIMED: the caller must load the value and end with keep_fill or keep_fail. < 0: -ECANCELED, or the
 * error with which another thread's load failed.
 */
enum { KEEP_CLAIMED = 1 };
int keep_claim(struct keep *k, const struct keep_key *key, struct keep_item **ret,
	       const struct cancel *c, struct err *e);
/* Hands the value over; the item is now held by the caller. */
void keep_fill(struct keep *k, struct keep_item *claimed, void *value, size_t value_bytes);
/* Gives up with the error r, which every waiting thread gets too (but -ECANCELED: then the next of them loads). */
void keep_fail(struct keep *k, struct keep_item *claimed, int r, const struct err *e);

/* Hands over a value that came by another way; freed at once where the key is already there. */
void keep_add(struct keep *k, const struct keep_key *key, void *value, size_t value_bytes);

void *keep_value(const struct keep_item *item);
size_t keep_value_bytes(const struct keep_item *item);
void keep_release(struct keep *k, struct keep_item *item);

#endif
