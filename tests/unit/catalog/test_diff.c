/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/diff.h"
#include "tests/unit/catalog/fixture.h"

#define MTIME 1700000000123456789LL

struct sample {
	struct fixture *f;
	struct record *a, *b;
};

static struct sample sample_new(const struct fixture_file *a, size_t a_count,
				const struct fixture_file *b, size_t b_count)
{
	struct sample s = { .f = fixture_new(OBJECT_VERIFY_XXH3) };

	s.a = fixture_backup(s.f, "a", a, a_count, OBJECT_COMPRESS_ZSTD);
	s.b = fixture_backup(s.f, "b", b, b_count, OBJECT_COMPRESS_ZSTD);
	s.f->wire->gets = 0;
	return s;
}

static void sample_deinit(struct sample *s)
{
	record_free(s->a);
	record_free(s->b);
	fixture_free(s->f);
}
#define _cleanup_sample_ _cleanup_(sample_deinit)

static int say(void *ctx, enum diff_kind kind, const char *path, const struct entry *a,
	       const struct entry *b, struct err *e)
{
	char *text = ctx;

	cr_expect_eq(a == NULL, kind == DIFF_ADDED);
	cr_expect_eq(b == NULL, kind == DIFF_REMOVED);
	if (strcmp(path, "fail") == 0)
		return err_set(e, ERR_IO, -EPIPE, "cannot write");
	snprintf(text + strlen(text), 4096 - strlen(text), "%c %s\n", "+-*m"[kind], path);
	return 0;
}

static void expect_diff(struct sample *s, const struct record *a, const struct record *b,
			const char *expected)
{
	char text[4096] = "";
	struct err e = ERR_INIT;

	cr_assert_eq(diff_run(s->f->meta, a, b, say, text, NULL, &e), 0, "%s", e.message);
	cr_expect_str_eq(text, expected);
}

static const struct fixture_file before[] = {
	{ .path = "data/ks/t/nb-1-big-Data.db", .data = "one", .len_bytes = 3 },
	{ .path = "data/ks/t/nb-1-big-Statistics.db", .data = "old", .len_bytes = 3 },
	{ .path = "data/ks/t/nb-2-big-Data.db", .data = "two", .len_bytes = 3 },
	{ .path = "data/ks/t/nb-3-big-Data.db", .data = "three", .len_bytes = 5 },
	{ .path = "data/ks/t-dropped/x", .data = "x", .len_bytes = 1 },
	{ .path = "data/ks/u/.i/nb-1-big-Data.db", .data = "i", .len_bytes = 1 },
	{ .path = "data/same/v/nb-1-big-Data.db", .data = "v", .len_bytes = 1 },
	{ .path = "schema.cql", .data = "old", .len_bytes = 3 },
	{ .path = "was-a-file", .data = "f", .len_bytes = 1 },
};
static const struct fixture_file after[] = {
	{ .path = "data/ks/t/nb-1-big-Data.db", .data = "one", .len_bytes = 3 },
	{ .path = "data/ks/t/nb-1-big-Statistics.db", .data = "new", .len_bytes = 3 },
	{ .path = "data/ks/t/nb-2-big-Data.db",
	  .data = "two",
	  .len_bytes = 3,
	  .attr = { 0600, 0, 0, MTIME } },
	{ .path = "data/ks/t/nb-4-big-Data.db", .data = "four", .len_bytes = 4 },
	{ .path = "data/ks/t.new/nb-1-big-Data.db", .data = "n", .len_bytes = 1 },
	{ .path = "data/ks/u/.i/nb-1-big-Data.db", .data = "i", .len_bytes = 1 },
	{ .path = "data/same/v/nb-1-big-Data.db", .data = "v", .len_bytes = 1 },
	{ .path = "schema.cql", .data = "new", .len_bytes = 3 },
	{ .path = "was-a-file/inside", .data = "f", .len_bytes = 1 },
};

Test(diff, files_are_compared_by_path_and_content_in_the_order_of_paths)
{
	_cleanup_sample_ struct sample s =
		sample_new(before, ARRAY_SIZE(before), after, ARRAY_SIZE(after));

	expect_diff(&s, s.a, s.b,
		    "- data/ks/t-dropped/x\n"
		    "+ data/ks/t.new/nb-1-big-Data.db\n"
		    "* data/ks/t/nb-1-big-Statistics.db\n"
		    "m data/ks/t/nb-2-big-Data.db\n"
		    "- data/ks/t/nb-3-big-Data.db\n"
		    "+ data/ks/t/nb-4-big-Data.db\n"
		    "* schema.cql\n"
		    "- was-a-file\n"
		    "+ was-a-file/inside\n");
}

