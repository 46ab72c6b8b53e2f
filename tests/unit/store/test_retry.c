/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "store/retry.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/store/scripted.h"

#define AGAIN                                        \
	{                                            \
		.kind = ERR_STORE, .retryable = true \
	}
#define UNKNOWN                                                               \
	{                                                                     \
		.kind = ERR_STORE, .retryable = true, .outcome_unknown = true \
	}

/* Sleeping is the passing of time. */
struct sleeper {
	struct fake_clock fake;
	int slept[32];
	size_t count;
	struct cancel *cancel; /* set while asleep */
};

static void sleep_fake(void *ctx, int ms, const struct cancel *c)
{
	struct sleeper *s = ctx;

	if (s->count < ARRAY_SIZE(s->slept))
		s->slept[s->count] = ms;
	s->count++;
	s->fake.elapsed_ns += ms * 1000000LL;
	if (s->cancel)
		cancel_set(s->cancel, 2);
}

static struct store *retry_over(struct scripted *below, struct sleeper *s, unsigned max_attempts)
{
	struct retry_options o = {
		.max_attempts = max_attempts,
		.clock = &s->fake.clock,
		.sleep_ms = sleep_fake,
		.sleep_ctx = s,
	};
	struct store *store;

	fake_clock_init(&s->fake, 0);
	store = retry_store_new(&below->store, &o);
	cr_assert(store);
	return store;
}

Test(retry, the_delay_is_somewhere_in_a_window_that_doubles_up_to_a_cap)
{
	static const struct {
		unsigned attempt;
		uint32_t random;
		int retry_after_ms, left_ms, want_ms;
	} table[] = {
		{ 1, 0, 0, 45000, 0 },
		{ 1, UINT32_MAX, 0, 45000, 100 },
		{ 1, UINT32_MAX / 2, 0, 45000, 50 },
		{ 2, UINT32_MAX, 0, 45000, 200 },
		{ 3, UINT32_MAX, 0, 45000, 400 },
		{ 7, UINT32_MAX, 0, 45000, 6400 },
		{ 8, UINT32_MAX, 0, 45000, 10000 },
		{ 4000000000U, UINT32_MAX, 0, 45000, 10000 },
		{ 1, 0, 3000, 45000, 3000 },
		{ 1, UINT32_MAX, 3000, 45000, 3100 },
		{ 1, 0, -5, 45000, 0 },
		{ 9, UINT32_MAX, INT32_MAX, 45000, RETRY_AFTER_MAX_MS + 10000 },
		/* Chance ends with the time; what the server asked for does not. */
		{ 8, UINT32_MAX, 0, 7000, 6999 },
		{ 8, UINT32_MAX, 3000, 7000, 6999 },
		{ 8, 0, 7000, 7000, 7000 },
		{ 8, UINT32_MAX, 9000, 7000, 9000 },
	};
	struct retry_options defaults = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		cr_expect_eq(retry_delay_ms(&defaults, table[i].attempt, table[i].random,
					    table[i].retry_after_ms, table[i].left_ms),
			     table[i].want_ms, "row %zu", i);
}

