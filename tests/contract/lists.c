/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: order, prefix, groups, start, pages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "tests/contract/contract.h"

#define LISTED_MAX 1200

struct listed {
	char *keys[LISTED_MAX];
	bool is_prefix[LISTED_MAX];
	size_t count;
	size_t stop_at;	       /* the entry after which the callback says stop; 0: never */
	int say;	       /* what it says then */
	struct cancel *cancel; /* set at the first entry */
};

static void listed_deinit(struct listed *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->keys[i]);
	*l = (struct listed){ 0 };
}

static int note_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct listed *l = ctx;

	if (l->count == LISTED_MAX)
		return err_set(e, ERR_IO, -E2BIG, "more entries than there are keys");
	l->keys[l->count] = strdup(entry->key);
	l->is_prefix[l->count++] = entry->is_prefix;
	if (l->cancel)
		cancel_set(l->cancel, 1);
	if (l->count != l->stop_at)
		return 0;
	return l->say < 0 ? err_set(e, ERR_IO, l->say, "said by the callback") : l->say;
}

static int list(struct contract *t, const char *prefix, bool delimiter, const char *start_after,
		struct listed *l)
{
	struct store_list req = { .prefix = prefix,
				  .delimiter = delimiter,
				  .start_after = start_after,
				  .entry = note_entry,
				  .ctx = l };

	t->err = ERR_INIT;
	return store_list(t->store, &req, l->cancel, &t->err);
}

/* Bytewise in order; '/' sorts behind '-' and '.', U+FFFD before U+1F600 (in UTF-16 it is the other way round). */
static const char *const sorted[] = {
	"B",
	"a!x",
	"a-b",
	"a.b",
	"a/!",
	"a/b",
	"a/c-d",
	"a/c.d",
	"a/c/d",
	"a/c/e",
	"a/c0",
	"a0/x",
	"b",
	"c d/<&>\"'",
	"c%20d",
	"c+d",
	"\xc3\xa9",
	"\xef\xbf\xbd",
	"\xf0\x9f\x98\x80",
};

static bool put_sorted(struct contract *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) /* in another order */
		CHECK_IS(contract_put(t, sorted[i * 7 % ARRAY_SIZE(sorted)], "x", 1), 0);
	return true;
}

static bool starts_with(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

static bool check_listing(struct contract *t, const char *prefix, const char *start_after)
{
	_cleanup_(listed_deinit) struct listed l = { 0 };
	size_t n = 0;

	CHECK_IS(list(t, prefix, false, start_after, &l), 0);
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		if (!starts_with(sorted[i], prefix) ||
		    (start_after && strcmp(sorted[i], start_after) <= 0))
			continue;
		CHECK(n < l.count);
		if (strcmp(l.keys[n], sorted[i]) != 0)
			printf("# prefix \"%s\": \"%s\", not \"%s\"\n", prefix, l.keys[n],
			       sorted[i]);
		CHECK(strcmp(l.keys[n], sorted[i]) == 0);
		CHECK(!l.is_prefix[n]);
		n++;
	}
	CHECK_IS(l.count, n);
	return true;
}

static bool keys_are_listed_in_the_order_of_their_bytes(struct contract *t)
{
	CHECK(check_listing(t, "nothing/here", NULL));
	CHECK(put_sorted(t));
	CHECK(check_listing(t, "", NULL));
	return true;
}

static bool a_prefix_is_a_part_of_a_key_not_a_directory(struct contract *t)
{
	static const char *const prefixes[] = { "a",	  "a/",	 "a/c",	    "a/c/",    "a/c/d",
						"a/c/de", "c",	 "c ",	    "c+",      "c%",
						"\xc3",	  "zzz", "zz/top/", "a/../a/", "/a",
						"//",	  "b/" };

	CHECK(put_sorted(t));
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		/* A prefix that cuts a character in two is no text: not every server can be asked for it. */
		if (strcmp(prefixes[i], "\xc3") != 0 || (store_caps(t->store) & STORE_CAP_LOCAL))
			CHECK(check_listing(t, prefixes[i], NULL));
	return true;
}

