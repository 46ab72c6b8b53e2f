/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include "store/mem.h"
#include "store/wrap.h"
#include "tests/unit/store/scripted.h"

struct plan {
	enum fault fault;
	char method[16], key[32]; /* what was asked about last */
};

static enum fault decide(void *ctx, const char *method, const char *key)
{
	struct plan *p = ctx;

	snprintf(p->method, sizeof(p->method), "%s", method);
	snprintf(p->key, sizeof(p->key), "%s", key);
	return p->fault;
}

static struct store *faulty(struct plan *p)
{
	struct store *s = fault_store_new(mem_store_new(clock_system()), decide, p);

	cr_assert(s);
	return s;
}

static int put(struct store *s, const char *text, struct err *e)
{
	return store_put_bytes(s, "k", text, strlen(text), STORE_ALWAYS, NULL, NULL, NULL, e);
}

static int get_whole(struct store *s, char got[16], struct store_meta *meta)
{
	memset(got, '.', 16);
	return store_get(
		s, &(struct store_get){ .key = "k", .whole = true, .dst = got, .cap_bytes = 16 },
		meta, NULL, NULL);
}

Test(fault, a_put_that_fails_before_leaves_nothing_and_one_after_leaves_it_all)
{
	struct plan p = { .fault = FAULT_BEFORE };
	_cleanup_(store_freep) struct store *s = faulty(&p);
	struct store_meta meta;
	struct err e = ERR_INIT;
	char got[16];

	cr_assert_eq(put(s, "12345678", &e), -EIO);
	cr_assert(e.retryable && !e.outcome_unknown);
	cr_assert_str_eq(p.method, "put");
	cr_assert_str_eq(p.key, "k");
	p.fault = FAULT_NONE;
	cr_assert_eq(get_whole(s, got, &meta), STORE_NOT_FOUND);
	p.fault = FAULT_LOST;
	cr_assert_eq(put(s, "12345678", &e), -EIO);
	cr_assert(e.retryable && e.outcome_unknown);
	cr_assert_eq(get_whole(s, got, &meta), -EIO);
	p.fault = FAULT_NONE;
	cr_assert_eq(get_whole(s, got, &meta), STORE_NOT_FOUND);
	p.fault = FAULT_AFTER;
	cr_assert_eq(put(s, "12345678", &e), -EIO);
	cr_assert(e.retryable && e.outcome_unknown);
	p.fault = FAULT_FULL;
	cr_assert_eq(put(s, "more", &e), -ENOSPC);
	cr_assert(!e.retryable && !e.outcome_unknown);
	cr_assert_eq(get_whole(s, got, &meta), 0);
	cr_assert_eq(memcmp(got, "12345678", 8), 0);
}

Test(fault, the_body_of_a_get_is_mangled_as_asked)
{
	static const struct {
		enum fault fault;
		size_t size;
		const char *whole, *range; /* the range is bytes 2 to 6 */
	} table[] = {
		{ FAULT_NONE, 8, "12345678", "3456" },
		{ FAULT_TRUNCATE, 4, "1234", "34\0\0" },
		{ FAULT_FLIP_BIT, 8, "1234%678", "34%6" },
		{ FAULT_EMPTY, 0, "", "\0\0\0\0" },
	};
	struct plan p = { 0 };
	_cleanup_(store_freep) struct store *s = faulty(&p);

	cr_assert_eq(put(s, "12345678", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct store_meta meta;
		char got[16];
		struct store_get range = {
			.key = "k", .offset = 2, .len_bytes = 4, .dst = got, .cap_bytes = 4
		};

		p.fault = table[i].fault;
		cr_assert_eq(get_whole(s, got, &meta), 0);
		cr_expect_eq(meta.size_bytes, table[i].size, "row %zu", i);
		cr_expect_eq(memcmp(got, table[i].whole, table[i].size), 0, "row %zu: %.8s", i,
			     got);
		cr_assert_eq(store_get(s, &range, &meta, NULL, NULL), 0);
		cr_expect_eq(memcmp(got, table[i].range, 4), 0, "row %zu: %.4s", i, got);
		cr_expect_eq(meta.size_bytes, 8);
	}
}

struct seen {
	const char *dst;
	char first[5];
	unsigned calls;
};

static void look(void *ctx, size_t done)
{
	struct seen *seen = ctx;

	seen->calls++;
	memcpy(seen->first, seen->dst, MIN_OF(done, (size_t)4));
}

Test(fault, progress_never_shows_the_bytes_as_they_were)
{
	struct plan p = { 0 };
	_cleanup_(store_freep) struct store *s = faulty(&p);
	char got[16] = "....";
	struct seen seen = { .dst = got };
	struct store_get req = { .key = "k",
				 .len_bytes = 4,
				 .dst = got,
				 .cap_bytes = 4,
				 .progress = look,
				 .progress_ctx = &seen };

	cr_assert_eq(put(s, "1234", NULL), 0);
	p.fault = FAULT_FLIP_BIT;
	cr_assert_eq(store_get(s, &req, NULL, NULL, NULL), 0);
	cr_assert_eq(seen.calls, 1);
	cr_assert_str_eq(seen.first, "12#4");
}

static int append(void *ctx, const struct store_entry *entry, struct err *e)
{
	strcat(ctx, entry->key);
	return 0;
}

Test(fault, other_methods_fail_before_or_after_they_are_carried_out)
{
	struct plan p = { 0 };
	_cleanup_(store_freep) struct store *s = faulty(&p);
	char seen[8] = "";
	struct store_list list = { .prefix = "", .entry = append, .ctx = seen };
	struct store_delete_error error;
	const char *key = "k";
	size_t errors;

	cr_assert_eq(put(s, "x", NULL), 0);
	p.fault = FAULT_BEFORE;
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	cr_assert_eq(store_list(s, &list, NULL, NULL), -EIO);
	cr_assert_str_eq(seen, "");
	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), -EIO);
	p.fault = FAULT_AFTER;
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), -EIO);
	cr_assert_eq(store_list(s, &list, NULL, NULL), -EIO);
	cr_assert_str_eq(seen, "k");
	cr_assert_eq(store_delete_many(s, &key, 1, &error, &errors, NULL, NULL), -EIO);
	cr_assert_str_eq(p.method, "delete_many");
	p.fault = FAULT_NONE;
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), STORE_NOT_FOUND);
}