Test(retry, only_what_cannot_be_doubled_is_repeated)
{
	static const struct {
		int r;
		struct err err;
		bool is_put;
		enum store_cond cond;
		bool want;
	} table[] = {
		{ 0, { 0 }, false, STORE_ALWAYS, false },
		{ STORE_NOT_FOUND, { 0 }, false, STORE_ALWAYS, false },
		{ STORE_PRECONDITION, { 0 }, true, STORE_IF_ABSENT, false },
		{ STORE_CONFLICT, { 0 }, true, STORE_IF_ABSENT, true },
		{ -EIO, AGAIN, false, STORE_ALWAYS, true },
		{ -EIO, { .kind = ERR_STORE }, false, STORE_ALWAYS, false },
		{ -EIO, UNKNOWN, false, STORE_ALWAYS, true },
		{ -EIO, AGAIN, true, STORE_IF_ABSENT, true },
		{ -EIO, UNKNOWN, true, STORE_ALWAYS, true },
		{ -EIO, UNKNOWN, true, STORE_IF_ABSENT, false },
		{ -EIO, UNKNOWN, true, STORE_IF_MATCH, false },
		{ -ENOSPC, AGAIN, false, STORE_ALWAYS, false },
		{ -ECANCELED, AGAIN, false, STORE_ALWAYS, false },
		{ -EINVAL, { .kind = ERR_USAGE, .retryable = true }, false, STORE_ALWAYS, false },
		{ -EACCES,
		  { .kind = ERR_CREDENTIALS, .retryable = true },
		  false,
		  STORE_ALWAYS,
		  false },
		{ -EBADMSG, { .kind = ERR_CORRUPT, .retryable = true }, false, STORE_ALWAYS, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		cr_expect_eq(retry_may_repeat(table[i].r, &table[i].err, table[i].is_put,
					      table[i].cond),
			     table[i].want, "row %zu", i);
}

Test(retry, a_failure_that_passes_is_not_seen)
{
	static const struct step steps[] = { { .r = -EIO, .err = AGAIN },
					     { .r = -ETIMEDOUT, .err = AGAIN },
					     { .r = 0 } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	struct err e = ERR_INIT;

	cr_assert_eq(store_put_bytes(s, "k", "x", 1, STORE_ALWAYS, NULL, NULL, NULL, &e), 0);
	cr_assert_eq(below.asked, 3);
	cr_assert_eq(sleeper.count, 2);
	cr_assert_eq(e.kind, ERR_NONE);
}

Test(retry, an_outcome_after_a_failure_leaves_the_error_untouched)
{
	static const struct step steps[] = { { .r = -EIO, .err = AGAIN },
					     { .r = STORE_NOT_FOUND } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	struct err e = ERR_INIT;

	cr_assert_eq(store_head(s, "k", NULL, NULL, &e), STORE_NOT_FOUND);
	cr_assert_eq(e.kind, ERR_NONE);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), STORE_NOT_FOUND);
}

Test(retry, it_gives_up_after_the_last_attempt_and_says_so)
{
	static const struct step steps[] = { { .r = -EIO,
					       .err = { .kind = ERR_STORE,
							.retryable = true,
							.http_status = 503,
							.message = "slow down" } } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 3);
	struct err e = ERR_INIT;

	cr_assert_eq(store_head(s, "k", NULL, NULL, &e), -EIO);
	cr_assert_eq(below.asked, 3);
	cr_assert_eq(e.kind, ERR_STORE);
	cr_assert_eq(e.http_status, 503);
	cr_assert_str_eq(e.message, "given up after 3 attempts: slow down");
	cr_assert_str_eq(e.key, "k");
}

Test(retry, it_gives_up_when_the_time_is_over)
{
	static const struct step steps[] = { { .r = -EIO,
					       .err = { .kind = ERR_STORE,
							.retryable = true,
							.http_status = 503,
							.retry_after_ms = 25000 } } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 100);

	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	/* What the server asks for counts for 20 s, twice; the third time would end behind 45 s. */
	cr_assert_eq(below.asked, 3);
	cr_assert(sleeper.slept[0] >= 20000 && sleeper.slept[0] <= 20100);
	cr_assert(sleeper.fake.elapsed_ns < 45000000000LL);
}

/* Takes its time, and is gone at first. */
struct outage {
	struct store store;
	struct sleeper *sleeper;
	int64_t first_ns, back_ns;
	unsigned asked;
};

static int outage_head(struct store *s, const char *key, struct store_meta *ret,
		       const struct cancel *c, struct err *e)
{
	struct outage *o = (struct outage *)s;
	int64_t *now_ns = &o->sleeper->fake.elapsed_ns;

	if (o->asked++ == 0)
		*now_ns += o->first_ns;
	if (strcmp(key, "known") == 0)
		return STORE_NOT_FOUND;
	if (*now_ns >= o->back_ns)
		return 0;
	err_set(e, ERR_STORE, -EIO, "gone");
	e->retryable = true;
	return -EIO;
}

static void outage_free(struct store *s)
{
}

static const struct store_ops outage_ops = { .head = outage_head, .free = outage_free };

/* A store that refuses connections until `back_ns`, and one with retries before it; random bits count up from `random`. */
static struct store *outage_store(struct outage *below, struct sleeper *sleeper, int64_t back_ns,
				  uint8_t random)
{
	struct retry_options o = { .clock = &sleeper->fake.clock,
				   .sleep_ms = sleep_fake,
				   .sleep_ctx = sleeper };

	*below =
		(struct outage){ .store = { &outage_ops }, .sleeper = sleeper, .back_ns = back_ns };
	fake_clock_init(&sleeper->fake, 0);
	sleeper->fake.next_random = random;
	return retry_store_new(&below->store, &o);
}

Test(retry, a_store_that_is_gone_for_half_a_minute_is_waited_for)
{
	/* Connections are refused at once, and chance chooses the delays: many tries. */
	for (int i = 0; i < 200; i++) {
		struct sleeper sleeper = { 0 };
		struct outage below;
		_cleanup_(store_freep) struct store *s =
			outage_store(&below, &sleeper, 30000000000LL, (uint8_t)i);

		cr_assert_eq(store_head(s, "known", NULL, NULL, NULL), STORE_NOT_FOUND);
		cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), 0, "%d", i);
		cr_assert_lt(below.asked, 32);
	}
}

