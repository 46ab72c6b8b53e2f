/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of one process or mount, by name, written out in Prometheus text format. A counter is a plain atomic; reading is exact per
 * counter, not across them. Names are constants: [a-z_]+, with an optional label set in braces.
 */
#ifndef SSTABLEFS_BASE_METRICS_H
#define SSTABLEFS_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/buf.h"

struct metrics;
struct metric {
	_Atomic uint64_t value;
};

struct metrics *metrics_new(void); /* NULL: out of memory */
void metrics_free(struct metrics *m);
/* The counter of that name, made at the first call (help may be NULL later). Never NULL: when memory is short a shared spare is returned. Lives as long as m. */
struct metric *metrics_counter(struct metrics *m, const char *name, const char *help);
static inline void metric_add(struct metric *c, uint64_t n)
{
	if (c)
		atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}
static inline void metric_set(struct metric *c, uint64_t n)
{
	if (c)
		atomic_store_explicit(&c->value, n, memory_order_relaxed);
}
static inline uint64_t metric_get(const struct metric *c)
{
	return c ? atomic_load_explicit(&((struct metric *)(uintptr_t)c)->value,
					memory_order_relaxed)
		 : 0;
}
/* Prometheus text: names that end in _total are counters, the others gauges. Sorted by name, each with "sstablefs_" before it. */
void metrics_format(struct metrics *m, struct wbuf *out);
DEFINE_CLEANUP(struct metrics *, metrics_free);

#endif
