/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that calls a function at once, and then ten times a second, until it is stopped. */
#ifndef SSTABLEFS_CATALOG_TICKER_H
#define SSTABLEFS_CATALOG_TICKER_H

#include "base/err.h"

struct ticker;
/* `name` (up to 15 bytes) names the thread. */
int ticker_start(const char *name, void (*fn)(void *ctx), void *ctx, struct ticker **ret,
		 struct err *e);
/* Waits for a call that is under way, and joins. NULL is fine. */
void ticker_stop(struct ticker *t);

#endif
