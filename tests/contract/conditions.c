/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional puts, one after the other. */
#include <errno.h>
#include <string.h>
#include "tests/contract/contract.h"

static bool a_put_if_absent_never_replaces(struct contract *t)
{
	struct store_meta meta = { .size_bytes = 4711 };

	CHECK_IS(contract_put_text(t, "a/1", "first", STORE_IF_ABSENT, NULL, NULL), 0);
	for (int i = 0; i < 3; i++) {
		CHECK_IS(contract_put_text(t, "a/1", "second", STORE_IF_ABSENT, NULL, &meta),
			 STORE_PRECONDITION);
		CHECK_IS(t->err.kind, ERR_NONE);
		CHECK_IS(meta.size_bytes, 4711);
	}
	CHECK(contract_has_text(t, "a/1", "first"));
	return true;
}

static bool a_put_if_match_replaces_exactly_that_version(struct contract *t)
{
	struct store_meta first, second, third;

	CHECK_IS(contract_put_text(t, "m", "first", STORE_IF_ABSENT, NULL, &first), 0);
	CHECK_IS(contract_put_text(t, "m", "second", STORE_IF_MATCH, first.etag, &second), 0);
	CHECK(contract_has_text(t, "m", "second"));
	CHECK_IS(contract_put_text(t, "m", "third", STORE_IF_MATCH, first.etag, &third),
		 STORE_PRECONDITION);
	CHECK_IS(t->err.kind, ERR_NONE);
	CHECK(contract_has_text(t, "m", "second"));
	CHECK_IS(contract_put_text(t, "m", "third", STORE_IF_MATCH, second.etag, &third), 0);
	CHECK(contract_has_text(t, "m", "third"));
	return true;
}

static bool an_etag_that_was_never_given_matches_nothing(struct contract *t)
{
	CHECK_IS(contract_put_text(t, "m", "first", STORE_IF_ABSENT, NULL, NULL), 0);
	CHECK_IS(contract_put_text(t, "m", "second", STORE_IF_MATCH,
				   "0123456789abcdef0123456789abcdef", NULL),
		 STORE_PRECONDITION);
	CHECK(contract_has_text(t, "m", "first"));
	return true;
}

static bool a_put_if_match_of_a_missing_key_makes_nothing(struct contract *t)
{
	struct store_meta meta;
	const char *key = "gone";
	size_t errors;
	int r;

	CHECK_IS(contract_put_text(t, key, "first", STORE_IF_ABSENT, NULL, &meta), 0);
	CHECK_IS(contract_delete(t, &key, 1, &errors), 0);
	r = contract_put_text(t, key, "second", STORE_IF_MATCH, meta.etag, NULL);
	CHECK(r == STORE_NOT_FOUND || r == STORE_PRECONDITION);
	CHECK_IS(contract_head(t, key, &meta), STORE_NOT_FOUND);
	r = contract_put_text(t, "never/was", "x", STORE_IF_MATCH, meta.etag, NULL);
	CHECK(r == STORE_NOT_FOUND || r == STORE_PRECONDITION);
	CHECK_IS(contract_head(t, "never/was", &meta), STORE_NOT_FOUND);
	return true;
}

static bool etags_are_the_same_wherever_they_are_told(struct contract *t)
{
	_cleanup_free_ char *data = NULL;
	struct store_meta put, get, head;
	size_t len;

	CHECK_IS(contract_put_text(t, "e", "content", STORE_ALWAYS, NULL, &put), 0);
	CHECK_IS(store_get_alloc(t->store, "e", 100, &data, &len, &get, NULL, &t->err), 0);
	CHECK_IS(contract_head(t, "e", &head), 0);
	CHECK(strcmp(put.etag, get.etag) == 0 && strcmp(put.etag, head.etag) == 0);
	CHECK(!strchr(put.etag, '"'));
	CHECK_IS(contract_put_text(t, "e", "other", STORE_IF_MATCH, head.etag, &put), 0);
	CHECK(strcmp(put.etag, head.etag) != 0);
	return true;
}

static bool an_unconditional_put_makes_an_old_etag_stale(struct contract *t)
{
	struct store_meta first;

	CHECK_IS(contract_put_text(t, "s", "first", STORE_ALWAYS, NULL, &first), 0);
	CHECK_IS(contract_put_text(t, "s", "forced", STORE_ALWAYS, NULL, NULL), 0);
	CHECK_IS(contract_put_text(t, "s", "mine", STORE_IF_MATCH, first.etag, NULL),
		 STORE_PRECONDITION);
	CHECK(contract_has_text(t, "s", "forced"));
	return true;
}

#define CASE(name)          \
	{                   \
#name, name \
	}
const struct contract_case contract_condition_cases[] = {
	CASE(a_put_if_absent_never_replaces),
	CASE(a_put_if_match_replaces_exactly_that_version),
	CASE(an_etag_that_was_never_given_matches_nothing),
	CASE(a_put_if_match_of_a_missing_key_makes_nothing),
	CASE(etags_are_the_same_wherever_they_are_told),
	CASE(an_unconditional_put_makes_an_old_etag_stale),
	{ 0 },
};