static bool a_listing_starts_behind_a_key(struct contract *t)
{
	CHECK(put_sorted(t));
	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++) {
		CHECK(check_listing(t, "", sorted[i]));
		CHECK(check_listing(t, "a/", sorted[i]));
	}
	CHECK(check_listing(t, "", "a/c/dd"));
	CHECK(check_listing(t, "", "a/"));
	CHECK(check_listing(t, "", "A"));
	return true;
}

static bool check_groups(struct contract *t, const char *prefix, const char *start_after,
			 const char *const *want, size_t want_count)
{
	_cleanup_(listed_deinit) struct listed l = { 0 };

	CHECK_IS(list(t, prefix, true, start_after, &l), 0);
	for (size_t i = 0; i < l.count && i < want_count; i++) {
		size_t len = strlen(want[i]);

		if (strcmp(l.keys[i], want[i]) != 0)
			printf("# \"%s\", not \"%s\"\n", l.keys[i], want[i]);
		CHECK(strcmp(l.keys[i], want[i]) == 0);
		CHECK(l.is_prefix[i] == (want[i][len - 1] == '/'));
	}
	CHECK_IS(l.count, want_count);
	return true;
}

static bool a_delimiter_groups_keys_and_keeps_the_order(struct contract *t)
{
	static const char *const top[] = { "B",
					   "a!x",
					   "a-b",
					   "a.b",
					   "a/",
					   "a0/",
					   "b",
					   "c d/",
					   "c%20d",
					   "c+d",
					   "\xc3\xa9",
					   "\xef\xbf\xbd",
					   "\xf0\x9f\x98\x80" };
	static const char *const below_a[] = { "a/!", "a/b", "a/c-d", "a/c.d", "a/c/", "a/c0" };
	static const char *const from_a[] = { "a!x", "a-b", "a.b", "a/", "a0/" };
	static const char *const a_c[] = { "a/c-d", "a/c.d", "a/c/", "a/c0" };

	CHECK(put_sorted(t));
	CHECK(check_groups(t, "", NULL, top, ARRAY_SIZE(top)));
	CHECK(check_groups(t, "a/", NULL, below_a, ARRAY_SIZE(below_a)));
	CHECK(check_groups(t, "a", NULL, from_a, ARRAY_SIZE(from_a)));
	CHECK(check_groups(t, "a/c", NULL, a_c, ARRAY_SIZE(a_c)));
	CHECK(check_groups(t, "", "a.b", top + 4, ARRAY_SIZE(top) - 4));
	CHECK(check_groups(t, "a/", "a/c0", NULL, 0));
	return true;
}

static bool a_group_without_keys_is_not_listed(struct contract *t)
{
	static const char *const keys[] = { "g/deep/er/1", "g/deep/er/2" };
	_cleanup_(listed_deinit) struct listed before = { 0 }, after = { 0 };
	size_t errors;

	CHECK_IS(contract_put(t, "g/1", "x", 1), 0);
	CHECK_IS(contract_put(t, keys[0], "x", 1), 0);
	CHECK_IS(contract_put(t, keys[1], "x", 1), 0);
	CHECK_IS(list(t, "g/", true, NULL, &before), 0);
	CHECK_IS(before.count, 2);
	CHECK(strcmp(before.keys[1], "g/deep/") == 0);
	CHECK_IS(contract_delete(t, keys, 2, &errors), 0);
	CHECK_IS(list(t, "g/", true, NULL, &after), 0);
	CHECK_IS(after.count, 1);
	return true;
}

static int compare_with_head(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct contract *t = ctx;
	struct store_meta meta;
	int r = store_head(t->store, entry->key, &meta, NULL, e);
	int64_t apart_ns;

	if (r)
		return r < 0 ? r : err_set(e, ERR_IO, -ENOENT, "listed, but not there");
	apart_ns = entry->modified_ns - meta.modified_ns;
	if (entry->size_bytes != meta.size_bytes || strcmp(entry->etag, meta.etag) != 0 ||
	    apart_ns > 1000000000 || apart_ns < -1000000000)
		return err_set(e, ERR_IO, -EBADMSG, "listed otherwise than told by head");
	return 0;
}

