/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of runs and trees share. */
#ifndef SSTABLEFS_TESTS_PARSED_H
#define SSTABLEFS_TESTS_PARSED_H

#include <errno.h>
#include "tests/unit/catalog/sample.h"

static inline struct run *parse_run(const struct wbuf *b)
{
	struct run *run = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(run_parse(b->data, b->len, &run, &e), 0, "%s", e.message);
	return run;
}

static inline void expect_run_refused(const void *data, size_t len, const char *why)
{
	struct run *run = NULL;
	struct err e = ERR_INIT;
	int r = run_parse(data, len, &run, &e);

	cr_expect_eq(r, -EBADMSG, "%s", why);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_null(run);
}

static inline struct tree *parse_tree(const struct wbuf *b)
{
	struct tree *t = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(tree_parse(b->data, b->len, &t, &e), 0, "%s", e.message);
	return t;
}

static inline void expect_tree_refused(const void *data, size_t len, const char *why)
{
	struct tree *t = NULL;
	struct err e = ERR_INIT;
	int r = tree_parse(data, len, &t, &e);

	cr_expect_eq(r, -EBADMSG, "%s", why);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_null(t);
}

static inline bool extents_equal(const struct extent *a, const struct extent *b)
{
	return memcmp(a->object.writer.b, b->object.writer.b, ULID_BYTES) == 0 &&
	       memcmp(a->object.id.b, b->object.id.b, SHA256_BYTES) == 0 &&
	       a->object.head_bytes == b->object.head_bytes &&
	       a->object.plain_bytes == b->object.plain_bytes &&
	       a->object.flags == b->object.flags && a->offset == b->offset &&
	       a->len_bytes == b->len_bytes;
}

#endif
