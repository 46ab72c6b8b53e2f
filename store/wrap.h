/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other wrappers. Each steals `below` on success (NULL: out of memory) and frees it with itself.
 */
#ifndef SSTABLEFS_STORE_WRAP_H
#define SSTABLEFS_STORE_WRAP_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/store.h"

/*
 * Rate limit: bodies in both directions together, in bytes a second. A request reserves its bytes in order of arrival, and starts when they are paid for: those of a put and
 * of a range, and what a get of a whole object says that it expects. What was expected and did not come is given back at once, and those who wait start that much earlier; what came
 * beyond it is paid for by those behind. Time without requests counts as paid for at most one second. So from the start on never more than rate * time bytes pass, plus whole objects
 * under way that said nothing; in any other time never more than rate * (time + 1 s), and what is under way.
 */
struct store *rate_store_new(struct store *below, uint64_t bytes_per_second,
			     const struct clock *clock);

/* The line of reservations, pure: when it is free again. */
struct rate_line {
	uint64_t bytes_per_second;
	int64_t free_ns;
	int64_t moved_ns; /* by how much all that wait were moved so far */
};
/* Reserves at the end of the line; returns when the bytes are paid for, unless the line is moved. */
int64_t rate_line_reserve(struct rate_line *line, int64_t now_ns, uint64_t bytes);
/* What was reserved turned out to be so many bytes more, or less: moves all of the line. */
void rate_line_move(struct rate_line *line, int64_t bytes);

/*
 * Counts into metrics (may be NULL) and keeps the sums of struct trace_counts: store_requests_total{method="put",outcome="ok"}… (outcomes ok, not_found,
 * precondition, conflict, error), store_request_microseconds_total{method="put"}…, store_bytes_total{direction="in"} (bodies of gets) and "out" (of puts).
 * A listing counts one request for every STORE_LIST_PAGE entries or part of it.
 */
struct trace_counts {
	uint64_t put, get, head, list, delete_many, bytes_in, bytes_out, errors;
};
struct store *trace_store_new(struct store *below, const struct clock *clock,
			      struct metrics *metrics);
void trace_store_counts(struct store *trace, struct trace_counts *ret);

/*
 * Faults, for tests: before each request `decide` is asked what shall happen to it.
 */
enum fault {
	FAULT_NONE,
	FAULT_BEFORE,
	FAULT_LOST,
	FAULT_AFTER,
	FAULT_TRUNCATE,
	FAULT_FLIP_BIT,
	FAULT_EMPTY,
	FAULT_FULL
};
/*
 * BEFORE: fails (retryable) and nothing was carried out. LOST: the same, but a put says outcome_unknown. AFTER: carried out, then fails (retryable; a put with outcome_unknown).
 * TRUNCATE, FLIP_BIT, EMPTY: the body of a get that succeeds, as a lying network would give it: a whole object ends after half (a bit in the
 * middle is another; is empty), a range has zeros in its second half (everywhere). Other methods do not feel these three.
 * FULL: a put fails with -ENOSPC, and nothing was carried out. Other methods do not feel it.
 * `decide` may be called from any thread; `key` is the prefix of a listing, the first key of a delete.
 */
typedef enum fault fault_fn(void *ctx, const char *method, const char *key);
struct store *fault_store_new(struct store *below, fault_fn *decide, void *ctx);

#endif
