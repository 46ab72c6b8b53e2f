/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to stop, seen by every thread that holds the token. Long operations look at it at each step; store requests
 * that are under way are given up within 100 ms and return -ECANCELED. Setting it is async-signal-safe.
 */
#ifndef SSTABLEFS_BASE_CANCEL_H
#define SSTABLEFS_BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct cancel {
	atomic_int reason; /* 0, or why: a signal number; none: -1, or 1 where no signal can set it */
	atomic_uint
		waits; /* grows while somebody waits who looks at it: who waits for him knows that he lives */
};

/* In the loop of a wait that may take minutes, such as for another program. */
static inline void cancel_waits(const struct cancel *c)
{
	if (c)
		atomic_fetch_add(&((struct cancel *)(size_t)c)->waits, 1);
}

static inline void cancel_set(struct cancel *c, int reason)
{
	atomic_store(&c->reason, reason);
}

/* NULL never cancels. */
static inline bool cancel_is_set(const struct cancel *c)
{
	return c != NULL && atomic_load(&((struct cancel *)(size_t)c)->reason) != 0;
}

#endif
