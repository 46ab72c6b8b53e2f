/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes failed requests again: full-jitter exponential back-off, with a budget. Only failures that the store below calls retryable, and
 * STORE_CONFLICT. A put whose outcome is unknown is made again only where that cannot double it: IF_ABSENT and IF_MATCH puts are forwarded with outcome_unknown set (the
 * caller resolves them: nonce and sequence number, or the own key), unconditional puts are made again.
 *
 * All requests of a store share a budget of repetitions, so that 64 streams do not storm a store that is down: each repetition takes a token, and waits
 * where there is none. Time brings tokens back, and good answers do. Nothing is given up for the budget alone, but its waits count.
 */
#ifndef SSTABLEFS_STORE_RETRY_H
#define SSTABLEFS_STORE_RETRY_H

#include "base/clock.h"
#include "base/metrics.h"
#include "store/store.h"

struct retry_options {
	unsigned max_attempts; /* 0: 32, which the time below hardly allows */
	int base_ms, cap_ms;   /* 0: 100, 10,000 */
	/*
	 * Gives up when this much time has passed since the first attempt failed; 0: 45,000. Not since it began: it may have waited for the rate limit
	 * for minutes, and would then never be made again.
	 */
	int total_ms;
	/* The same for a store that has never answered: it is not away, the URL is wrong or the network is not up. 0: 10,000 */
	int unknown_ms;
	const struct clock *clock;
	void (*sleep_ms)(
		void *ctx, int ms,
		const struct cancel *c); /* replaceable by tests; NULL: waits, looking at cancel */
	void *sleep_ctx;
	struct metrics *metrics;
};

#define RETRY_AFTER_MAX_MS 20000

/*
 * Policy, pure. How long to wait before attempt n (1 = first repetition), from 32 random bits: what the server asked for (at most
 * RETRY_AFTER_MAX_MS), and behind it somewhere in a window that doubles from base_ms to cap_ms, but before left_ms have passed: the time that is
 * there is used up, whatever chance says. Where what the server asked for (or the budget) alone takes longer, the request is given up at once.
 */
int retry_delay_ms(const struct retry_options *o, unsigned attempt, uint32_t random,
		   int retry_after_ms, int64_t left_ms);

/* Policy, pure: whether a request that ended with r (and *e, where r < 0) may be made again. `cond` counts for puts only. */
bool retry_may_repeat(int r, const struct err *e, bool is_put, enum store_cond cond);

/* Policy, pure: the budget. */
#define RETRY_BUDGET_TOKENS 32 /* at most, and to begin with */
#define RETRY_BUDGET_PER_SECOND 10
#define RETRY_BUDGET_GOOD_ANSWERS 10 /* as many bring a token */

struct retry_budget {
	int64_t thousandths; /* of a token; < 0: so many are promised */
	int64_t at_ms;
};

void retry_budget_init(struct retry_budget *b, int64_t now_ms);
/* Takes a token; how long to wait until it is there. */
int retry_budget_take(struct retry_budget *b, int64_t now_ms);
/* A token that was taken and is not used. */
void retry_budget_return(struct retry_budget *b);
void retry_budget_good_answer(struct retry_budget *b);

/*
 * A request that is given up returns what its last attempt returned (STORE_CONFLICT too). A listing that fails on the way goes on behind the last
 * entry that was handed out, with a fresh count of attempts. Steals `below` on success. NULL: out of memory. */
struct store *retry_store_new(struct store *below, const struct retry_options *options);

#endif
