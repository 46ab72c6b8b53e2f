/* SPDX-License-Identifier: Apache-2.0 */
/* Gets whose bytes are looked at as they arrive, and that are torn on the way. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/retry.h"

static void sleep_not(void *ctx, int ms, const struct cancel *c)
{
}

/* A store whose object is "abcdefghij"; each attempt gives so many bytes, some of which it tells of, and then fails, but for the last one. */
struct torn {
	struct store store;
	struct {
		size_t give, tell;
		bool fail; /* all the same */
	} attempts[4];
	size_t asked;
	uint64_t size;
	char seen[4][16]; /* what each attempt asked for */
};

static int torn_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct torn *t = (struct torn *)s;
	size_t n = t->asked++, give = t->attempts[n].give;
	uint64_t len = req->whole ? t->size : req->len_bytes;

	snprintf(t->seen[n], sizeof(t->seen[n]), "%s%u+%u", req->whole ? "whole " : "",
		 (unsigned)req->offset, (unsigned)req->len_bytes);
	memset(req->dst, '?', len); /* an attempt may do with its part what it likes */
	if (give)
		memcpy(req->dst, &"abcdefghij"[req->offset], give);
	if (t->attempts[n].tell)
		req->progress(req->progress_ctx, t->attempts[n].tell);
	if (give < len || t->attempts[n].fail) {
		int r = err_set(e, ERR_STORE, -EIO, "torn");

		e->retryable = true;
		return r;
	}
	ret->size_bytes = t->size;
	return 0;
}

static void torn_free(struct store *s)
{
}

static const struct store_ops torn_ops = { .name = "torn", .get = torn_get, .free = torn_free };

struct told {
	size_t last;
	char *dst, text[16];
	bool back;
};

static void note_told(void *ctx, size_t done)
{
	struct told *t = ctx;

	t->back |= done < t->last;
	memcpy(t->text + t->last, t->dst + t->last, done - t->last);
	t->last = done;
}

static int get_torn(struct torn *t, bool whole, char got[16], struct told *told, struct err *e)
{
	_cleanup_(store_freep) struct store *store = NULL;
	struct store_get req = { .key = "k",
				 .whole = whole,
				 .expected_bytes = whole ? 10 : 0,
				 .offset = whole ? 0 : 2,
				 .len_bytes = whole ? 0 : 8,
				 .dst = got,
				 .cap_bytes = 10,
				 .progress = note_told,
				 .progress_ctx = told };

	t->store.ops = &torn_ops;
	if (!t->size)
		t->size = 10;
	*told = (struct told){ .dst = got };
	store = retry_store_new(&t->store, &(struct retry_options){ .max_attempts = 4,
								    .clock = clock_system(),
								    .sleep_ms = sleep_not });
	cr_assert(store);
	return store_get(store, &req, NULL, NULL, e);
}

Test(retry_rest, a_get_goes_on_behind_the_bytes_that_it_told_of)
{
	struct torn whole = {
		.attempts = { { 6, 4, false }, { 0, 0, false }, { 3, 3, false }, { 3, 3, false } }
	};
	struct torn part = { .attempts = { { 5, 3, false }, { 5, 5, false } } };
	char got[16] = "";
	struct told told;
	struct err e = ERR_INIT;

	cr_assert_eq(get_torn(&whole, true, got, &told, &e), 0, "%s", e.message);
	cr_expect_str_eq(got, "abcdefghij");
	cr_expect_str_eq(told.text, "abcdefghij");
	cr_expect_not(told.back);
	cr_expect_str_eq(whole.seen[0], "whole 0+0");
	cr_expect_str_eq(whole.seen[1], "4+6", "the two that nobody knows of come again");
	cr_expect_str_eq(whole.seen[2], "4+6");
	cr_expect_str_eq(whole.seen[3], "7+3");
	memset(got, 0, sizeof(got));
	cr_assert_eq(get_torn(&part, false, got, &told, &e), 0, "%s", e.message);
	cr_expect_str_eq(got, "cdefghij");
	cr_expect_str_eq(part.seen[0], "2+8");
	cr_expect_str_eq(part.seen[1], "5+5");
}

Test(retry_rest, what_was_told_of_stays_when_the_get_fails)
{
	struct torn all_told = { .attempts = { { 10, 10, true }, { 1, 0, false } } };
	struct torn longer = { .attempts = { { 4, 4, false }, { 6, 6, false } }, .size = 11 };
	char got[16] = "";
	struct told told;
	struct err e = ERR_INIT;

	cr_expect_eq(get_torn(&all_told, true, got, &told, &e), 0);
	cr_expect_str_eq(all_told.seen[1], "9+1", "the answer alone is missing");
	cr_expect_str_eq(got, "abcdefghij");
	cr_expect_eq(get_torn(&longer, true, got, &told, &e), -EFBIG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
}