Test(retry, a_store_that_never_answered_is_given_up_soon)
{
	struct sleeper sleeper = { 0 };
	struct outage below;
	_cleanup_(store_freep) struct store *s = outage_store(&below, &sleeper, 30000000000LL, 0);

	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	cr_assert_lt(sleeper.fake.elapsed_ns, 10000000000LL);
	cr_assert_gt(below.asked, 3);
}

Test(retry, all_of_the_time_is_used_before_a_store_is_given_up)
{
	for (int i = 0; i < 200; i++) {
		struct sleeper sleeper = { 0 };
		struct outage below;
		_cleanup_(store_freep) struct store *s =
			outage_store(&below, &sleeper, 9990000000LL, (uint8_t)i);

		cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), 0, "%d", i);
	}
}

Test(retry, what_waited_long_for_its_turn_is_repeated_all_the_same)
{
	struct sleeper sleeper = { 0 };
	struct outage below = { .store = { &outage_ops },
				.sleeper = &sleeper,
				.first_ns = 300000000000LL,
				.back_ns = 300000000001LL };
	struct retry_options o = { .clock = &sleeper.fake.clock,
				   .sleep_ms = sleep_fake,
				   .sleep_ctx = &sleeper };
	_cleanup_(store_freep) struct store *s = NULL;

	fake_clock_init(&sleeper.fake, 0);
	s = retry_store_new(&below.store, &o);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), 0);
	cr_assert_eq(below.asked, 2);
}

/* ---- the budget ---- */

Test(retry, a_budget_is_spent_at_once_and_then_as_time_brings_it)
{
	struct retry_budget b;

	retry_budget_init(&b, 1000);
	for (int i = 0; i < RETRY_BUDGET_TOKENS; i++)
		cr_expect_eq(retry_budget_take(&b, 1000), 0);
	cr_expect_eq(retry_budget_take(&b, 1000), 100);
	cr_expect_eq(retry_budget_take(&b, 1000), 200);
	cr_expect_eq(retry_budget_take(&b, 1200), 100);
	retry_budget_return(&b);
	cr_expect_eq(retry_budget_take(&b, 1200), 100);
	for (int i = 0; i < RETRY_BUDGET_GOOD_ANSWERS; i++)
		retry_budget_good_answer(&b);
	cr_expect_eq(retry_budget_take(&b, 1200), 100);
	cr_expect_eq(retry_budget_take(&b, 1000000), 0);
	for (int i = 1; i < RETRY_BUDGET_TOKENS; i++)
		cr_expect_eq(retry_budget_take(&b, 1000000), 0);
	cr_expect_eq(retry_budget_take(&b, 1000000), 100, "never more than it begins with");
}

