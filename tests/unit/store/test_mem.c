/* SPDX-License-Identifier: Apache-2.0 */
/* What is special about memory; the rest is the contract's (tests/contract). */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "store/mem.h"
#include "tests/unit/base/fake_clock.h"

static int put(struct store *s, const char *key, enum store_cond cond, const char *etag,
	       struct store_meta *ret)
{
	return store_put_bytes(s, key, "same", 4, cond, etag, ret, NULL, NULL);
}

Test(mem, an_etag_never_repeats_not_even_for_the_same_content)
{
	_cleanup_(store_freep) struct store *s = mem_store_new(clock_system());
	struct store_meta a, b, c;
	struct store_delete_error error;
	const char *key = "k";
	size_t errors;

	cr_assert_eq(put(s, key, STORE_ALWAYS, NULL, &a), 0);
	cr_assert_eq(put(s, key, STORE_ALWAYS, NULL, &b), 0);
	cr_assert_str_neq(a.etag, b.etag);
	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), 0);
	cr_assert_eq(put(s, key, STORE_IF_ABSENT, NULL, &c), 0);
	cr_assert_str_neq(a.etag, c.etag);
	cr_assert_str_neq(b.etag, c.etag);
}

Test(mem, a_put_if_match_of_a_missing_key_is_not_found)
{
	_cleanup_(store_freep) struct store *s = mem_store_new(clock_system());

	cr_assert_eq(put(s, "k", STORE_IF_MATCH, "1", NULL), STORE_NOT_FOUND);
	cr_assert_eq(put(s, "k", STORE_IF_ABSENT, NULL, NULL), 0);
	cr_assert_eq(put(s, "k", STORE_IF_MATCH, "1", NULL), 0);
}

Test(mem, times_are_those_of_its_clock)
{
	struct fake_clock clock;
	_cleanup_(store_freep) struct store *s = NULL;
	struct store_meta meta;

	fake_clock_init(&clock, 5000);
	s = mem_store_new(&clock.clock);
	cr_assert_eq(put(s, "k", STORE_ALWAYS, NULL, &meta), 0);
	cr_assert_eq(meta.date_ns, 5000);
	clock.wall_ns = 9000;
	cr_assert_eq(store_head(s, "k", &meta, NULL, NULL), 0);
	cr_assert_eq(meta.date_ns, 9000);
	cr_assert_eq(meta.modified_ns, 5000);
}

Test(mem, a_key_may_be_the_directory_of_another)
{
	_cleanup_(store_freep) struct store *s = mem_store_new(clock_system());

	cr_assert_eq(put(s, "a", STORE_IF_ABSENT, NULL, NULL), 0);
	cr_assert_eq(put(s, "a/b", STORE_IF_ABSENT, NULL, NULL), 0);
	cr_assert_eq(store_head(s, "a", NULL, NULL, NULL), 0);
}

struct changing {
	struct store *s;
	unsigned count;
};

static int delete_as_listed(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct changing *c = ctx;
	struct store_delete_error error;
	size_t errors;

	c->count++;
	return store_delete_many(c->s, &entry->key, 1, &error, &errors, NULL, e);
}

Test(mem, a_listing_may_be_changed_by_its_callback)
{
	_cleanup_(store_freep) struct store *s = mem_store_new(clock_system());
	struct changing c = { .s = s };
	struct store_list list = { .prefix = "", .entry = delete_as_listed, .ctx = &c };

	for (int i = 0; i < 2500; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%05d", i);
		cr_assert_eq(put(s, key, STORE_IF_ABSENT, NULL, NULL), 0);
	}
	cr_assert_eq(store_list(s, &list, NULL, NULL), 0);
	cr_assert_eq(c.count, 2500);
	c.count = 0;
	cr_assert_eq(store_list(s, &list, NULL, NULL), 0);
	cr_assert_eq(c.count, 0);
}
