/* SPDX-License-Identifier: Apache-2.0 */
/* Puts, gets, heads and deletes of single objects. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "tests/contract/contract.h"

static bool round_trip(struct contract *t, const char *key, size_t len)
{
	_cleanup_free_ uint8_t *data = contract_bytes(len, (unsigned)len);
	struct store_meta put = { 0 }, head = { 0 };

	t->err = ERR_INIT;
	CHECK_IS(store_put_bytes(t->store, key, data, len, STORE_ALWAYS, NULL, &put, NULL, &t->err),
		 0);
	CHECK(contract_has(t, key, data, len));
	CHECK_IS(contract_head(t, key, &head), 0);
	CHECK_IS(head.size_bytes, len);
	CHECK(put.etag[0] && strcmp(put.etag, head.etag) == 0);
	CHECK(head.modified_ns > 0);
	return true;
}

static bool objects_of_every_size_come_back_as_they_were_put(struct contract *t)
{
	static const size_t sizes[] = { 0,	 1,   511,     512,	513,	 65536,
					MIB - 1, MIB, MIB + 1, 5 * MIB, 8 * MIB, 9 * MIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char key[32];

		snprintf(key, sizeof(key), "sizes/%zu", sizes[i]);
		CHECK(round_trip(t, key, sizes[i]));
	}
	return true;
}

static bool a_body_of_several_pieces_is_one_object(struct contract *t)
{
	_cleanup_free_ uint8_t *data = contract_bytes(3 * MIB, 1);
	struct iovec body[] = {
		{ data, 1 },
		{ NULL, 0 },
		{ data + 1, 2 * MIB },
		{ data + 1 + 2 * MIB, MIB - 1 },
	};
	struct store_put req = { .key = "pieces", .body = body, .body_count = ARRAY_SIZE(body) };
	struct store_meta meta;

	CHECK_IS(store_put(t->store, &req, &meta, NULL, &t->err), 0);
	CHECK(contract_has(t, "pieces", data, 3 * MIB));
	return true;
}

static int get_range(struct contract *t, const char *key, uint64_t offset, uint64_t len, void *dst)
{
	struct store_get req = {
		.key = key, .offset = offset, .len_bytes = len, .dst = dst, .cap_bytes = len
	};

	t->err = ERR_INIT;
	return store_get(t->store, &req, NULL, NULL, &t->err);
}

static bool ranges_are_exact(struct contract *t)
{
	static const struct {
		uint64_t offset, len;
	} ranges[] = { { 0, 1 },	{ 0, MIB + 17 },  { MIB + 16, 1 },
		       { 1, MIB + 16 }, { 4096, 131072 }, { MIB - 1, 2 } };
	_cleanup_free_ uint8_t *data = contract_bytes(MIB + 17, 2), *got = malloc(MIB + 32);

	CHECK_IS(contract_put(t, "ranged", data, MIB + 17), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint64_t len = ranges[i].len;

		memset(got, 0xee, MIB + 32);
		CHECK_IS(get_range(t, "ranged", ranges[i].offset, len, got), 0);
		CHECK(memcmp(got, data + ranges[i].offset, len) == 0);
		CHECK(got[len] == 0xee);
	}
	return true;
}

static bool a_range_that_is_not_inside_the_object_is_an_error(struct contract *t)
{
	static const struct {
		uint64_t offset, len;
	} ranges[] = { { 0, 101 }, { 99, 2 }, { 100, 1 }, { 5000, 10 }, { 1ULL << 40, 1 } };
	_cleanup_free_ uint8_t *data = contract_bytes(100, 3);
	uint8_t got[128];

	CHECK_IS(contract_put(t, "short", data, 100), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		CHECK_IS(get_range(t, "short", ranges[i].offset, ranges[i].len, got), -ERANGE);
		CHECK_IS(t->err.kind, ERR_CORRUPT);
		CHECK_IS(strcmp(t->err.key, "short"), 0);
	}
	CHECK_IS(contract_put(t, "empty", "", 0), 0);
	CHECK_IS(get_range(t, "empty", 0, 1, got), -ERANGE);
	return true;
}

static bool an_object_larger_than_the_buffer_is_an_error(struct contract *t)
{
	static const size_t sizes[] = { 100, 3 * MIB };
	_cleanup_free_ uint8_t *data = contract_bytes(3 * MIB, 4), *got = malloc(3 * MIB);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct store_get req = { .key = "large", .whole = true, .dst = got };
		struct store_meta meta = { .size_bytes = 4711 };

		CHECK_IS(contract_put(t, "large", data, sizes[i]), 0);
		req.cap_bytes = sizes[i] - 1;
		CHECK_IS(store_get(t->store, &req, &meta, NULL, &t->err), -EFBIG);
		CHECK_IS(t->err.kind, ERR_CORRUPT);
		CHECK_IS(meta.size_bytes, 4711);
		req.cap_bytes = sizes[i];
		t->err = ERR_INIT;
		CHECK_IS(store_get(t->store, &req, &meta, NULL, &t->err), 0);
		CHECK_IS(meta.size_bytes, sizes[i]);
		CHECK(memcmp(got, data, sizes[i]) == 0);
	}
	return true;
}

static bool what_is_not_there_is_not_found_without_an_error(struct contract *t)
{
	struct store_meta meta = { .size_bytes = 4711 };
	struct store_get req = { .key = "no/such/key", .whole = true };
	char byte;

	CHECK_IS(contract_put(t, "some/key", "x", 1), 0);
	CHECK_IS(contract_head(t, "no/such/key", &meta), STORE_NOT_FOUND);
	CHECK_IS(contract_head(t, "some", &meta), STORE_NOT_FOUND);
	CHECK_IS(contract_head(t, "some/key/below", &meta), STORE_NOT_FOUND);
	CHECK_IS(store_get(t->store, &req, &meta, NULL, &t->err), STORE_NOT_FOUND);
	CHECK_IS(get_range(t, "some/kez", 0, 1, &byte), STORE_NOT_FOUND);
	CHECK_IS(t->err.kind, ERR_NONE);
	CHECK_IS(meta.size_bytes, 4711);
	return true;
}

struct seen {
	const uint8_t *dst, *want;
	size_t last;
	unsigned calls;
	bool wrong;
	pthread_t caller;
};

static void note_progress(void *ctx, size_t done)
{
	struct seen *s = ctx;

	if (!pthread_equal(pthread_self(), s->caller) || done < s->last ||
	    memcmp(s->dst + s->last, s->want + s->last, done - s->last) != 0)
		s->wrong = true;
	s->last = done;
	s->calls++;
}

static bool progress_tells_which_bytes_are_there(struct contract *t)
{
	size_t len = 5 * MIB;
	_cleanup_free_ uint8_t *data = contract_bytes(len, 5), *got = calloc(1, len);
	struct seen seen = { .dst = got, .want = data, .caller = pthread_self() };
	struct store_get req = { .key = "progress",
				 .whole = true,
				 .dst = got,
				 .cap_bytes = len,
				 .expected_bytes = len,
				 .progress = note_progress,
				 .progress_ctx = &seen };

	CHECK_IS(contract_put(t, "progress", data, len), 0);
	CHECK_IS(store_get(t->store, &req, NULL, NULL, &t->err), 0);
	CHECK(!seen.wrong && seen.calls > 0);
	CHECK_IS(seen.last, len);
	return true;
}

static bool an_overwritten_object_is_the_new_one_only(struct contract *t)
{
	struct store_meta first, second;

	CHECK_IS(contract_put_text(t, "k", "the first and longer text", STORE_ALWAYS, NULL, &first),
		 0);
	CHECK_IS(contract_put_text(t, "k", "second", STORE_ALWAYS, NULL, &second), 0);
	CHECK(strcmp(first.etag, second.etag) != 0);
	CHECK(contract_has_text(t, "k", "second"));
	CHECK_IS(contract_head(t, "k", &first), 0);
	CHECK(strcmp(first.etag, second.etag) == 0);
	return true;
}

static bool deletes_take_what_is_there_and_do_not_mind_what_is_not(struct contract *t)
{
	const char *keys[] = { "d/1", "d/missing", "d/2", "e", "d/1/below" };
	size_t errors = 99;
	struct store_meta meta;

	CHECK_IS(contract_put(t, "d/1", "1", 1), 0);
	CHECK_IS(contract_put(t, "d/2", "2", 1), 0);
	CHECK_IS(contract_put(t, "d/3", "3", 1), 0);
	CHECK_IS(contract_put(t, "e", "e", 1), 0);
	CHECK_IS(contract_delete(t, keys, ARRAY_SIZE(keys), &errors), 0);
	CHECK_IS(errors, 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		CHECK_IS(contract_head(t, keys[i], &meta), STORE_NOT_FOUND);
	CHECK(contract_has_text(t, "d/3", "3"));
	CHECK_IS(contract_put_text(t, "d/1", "again", STORE_IF_ABSENT, NULL, NULL), 0);
	CHECK(contract_has_text(t, "d/1", "again"));
	CHECK_IS(contract_delete(t, keys, 0, &errors), 0);
	return true;
}

static bool what_was_acknowledged_is_seen_at_once(struct contract *t)
{
	static const char *const key[] = { "now/you/see/it" };

	for (int i = 0; i < 20; i++) {
		char text[16];
		struct store_meta meta;
		size_t errors;

		snprintf(text, sizeof(text), "%d", i);
		CHECK_IS(contract_put_text(t, key[0], text, STORE_ALWAYS, NULL, NULL), 0);
		CHECK(contract_has_text(t, key[0], text));
		CHECK_IS(contract_delete(t, key, 1, &errors), 0);
		CHECK_IS(contract_head(t, key[0], &meta), STORE_NOT_FOUND);
	}
	return true;
}

static bool answers_carry_the_time_of_the_store(struct contract *t)
{
	struct store_meta put, head;

	CHECK_IS(contract_put_text(t, "dated", "x", STORE_ALWAYS, NULL, &put), 0);
	CHECK_IS(contract_head(t, "dated", &head), 0);
	CHECK_IS(store_caps(t->store) & t->backend->caps, t->backend->caps);
	if (store_caps(t->store) & STORE_CAP_DATE) {
		CHECK(put.date_ns > 0 && head.date_ns >= put.date_ns);
		/* Whole seconds on S3, on either side. */
		CHECK(head.modified_ns <= head.date_ns + 1000000000LL);
	}
	return true;
}

