/* SPDX-License-Identifier: Apache-2.0 */
/* A store over another one that counts requests and does things to them. */
#ifndef SSTABLEFS_TESTS_FIXTURE_WIRE_H
#define SSTABLEFS_TESTS_FIXTURE_WIRE_H

#include <stdatomic.h>
#include <stdbool.h>
#include "store/store.h"

/* What happens to requests on their way; any field may be set at any time. */
struct fixture_wire {
	_Atomic unsigned gets, lists;
	_Atomic unsigned flips;		/* so many answers get a flipped bit, at their last byte */
	_Atomic unsigned flip_head;	/* the bit is in the first byte instead */
	_Atomic int fail;		/* every get fails with this code (ERR_STORE); 0: none */
	_Atomic(const char *) fail_key; /* only where the key contains this */
	_Atomic bool deletes_hang;	/* until they are cancelled */
	/* Called before each get, from its thread. */
	void (*before_get)(void *ctx, const struct store_get *req);
	void *ctx;
};

/* Steals below. NULL: out of memory, or below is NULL. */
struct store *fixture_wire_new(struct store *below, struct fixture_wire **ret);

#endif
