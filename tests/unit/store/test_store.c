/* SPDX-License-Identifier: Apache-2.0 */
/* The checked entry points. */
#include <errno.h>
#include "store/mem.h"
#include "tests/unit/store/scripted.h"

Test(store, a_key_is_non_empty_utf_8_without_odd_segments)
{
	static const struct {
		const char *key;
		int want;
	} table[] = {
		{ "a", 0 },
		{ "a/b/c", 0 },
		{ "...", 0 },
		{ ".a", 0 },
		{ "..a/b..", 0 },
		{ "a b+%#?&", 0 },
		{ "\x7f\x01", 0 },
		{ "\xc3\xa9", 0 },
		{ "\xe2\x82\xac", 0 },
		{ "\xf0\x9f\x98\x80", 0 },
		{ "\xef\xbf\xbf", 0 },
		{ "\xf4\x8f\xbf\xbf", 0 },
		{ "", -EINVAL },
		{ "/", -EINVAL },
		{ "/a", -EINVAL },
		{ "a/", -EINVAL },
		{ "a//b", -EINVAL },
		{ ".", -EINVAL },
		{ "..", -EINVAL },
		{ "a/./b", -EINVAL },
		{ "a/..", -EINVAL },
		{ "../a", -EINVAL },
		{ "\x80", -EINVAL },
		{ "\xc3", -EINVAL },
		{ "\xc0\xaf", -EINVAL },
		{ "\xe0\x80\xaf", -EINVAL },
		{ "\xed\xa0\x80", -EINVAL },
		{ "\xf4\x90\x80\x80", -EINVAL },
		{ "\xf8\x88\x80\x80\x80", -EINVAL },
		{ "\xe2\x82", -EINVAL },
		{ "\xf0\x9f\x98/", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		cr_expect_eq(store_key_check(table[i].key), table[i].want, "row %zu", i);
}

Test(store, a_key_has_at_most_1024_bytes)
{
	char key[STORE_KEY_MAX + 4];

	memset(key, 'k', sizeof(key));
	key[STORE_KEY_MAX] = '\0';
	cr_assert_eq(store_key_check(key), 0);
	strcpy(key + STORE_KEY_MAX - 1, "\xc3\xa9");
	cr_assert_eq(store_key_check(key), -EINVAL);
}

Test(store, an_object_too_large_for_anybody_is_refused)
{
	static const struct step steps[] = { { .r = 0 } };
	struct scripted below = SCRIPTED(steps);
	static char byte;
	struct iovec body[] = { { &byte, STORE_OBJECT_MAX }, { &byte, 1 } };
	struct store_put req = { .key = "k", .body = body, .body_count = 2 };
	struct err e = ERR_INIT;

	cr_assert_eq(store_put(&below.store, &req, NULL, NULL, &e), -EINVAL);
	cr_assert_eq(e.kind, ERR_USAGE);
	body[1].iov_len = SIZE_MAX;
	cr_assert_eq(store_put(&below.store, &req, NULL, NULL, &e), -EINVAL);
	cr_assert_eq(below.asked, 0);
	req.body_count = 1;
	cr_assert_eq(store_put(&below.store, &req, NULL, NULL, &e), 0);
}

Test(store, an_error_names_the_key_unless_the_backend_did)
{
	static const struct step steps[] = {
		{ .r = -EIO, .err = { .kind = ERR_STORE, .message = "m" } },
		{ .r = -EIO, .err = { .kind = ERR_STORE, .key = "other" } },
	};
	struct scripted below = SCRIPTED(steps);
	struct err e = ERR_INIT;

	cr_assert_eq(store_head(&below.store, "some/key", NULL, NULL, &e), -EIO);
	cr_assert_str_eq(e.key, "some/key");
	cr_assert_eq(store_head(&below.store, "some/key", NULL, NULL, &e), -EIO);
	cr_assert_str_eq(e.key, "other");
}

Test(store, get_alloc_gives_a_buffer_that_ends_in_nul)
{
	static const struct step steps[] = { { .r = 0 } };
	struct scripted below = SCRIPTED(steps);
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	cr_assert_eq(store_get_alloc(&below.store, "k", 10, &data, &len, NULL, NULL, NULL), 0);
	cr_assert_eq(len, 5);
	cr_assert_str_eq(data, "xxxxx");
}

Test(store, get_alloc_takes_what_fits_and_nothing_larger)
{
	_cleanup_(store_freep) struct store *s = mem_store_new(clock_system());
	_cleanup_free_ char *data = NULL;
	struct store_meta meta;
	size_t len = 0;

	cr_assert_eq(store_put_bytes(s, "k", "12345", 5, STORE_ALWAYS, NULL, NULL, NULL, NULL), 0);
	cr_assert_eq(store_get_alloc(s, "k", 4, &data, &len, NULL, NULL, NULL), -EFBIG);
	cr_assert_null(data);
	cr_assert_eq(store_get_alloc(s, "k", 5, &data, &len, &meta, NULL, NULL), 0);
	cr_assert_str_eq(data, "12345");
	cr_assert_eq(meta.size_bytes, 5);
}
