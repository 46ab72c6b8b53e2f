/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened in a run: its requests in the order in which they were carried out; a number that is the same for two runs exactly where they differ in nothing but
 * the order of requests that do not touch a common key, or only read it; and which steps of backups and collectors met on a key.
 */
#ifndef SSTABLEFS_TESTS_TRACE_H
#define SSTABLEFS_TESTS_TRACE_H

#include "tests/explore/sched.h"

struct trace;

struct trace *trace_new(void);
void trace_free(struct trace *t);
/* Forgets the run, not the pairs. */
void trace_reset(struct trace *t, bool print);
/* One request, after it was carried out (or not). */
void trace_add(struct trace *t, const struct request *q);
/* A line that only a printed trace shows. */
void trace_note(struct trace *t, const char *fmt, ...) _printf_(2, 3);
/* Of the run so far. */
uint64_t trace_hash(const struct trace *t);
size_t trace_length(const struct trace *t);

/* How often a step of a backup came directly before (of two: [0]) or after ([1]) a step of a collector that touched one of its keys, one of both writing. */
struct trace_pairs {
	uint32_t count[2][STEP_COUNT]
		      [STEP_COUNT]; /* [..][step of the backup][step of the collector] */
};
const struct trace_pairs *trace_pairs(const struct trace *t);
void trace_print_pairs(const struct trace_pairs *p);

#endif
