/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional puts at the same moment: exactly one wins, no update is lost. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "tests/contract/contract.h"

#define RACERS 16
#define ROUNDS 20

static int rounds(const struct contract *t)
{
	return t->backend->race_rounds ? (int)t->backend->race_rounds : ROUNDS;
}

struct race {
	struct contract *t;
	const char *key;
	enum store_cond cond;
	const char *etag;
	int outcome[RACERS];
};

static void race_one(void *arg, unsigned index)
{
	struct race *race = arg;
	struct err e = ERR_INIT;
	char text[32];
	int r;

	snprintf(text, sizeof(text), "racer %u", index);
	do {
		r = store_put_bytes(race->t->store, race->key, text, strlen(text), race->cond,
				    race->etag, NULL, NULL, &e);
	} while (r == STORE_CONFLICT);
	race->outcome[index] = r;
}

static bool one_wins(struct contract *t, struct race *race)
{
	unsigned winners = 0, winner = 0;
	char text[32];

	contract_parallel(RACERS, race_one, race);
	for (unsigned i = 0; i < RACERS; i++) {
		if (race->outcome[i] == 0) {
			winners++;
			winner = i;
		} else {
			CHECK_IS(race->outcome[i], STORE_PRECONDITION);
		}
	}
	CHECK_IS(winners, 1);
	snprintf(text, sizeof(text), "racer %u", winner);
	CHECK(contract_has_text(t, race->key, text));
	return true;
}

static bool of_sixteen_puts_if_absent_one_wins(struct contract *t)
{
	for (int i = 0; i < rounds(t); i++) {
		char key[32];
		struct race race = { .t = t, .key = key, .cond = STORE_IF_ABSENT };

		snprintf(key, sizeof(key), "race/%d/key", i);
		CHECK(one_wins(t, &race));
	}
	return true;
}

static bool of_sixteen_puts_if_match_one_wins(struct contract *t)
{
	struct store_meta meta;

	CHECK_IS(contract_put_text(t, "race", "start", STORE_IF_ABSENT, NULL, NULL), 0);
	for (int i = 0; i < rounds(t); i++) {
		struct race race = { .t = t, .key = "race", .cond = STORE_IF_MATCH };
		char start[32];

		/* Of another content in each round: S3's ETags are of the content. */
		snprintf(start, sizeof(start), "round %d", i);
		CHECK_IS(contract_put_text(t, "race", start, STORE_ALWAYS, NULL, &meta), 0);
		race.etag = meta.etag;
		CHECK(one_wins(t, &race));
	}
	return true;
}

#define COUNTERS 8
#define STEPS 5

struct count {
	struct contract *t;
	int failure[COUNTERS];
};

/* One step: read the number, and put it back one higher if nobody else did meanwhile. > 0: somebody did. */
static int count_step(struct store *s, unsigned index, unsigned step)
{
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	struct store_meta meta;
	char next[64];
	size_t len;
	int r;

	r = store_get_alloc(s, "counter", 64, &text, &len, &meta, NULL, &e);
	if (r)
		return r < 0 ? r : -ENOENT;
	snprintf(next, sizeof(next), "%d by %u.%u", atoi(text) + 1, index, step);
	return store_put_bytes(s, "counter", next, strlen(next), STORE_IF_MATCH, meta.etag, NULL,
			       NULL, &e);
}

static void count_up(void *arg, unsigned index)
{
	struct count *count = arg;

	for (unsigned step = 0; step < STEPS && count->failure[index] == 0; step++) {
		int r;

		do {
			r = count_step(count->t->store, index, step);
		} while (r > 0);
		count->failure[index] = r;
	}
}

static bool no_update_is_lost(struct contract *t)
{
	struct count count = { .t = t };
	_cleanup_free_ char *text = NULL;
	size_t len;

	CHECK_IS(contract_put_text(t, "counter", "0", STORE_IF_ABSENT, NULL, NULL), 0);
	contract_parallel(COUNTERS, count_up, &count);
	for (unsigned i = 0; i < COUNTERS; i++)
		CHECK_IS(count.failure[i], 0);
	CHECK_IS(store_get_alloc(t->store, "counter", 64, &text, &len, NULL, NULL, &t->err), 0);
	CHECK_IS(atoi(text), COUNTERS * STEPS);
	return true;
}

#define CASE(name)          \
	{                   \
#name, name \
	}
const struct contract_case contract_race_cases[] = {
	CASE(of_sixteen_puts_if_absent_one_wins),
	CASE(of_sixteen_puts_if_match_one_wins),
	CASE(no_update_is_lost),
	{ 0 },
};
