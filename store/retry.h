/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes failed requests again: full-jitter exponential back-off, with a budget. Only failures that the store below calls retryable, and
 * STORE_CONFLICT. A put whose outcome is unknown is made again only where that cannot double it: IF_ABSENT and IF_MATCH puts are forwarded with outcome_unknown set (the
 * caller resolves them: nonce and sequence number, or the own key), unconditional puts are made again.
 */
#ifndef SSTABLEFS_STORE_RETRY_H
#define SSTABLEFS_STORE_RETRY_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/store.h"

struct retry_options {
	unsigned max_attempts; /* 0: 8 */
	int base_ms, cap_ms;   /* 0: 100, 20,000 */
	int total_ms; /* gives up when this much time has passed since the first attempt; 0: 60,000 */
	const struct clock *clock;
	void (*sleep_ms)(
		void *ctx, int ms,
		const struct cancel *c); /* replaceable by tests; NULL: waits, looking at cancel */
	void *sleep_ctx;
	struct metrics *metrics;
};

/*
 * Policy, pure. How long to wait before attempt n (1 = first repetition), from 32 random bits: what the server asked for, and behind it
 * somewhere in a window that doubles from base_ms to cap_ms. Where that would end after total_ms, the request is given up at once.
 */
int retry_delay_ms(const struct retry_options *o, unsigned attempt, uint32_t random,
		   int retry_after_ms);

/* Policy, pure: whether a request that ended with r (and *e, where r < 0) may be made again. `cond` counts for puts only. */
bool retry_may_repeat(int r, const struct err *e, bool is_put, enum store_cond cond);

/*
 * A request that is given up returns what its last attempt returned (STORE_CONFLICT too). A listing that fails on the way goes on behind the last
 * entry that was handed out, with a fresh count of attempts. Steals `below` on success. NULL: out of memory. */
struct store *retry_store_new(struct store *below, const struct retry_options *options);

#endif