Test(retry, repetitions_without_a_token_wait_for_one)
{
	static const struct step steps[] = { { .r = -EIO, .err = AGAIN } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	struct retry_options o = { .max_attempts = RETRY_BUDGET_TOKENS + 10,
				   .base_ms = 1,
				   .cap_ms = 1,
				   .clock = &sleeper.fake.clock,
				   .sleep_ms = sleep_fake,
				   .sleep_ctx = &sleeper };
	_cleanup_(store_freep) struct store *s = NULL;

	fake_clock_init(&sleeper.fake, 0);
	s = retry_store_new(&below.store, &o);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	cr_assert_eq(below.asked, RETRY_BUDGET_TOKENS + 10);
	/* Nine repetitions more than there are tokens, ten tokens a second. */
	cr_assert_geq(sleeper.fake.elapsed_ns, 800000000LL);
	cr_assert_lt(sleeper.fake.elapsed_ns, 1100000000LL);
}

Test(retry, sixty_four_streams_do_not_storm_a_store_that_is_gone)
{
	int64_t next_ms[64] = { 0 }, now_ms;
	unsigned asked = 0;
	struct retry_budget b;

	/* Each comes back as soon as the budget lets it, for a minute. */
	retry_budget_init(&b, 0);
	for (now_ms = 0; now_ms < 60000; now_ms++) {
		for (size_t i = 0; i < ARRAY_SIZE(next_ms); i++) {
			if (next_ms[i] != now_ms)
				continue;
			asked++;
			next_ms[i] = now_ms + 1 + retry_budget_take(&b, now_ms);
		}
	}
	cr_expect_leq(asked, 64 + RETRY_BUDGET_TOKENS + 60 * RETRY_BUDGET_PER_SECOND, "%u", asked);
	cr_expect_gt(asked, 500, "%u", asked);
}

Test(retry, a_conflict_is_repeated_and_told_when_it_does_not_end)
{
	static const struct step steps[] = { { .r = STORE_CONFLICT },
					     { .r = STORE_CONFLICT },
					     { .r = 0 } };
	struct scripted below = SCRIPTED(steps), for_ever = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	_cleanup_(store_freep) struct store *t = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(store_put_bytes(s, "k", "x", 1, STORE_IF_MATCH, "e", NULL, NULL, &e), 0);
	cr_assert_eq(below.asked, 3);
	for_ever.count = 1;
	t = retry_over(&for_ever, &sleeper, 4);
	cr_assert_eq(store_put_bytes(t, "k", "x", 1, STORE_IF_MATCH, "e", NULL, NULL, &e),
		     STORE_CONFLICT);
	cr_assert_eq(for_ever.asked, 4);
	cr_assert_eq(e.kind, ERR_NONE);
}

Test(retry, a_conditional_put_of_unknown_outcome_is_forwarded_at_once)
{
	static const struct step steps[] = { { .r = -ETIMEDOUT, .err = UNKNOWN }, { .r = 0 } };
	static const enum store_cond conds[] = { STORE_IF_ABSENT, STORE_IF_MATCH };

	for (size_t i = 0; i < ARRAY_SIZE(conds); i++) {
		struct scripted below = SCRIPTED(steps);
		struct sleeper sleeper = { 0 };
		_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
		struct err e = ERR_INIT;

		cr_assert_eq(store_put_bytes(s, "k", "x", 1, conds[i], "e", NULL, NULL, &e),
			     -ETIMEDOUT);
		cr_assert(e.outcome_unknown);
		cr_assert_eq(below.asked, 1);
	}
}

Test(retry, cancel_ends_the_wait)
{
	static const struct step steps[] = { { .r = -EIO, .err = AGAIN } };
	struct scripted below = SCRIPTED(steps);
	struct cancel c = { 0 };
	struct sleeper sleeper = { .cancel = &c };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	struct err e = ERR_INIT;

	cr_assert_eq(store_head(s, "k", NULL, &c, &e), -ECANCELED);
	cr_assert_eq(below.asked, 1);
	cr_assert_eq(e.code, -ECANCELED);
}

static int collect(void *ctx, const struct store_entry *entry, struct err *e)
{
	strcat(ctx, entry->key);
	strcat(ctx, " ");
	return strcmp(entry->key, "bad") == 0 ? err_set(e, ERR_STORE, -EBADF, "refused") : 0;
}

Test(retry, a_listing_goes_on_behind_the_last_entry)
{
	static const struct step steps[] = {
		{ .r = -EIO, .err = AGAIN },
		{ .r = -EIO, .err = AGAIN, .entries = { "a", "b/" } },
		{ .r = -EIO,
		  .err = AGAIN,
		  .entries = { "b/", "c" } }, /* the group again: its keys are behind its name */
		{ .r = 0, .err = { 0 }, .entries = { "d" } },
	};
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 2);
	char seen[64] = "";
	struct store_list req = { .prefix = "", .entry = collect, .ctx = seen };
	struct err e = ERR_INIT;

	/* Two attempts each time: what made progress counts anew. */
	cr_assert_eq(store_list(s, &req, NULL, &e), 0);
	cr_assert_str_eq(seen, "a b/ c d ");
	cr_assert_null(below.start_after[0]);
	cr_assert_null(below.start_after[1]);
	cr_assert_str_eq(below.start_after[2], "b/");
	cr_assert_str_eq(below.start_after[3], "c");
	cr_assert_eq(e.kind, ERR_NONE);
}