static bool entries_say_what_head_says(struct contract *t)
{
	static const size_t sizes[] = { 0, 1, 70000 };
	_cleanup_free_ uint8_t *data = contract_bytes(70000, 7);
	struct store_list req = { .prefix = "h/", .entry = compare_with_head, .ctx = t };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char key[32];

		snprintf(key, sizeof(key), "h/%zu", sizes[i]);
		CHECK_IS(contract_put(t, key, data, sizes[i]), 0);
	}
	CHECK_IS(store_list(t->store, &req, NULL, &t->err), 0);
	return true;
}

static bool check_numbers(const struct listed *l, unsigned first)
{
	for (size_t i = 0; i < l->count; i++) {
		char key[32];

		snprintf(key, sizeof(key), "p/%04u", first + (unsigned)i);
		CHECK(strcmp(l->keys[i], key) == 0);
	}
	return true;
}

static bool stop_early(struct contract *t, size_t at)
{
	_cleanup_(listed_deinit) struct listed stopped = { .stop_at = at, .say = 1 };
	_cleanup_(listed_deinit) struct listed failed = { .stop_at = at, .say = -EXDEV };

	CHECK_IS(list(t, "p/", false, NULL, &stopped), 0);
	CHECK_IS(t->err.kind, ERR_NONE);
	CHECK_IS(stopped.count, at);
	CHECK_IS(list(t, "p/", false, NULL, &failed), -EXDEV);
	CHECK_IS(failed.count, at);
	return true;
}

static bool delete_numbers(struct contract *t, unsigned count)
{
	static char keys[STORE_DELETE_MAX][16];
	static const char *pointers[STORE_DELETE_MAX];
	size_t errors;

	for (unsigned i = 0; i < count; i++) {
		snprintf(keys[i], sizeof(keys[i]), "p/%04u", i);
		pointers[i] = keys[i];
	}
	CHECK_IS(contract_delete(t, pointers, count, &errors), 0);
	CHECK_IS(errors, 0);
	return true;
}

static bool listings_go_on_behind_a_page(struct contract *t)
{
	_cleanup_(listed_deinit) struct listed all = { 0 }, tail = { 0 }, groups = { 0 },
					       left = { 0 };
	struct cancel c = { 0 };
	_cleanup_(listed_deinit) struct listed cancelled = { .cancel = &c };

	CHECK_IS(contract_put_numbered(t, "p/", 1007), 0);
	CHECK_IS(contract_put(t, "q", "x", 1), 0);
	CHECK_IS(list(t, "p/", false, NULL, &all), 0);
	CHECK_IS(all.count, 1007);
	CHECK(check_numbers(&all, 0));
	CHECK_IS(list(t, "p/", false, "p/0004", &tail), 0);
	CHECK_IS(tail.count, 1002);
	CHECK(check_numbers(&tail, 5));
	CHECK_IS(list(t, "", true, NULL, &groups), 0);
	CHECK_IS(groups.count, 2);
	CHECK(stop_early(t, 1) && stop_early(t, 1000) && stop_early(t, 1001));
	CHECK_IS(list(t, "p/", false, NULL, &cancelled), -ECANCELED);
	CHECK(cancelled.count < 1007);
	CHECK(delete_numbers(t, STORE_DELETE_MAX));
	CHECK_IS(list(t, "p/", false, NULL, &left), 0);
	CHECK_IS(left.count, 7);
	CHECK(check_numbers(&left, 1000));
	return true;
}

#define CASE(name)          \
	{                   \
#name, name \
	}
const struct contract_case contract_list_cases[] = {
	CASE(keys_are_listed_in_the_order_of_their_bytes),
	CASE(a_prefix_is_a_part_of_a_key_not_a_directory),
	CASE(a_listing_starts_behind_a_key),
	CASE(a_delimiter_groups_keys_and_keeps_the_order),
	CASE(a_group_without_keys_is_not_listed),
	CASE(entries_say_what_head_says),
	CASE(listings_go_on_behind_a_page),
	{ 0 },
};
