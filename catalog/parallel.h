/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on many things, by several threads, begun in order. */
#ifndef SSTABLEFS_CATALOG_PARALLEL_H
#define SSTABLEFS_CATALOG_PARALLEL_H

#include "base/err.h"

/* Thing i of `count`, done by thread `worker` (0 to threads - 1). < 0 ends everything: what is under way is finished, nothing new is begun. */
typedef int parallel_fn(void *ctx, size_t i, unsigned worker, struct err *e);

/* Blocks until all is done. The failure that is returned is the first in time. With one thread or one thing the caller's own thread does it. `name` as for pool_new. */
int parallel_run(const char *name, unsigned threads, size_t count, parallel_fn *fn, void *ctx,
		 struct err *e);

#endif