static void make_long_key(char *key, size_t len)
{
	memset(key, 'k', len);
	for (size_t i = 200; i < len; i += 201)
		key[i] = '/';
	key[len] = '\0';
}

static bool odd_keys_are_keys_like_others(struct contract *t)
{
	static const char *const odd[] = {
		"odd/with space",
		"odd/a+b",
		"odd/100%",
		"odd/%41%2f",
		"odd/#hash?query=1",
		"odd/\"'quotes'\"",
		"odd/<&amp;>",
		"odd/caf\xc3\xa9",
		"odd/\xf0\x9f\x98\x80",
		"odd/\xe6\x97\xa5/\xe6\x9c\xac",
		"odd/.hidden/..x/...",
		"odd/~tilde!*'();:@&=,$",
		"odd/back\\slash",
		"odd/tail ",
		" odd/ lead",
	};
	const char *keys[ARRAY_SIZE(odd) + 1];
	char longest[901];
	struct store_meta meta;
	size_t errors = 99;

	make_long_key(longest, 900);
	memcpy(keys, odd, sizeof(odd));
	keys[ARRAY_SIZE(odd)] = longest;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		CHECK_IS(contract_put_text(t, keys[i], keys[i], STORE_IF_ABSENT, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		CHECK(contract_has_text(t, keys[i], keys[i]));
	CHECK_IS(contract_delete(t, keys, ARRAY_SIZE(keys), &errors), 0);
	CHECK_IS(errors, 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		CHECK_IS(contract_head(t, keys[i], &meta), STORE_NOT_FOUND);
	return true;
}

static bool requests_that_make_no_sense_are_refused(struct contract *t)
{
	char too_long[STORE_KEY_MAX + 2], byte;
	const char *bad[] = { "",    "/a",   "a/",	  "a//b",	  ".",	   "a/../b", "..",
			      "a/.", "\xff", "a\xc0\xaf", "\xed\xa0\x80", too_long };
	struct store_get empty = { .key = "k", .dst = &byte, .cap_bytes = 1 };
	struct store_get wide = { .key = "k", .len_bytes = 2, .dst = &byte, .cap_bytes = 1 };
	size_t errors;

	memset(too_long, 'k', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_IS(contract_put(t, bad[i], "x", 1), -EINVAL);
		CHECK_IS(t->err.kind, ERR_USAGE);
		CHECK_IS(contract_head(t, bad[i], NULL), -EINVAL);
		CHECK_IS(contract_delete(t, &bad[i], 1, &errors), -EINVAL);
	}
	CHECK_IS(contract_put_text(t, "k", "x", STORE_IF_MATCH, "", NULL), -EINVAL);
	CHECK_IS(contract_put_text(t, "k", "x", STORE_IF_MATCH, NULL, NULL), -EINVAL);
	CHECK_IS(store_get(t->store, &empty, NULL, NULL, &t->err), -EINVAL);
	CHECK_IS(store_get(t->store, &wide, NULL, NULL, &t->err), -EINVAL);
	CHECK_IS(contract_delete(t, bad, STORE_DELETE_MAX + 1, &errors), -EINVAL);
	CHECK_IS(contract_head(t, "k", NULL), STORE_NOT_FOUND);
	return true;
}

static int refuse_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	return err_set(e, ERR_IO, -EBADF, "an entry of a listing that was cancelled");
}

static bool nothing_is_done_once_cancelled(struct contract *t)
{
	struct cancel c = { 0 };
	struct store_list list = { .prefix = "", .entry = refuse_entry };
	struct store_get get = { .key = "k", .whole = true };
	const char *key = "k";
	struct store_delete_error error;
	size_t errors;

	CHECK_IS(contract_put(t, "k", "", 0), 0);
	cancel_set(&c, 15);
	CHECK_IS(store_put_bytes(t->store, "k", "new", 3, STORE_ALWAYS, NULL, NULL, &c, &t->err),
		 -ECANCELED);
	CHECK_IS(store_get(t->store, &get, NULL, &c, &t->err), -ECANCELED);
	CHECK_IS(store_head(t->store, "k", NULL, &c, &t->err), -ECANCELED);
	CHECK_IS(store_list(t->store, &list, &c, &t->err), -ECANCELED);
	CHECK_IS(store_delete_many(t->store, &key, 1, &error, &errors, &c, &t->err), -ECANCELED);
	CHECK(contract_has_text(t, "k", ""));
	return true;
}

static void cancel_it(void *ctx, size_t done)
{
	cancel_set(ctx, 2);
}

static bool a_get_that_is_cancelled_on_the_way_ends(struct contract *t)
{
	size_t len = 9 * MIB;
	_cleanup_free_ uint8_t *data = contract_bytes(len, 6), *got = malloc(len);
	struct cancel c = { 0 };
	struct store_get req = { .key = "long",
				 .whole = true,
				 .dst = got,
				 .cap_bytes = len,
				 .expected_bytes = len,
				 .progress = cancel_it,
				 .progress_ctx = &c };
	int r;

	CHECK_IS(contract_put(t, "long", data, len), 0);
	r = store_get(t->store, &req, NULL, &c, &t->err);
	/* Over a network all of it may have arrived when the token was looked at. */
	if (r != 0 || (store_caps(t->store) & STORE_CAP_LOCAL))
		CHECK_IS(r, -ECANCELED);
	else
		CHECK(memcmp(got, data, len) == 0);
	t->err = ERR_INIT;
	CHECK(contract_has(t, "long", data, len));
	return true;
}

#define CASE(name)          \
	{                   \
#name, name \
	}
const struct contract_case contract_object_cases[] = {
	CASE(objects_of_every_size_come_back_as_they_were_put),
	CASE(a_body_of_several_pieces_is_one_object),
	CASE(ranges_are_exact),
	CASE(a_range_that_is_not_inside_the_object_is_an_error),
	CASE(an_object_larger_than_the_buffer_is_an_error),
	CASE(what_is_not_there_is_not_found_without_an_error),
	CASE(progress_tells_which_bytes_are_there),
	CASE(an_overwritten_object_is_the_new_one_only),
	CASE(deletes_take_what_is_there_and_do_not_mind_what_is_not),
	CASE(what_was_acknowledged_is_seen_at_once),
	CASE(answers_carry_the_time_of_the_store),
	CASE(odd_keys_are_keys_like_others),
	CASE(requests_that_make_no_sense_are_refused),
	CASE(nothing_is_done_once_cancelled),
	CASE(a_get_that_is_cancelled_on_the_way_ends),
	{ 0 },
};