Test(retry, what_the_callback_of_a_listing_refuses_is_not_repeated)
{
	static const struct step steps[] = {
		{ .r = 0, .err = AGAIN, .entries = { "a", "bad", "z" } }
	};
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	char seen[64] = "";
	struct store_list req = { .prefix = "", .entry = collect, .ctx = seen };
	struct err e = ERR_INIT;

	cr_assert_eq(store_list(s, &req, NULL, &e), -EBADF);
	cr_assert_eq(below.asked, 1);
	cr_assert_str_eq(e.message, "refused");
}

Test(retry, deletes_and_gets_are_repeated_too)
{
	static const struct step steps[] = {
		{ .r = -EIO, .err = UNKNOWN }, { .r = 0 }, { .r = -EIO, .err = AGAIN }, { .r = 0 }
	};
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(store_freep) struct store *s = retry_over(&below, &sleeper, 0);
	const char *key = "k";
	struct store_delete_error error;
	struct store_get get = { .key = "k", .whole = true };
	size_t errors = 99;

	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), 0);
	cr_assert_eq(errors, 0);
	cr_assert_eq(store_get(s, &get, NULL, NULL, NULL), 0);
	cr_assert_eq(below.asked, 4);
	cr_assert_eq(store_caps(s), STORE_CAP_IF_ABSENT);
}

Test(retry, repetitions_are_counted)
{
	static const struct step steps[] = { { .r = -EIO, .err = AGAIN },
					     { .r = -EIO, .err = AGAIN },
					     { .r = 0 },
					     { .r = -EIO, .err = AGAIN } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	_cleanup_(metrics_freep) struct metrics *m = metrics_new();
	struct retry_options o = { .max_attempts = 3,
				   .clock = &sleeper.fake.clock,
				   .metrics = m,
				   .sleep_ms = sleep_fake,
				   .sleep_ctx = &sleeper };
	_cleanup_(store_freep) struct store *s = NULL;

	fake_clock_init(&sleeper.fake, 0);
	s = retry_store_new(&below.store, &o);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), 0);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	cr_assert_eq(metric_get(metrics_counter(m, "store_retries_total", NULL)), 4);
	cr_assert_eq(metric_get(metrics_counter(m, "store_gave_up_total", NULL)), 1);
}

Test(retry, the_store_below_is_freed_with_it)
{
	static const struct step steps[] = { { .r = 0 } };
	struct scripted below = SCRIPTED(steps);
	struct sleeper sleeper = { 0 };
	bool freed = false;

	below.ret_freed = &freed;
	store_free(retry_over(&below, &sleeper, 0));
	cr_assert(freed);
}
