/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of worker threads that run jobs in the order in which they came. Threads start on demand, up to a maximum, with
 * small stacks (256 KiB) and every signal blocked; an idle pool keeps its threads.
 */
#ifndef SSTABLEFS_BASE_POOL_H
#define SSTABLEFS_BASE_POOL_H

#include <stddef.h>
#include "base/util.h"

struct pool;
typedef void pool_fn(void *arg);

/* `name` (up to 15 bytes) names the threads. NULL: out of memory. */
struct pool *pool_new(const char *name, unsigned max_threads);
/* 0, or -ENOMEM/-EAGAIN where no job could be queued. Never blocks. May be called from a job. */
int pool_submit(struct pool *p, pool_fn *fn, void *arg);
/* Blocks until no job is queued or running. Not from a job. */
void pool_drain(struct pool *p);
/* Drains, stops the threads and frees. */
void pool_free(struct pool *p);
size_t pool_pending(struct pool *p); /* queued and running */
DEFINE_CLEANUP(struct pool *, pool_free);

#endif