Test(diff, the_other_way_round_added_is_removed)
{
	_cleanup_sample_ struct sample s =
		sample_new(before, ARRAY_SIZE(before), after, ARRAY_SIZE(after));

	expect_diff(&s, s.b, s.a,
		    "+ data/ks/t-dropped/x\n"
		    "- data/ks/t.new/nb-1-big-Data.db\n"
		    "* data/ks/t/nb-1-big-Statistics.db\n"
		    "m data/ks/t/nb-2-big-Data.db\n"
		    "+ data/ks/t/nb-3-big-Data.db\n"
		    "- data/ks/t/nb-4-big-Data.db\n"
		    "* schema.cql\n"
		    "+ was-a-file\n"
		    "- was-a-file/inside\n");
}

Test(diff, equal_backups_do_not_differ_and_are_not_read)
{
	_cleanup_sample_ struct sample s =
		sample_new(before, ARRAY_SIZE(before), before, ARRAY_SIZE(before));

	expect_diff(&s, s.a, s.b, "");
	cr_expect_eq(s.f->wire->gets, 0);
}

Test(diff, what_has_the_same_digest_is_not_read)
{
	_cleanup_sample_ struct sample s =
		sample_new(before, ARRAY_SIZE(before), after, ARRAY_SIZE(after));
	char key[KEY_BYTES];
	struct run *run = NULL;
	_cleanup_(tree_freep) struct tree *root = NULL, *data = NULL;
	const struct place *same;

	/* The tree of data/same is equal in both: without its object nothing changes. */
	cr_assert_eq(meta_tree(s.f->meta, &s.a->where, &s.a->root, &root, NULL, NULL), 0);
	cr_assert_eq(meta_tree(s.f->meta, &s.a->where, &tree_find_child(root, "data")->place, &data,
			       NULL, NULL),
		     0);
	same = &tree_find_child(data, "same")->place;
	fixture_delete(s.f, keys_object(key, &s.a->where, KEY_OBJECT_META,
					&same->extent.object.writer, &same->extent.object.id));
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
	cr_expect_eq(meta_run(s.f->meta, &s.a->where, same, &run, NULL, NULL), -ENOENT);
	expect_diff(&s, s.a, s.b,
		    "- data/ks/t-dropped/x\n"
		    "+ data/ks/t.new/nb-1-big-Data.db\n"
		    "* data/ks/t/nb-1-big-Statistics.db\n"
		    "m data/ks/t/nb-2-big-Data.db\n"
		    "- data/ks/t/nb-3-big-Data.db\n"
		    "+ data/ks/t/nb-4-big-Data.db\n"
		    "* schema.cql\n"
		    "- was-a-file\n"
		    "+ was-a-file/inside\n");
}

Test(diff, a_run_that_both_have_is_not_read)
{
	static const struct fixture_file files[] = {
		{ .path = "nb-1-big-Data.db", .data = "one", .len_bytes = 3 },
		{ .path = "nb-2-big-Data.db", .data = "two", .len_bytes = 3 },
	};
	_cleanup_sample_ struct sample s = sample_new(files, 1, files, 2);
	_cleanup_(tree_freep) struct tree *root = NULL;
	const struct object_ref *ref;
	char key[KEY_BYTES];

	cr_assert_eq(meta_tree(s.f->meta, &s.a->where, &s.a->root, &root, NULL, NULL), 0);
	ref = &root->runs[0].place.extent.object;
	fixture_delete(s.f, keys_object(key, &s.a->where, KEY_OBJECT_META, &ref->writer, &ref->id));
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
	expect_diff(&s, s.a, s.b, "+ nb-2-big-Data.db\n");
	expect_diff(&s, s.b, s.a, "- nb-2-big-Data.db\n");
}

Test(diff, errors_of_the_callback_and_damage_end_it)
{
	static const struct fixture_file one[] = { { .path = "x", .data = "1", .len_bytes = 1 } };
	static const struct fixture_file two[] = { { .path = "fail", .data = "2", .len_bytes = 1 } };
	_cleanup_sample_ struct sample s = sample_new(one, 1, two, 1);
	char text[4096] = "", key[KEY_BYTES];
	struct cancel c = { .reason = 1 };
	struct err e = ERR_INIT;

	cr_expect_eq(diff_run(s.f->meta, s.a, s.b, say, text, NULL, &e), -EPIPE);
	cr_expect_str_eq(e.message, "cannot write");
	cr_expect_eq(diff_run(s.f->meta, s.a, s.b, say, text, &c, &e), -ECANCELED);
	fixture_key(s.f, "/trees/", 0, key);
	fixture_flip(s.f, key, -1);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
	cr_expect_eq(diff_run(s.f->meta, s.a, s.b, say, text, NULL, &e), -EBADMSG);
	cr_expect_str_eq(e.key, key);
	s.b->has_root = false;
	cr_expect_eq(diff_run(s.f->meta, s.a, s.b, say, text, NULL, &e), -ENOENT);
}
