/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/catalog/parsed.h"

/* ---- names ---- */

Test(tree, names_are_ordered_by_their_key_and_then_by_name)
{
	static const char *const sorted[] = {
		"README",
		"manifest.json",
		"schema.cql",
		"-a",
		"nb-1-big-Data.db",
		"nb-1-big-TOC.txt",
		"nb-10-big-Data.db",
		"nb-2-big-Data.db",
		"nb-2-big-Data.db2",
		"nb-2-bigger-A",
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t k = 0; k < ARRAY_SIZE(sorted); k++) {
			int order = tree_compare_names(sorted[i], sorted[k]);

			/* "-a" has the key "", as names without '-' have: it sorts before them. */
			if (strcmp(sorted[i], "-a") == 0 || strcmp(sorted[k], "-a") == 0)
				continue;
			cr_expect_eq(order < 0, i < k, "%s %s", sorted[i], sorted[k]);
			cr_expect_eq(order == 0, i == k);
		}
	cr_expect_lt(tree_compare_names("-a", "README"), 0);
	cr_expect_eq(tree_key_length("nb-1-big-Data.db"), 8);
	cr_expect_eq(tree_key_length("schema.cql"), 0);
	cr_expect_eq(tree_key_length("-a"), 0);
}

Test(tree, a_run_ends_where_the_key_changes_or_after_64_names)
{
	static const char *const names[] = { "a", "b", "nb-1-big-Data.db", "nb-1-big-TOC.txt",
					     "nb-2-big-Data.db" };
	const char *many[100];

	cr_expect_eq(tree_run_length(names, 5), 2);
	cr_expect_eq(tree_run_length(names + 2, 3), 2);
	cr_expect_eq(tree_run_length(names + 4, 1), 1);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "x";
	cr_expect_eq(tree_run_length(many, 100), 64);
}

/* ---- trees ---- */

struct sample_tree {
	struct tree tree;
	struct child children[3];
	struct run_ref runs[200];
	char names[200][40];
};

static struct place sample_place(uint64_t seed, struct object_ref object, uint32_t offset,
				 uint32_t len)
{
	return (struct place){ .digest = sample_id(seed + 5000),
			       .extent = { .object = object, .offset = offset, .len_bytes = len } };
}

static struct sample_tree *sample_tree(unsigned runs)
{
	struct sample_tree *s = calloc(1, sizeof(*s));
	static const char *const children[] = { ".idx", ".idx2", "backups" };
	struct object_ref pack = sample_pack(1, 1);
	uint32_t at = 5;

	cr_assert(s);
	for (unsigned i = 0; i < ARRAY_SIZE(children); i++) {
		struct attributes attr = { 0755, 999, 999, INT64_C(1763808000123456789) + i };

		s->children[i] =
			(struct child){ children[i], attr, sample_place(i, pack, at, 300) };
		at += 300;
	}
	for (unsigned i = 0; i < runs; i++) {
		snprintf(s->names[i], sizeof(s->names[i]), "nb-%u-big-CompressionInfo.db",
			 1000 + i);
		s->runs[i] = (struct run_ref){ s->names[i], i % 50 == 7 ? 9 : 8,
					       sample_place(i + 10, pack, at, 1230) };
		s->tree.file_count += s->runs[i].entry_count;
		at += 1230;
	}
	s->tree.children = s->children;
	s->tree.child_count = ARRAY_SIZE(children);
	s->tree.runs = s->runs;
	s->tree.run_count = runs;
	s->tree.file_count += 100;
	s->tree.dir_count = 3;
	s->tree.total_bytes = UINT64_C(123456789012345);
	return s;
}

static void encode_tree(const struct sample_tree *s, struct wbuf *out)
{
	struct err e = ERR_INIT;

	wbuf_init(out, FORMAT_TREE_BYTES);
	cr_assert_eq(tree_encode(&s->tree, out, &e), 0, "%s", e.message);
}

static void expect_place(const struct place *a, const struct place *b)
{
	cr_expect_eq(memcmp(a->digest.b, b->digest.b, SHA256_BYTES), 0);
	cr_expect(extents_equal(&a->extent, &b->extent));
}

static void expect_tree_round_trip(const struct sample_tree *s)
{
	_cleanup_wbuf_ struct wbuf b, again;
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct err e = ERR_INIT;

	encode_tree(s, &b);
	t = parse_tree(&b);
	cr_assert_eq(t->child_count, s->tree.child_count);
	cr_assert_eq(t->run_count, s->tree.run_count);
	cr_expect_eq(t->file_count, s->tree.file_count);
	cr_expect_eq(t->dir_count, s->tree.dir_count);
	cr_expect_eq(t->total_bytes, s->tree.total_bytes);
	for (uint32_t i = 0; i < t->child_count; i++) {
		const struct child *c = &t->children[i], *d = &s->tree.children[i];

		cr_expect_str_eq(c->name, d->name);
		cr_expect_eq(c->attr.mode, d->attr.mode);
		cr_expect_eq(c->attr.uid, d->attr.uid);
		cr_expect_eq(c->attr.gid, d->attr.gid);
		cr_expect_eq(c->attr.mtime_ns, d->attr.mtime_ns);
		expect_place(&c->place, &d->place);
		cr_expect_eq(tree_find_child(t, d->name), c);
	}
	for (uint32_t i = 0; i < t->run_count; i++) {
		cr_expect_str_eq(t->runs[i].first, s->tree.runs[i].first);
		cr_expect_eq(t->runs[i].entry_count, s->tree.runs[i].entry_count);
		expect_place(&t->runs[i].place, &s->tree.runs[i].place);
		cr_expect_eq(tree_find_run(t, s->tree.runs[i].first), &t->runs[i]);
	}
	wbuf_init(&again, FORMAT_TREE_BYTES);
	cr_assert_eq(tree_encode(t, &again, &e), 0, "%s", e.message);
	cr_assert_eq(again.len, b.len);
	cr_expect_eq(memcmp(again.data, b.data, b.len), 0);
}

Test(tree, trees_with_and_without_runs_and_children_come_back)
{
	for (unsigned runs = 0; runs < 200; runs = runs * 2 + 1) {
		_cleanup_free_ struct sample_tree *s = sample_tree(runs);

		expect_tree_round_trip(s);
		s->tree.child_count = runs % 2;
		expect_tree_round_trip(s);
		s->tree.child_count = 0;
		expect_tree_round_trip(s);
	}
}

Test(tree, a_run_takes_about_40_bytes_in_its_tree)
{
	_cleanup_free_ struct sample_tree *few = sample_tree(100), *many = sample_tree(200);
	_cleanup_wbuf_ struct wbuf a, b;

	encode_tree(few, &a);
	encode_tree(many, &b);
	cr_expect_lt(b.len - a.len, 100 * 42, "%zu bytes", b.len - a.len);
}

Test(tree, only_the_run_that_can_hold_a_name_is_found)
{
	_cleanup_free_ struct sample_tree *s = sample_tree(3);
	_cleanup_wbuf_ struct wbuf b;
	_cleanup_(tree_freep) struct tree *t = NULL;

	s->runs[0].first = "a";
	s->runs[0].entry_count = 64;
	s->runs[1].first = "m";
	s->runs[2].first = "nb-5-big-Data.db";
	s->tree.file_count += 64;
	encode_tree(s, &b);
	t = parse_tree(&b);
	cr_expect_null(tree_find_run(t, "A"));
	cr_expect_eq(tree_find_run(t, "a"), &t->runs[0]);
	cr_expect_eq(tree_find_run(t, "lzz"), &t->runs[0]);
	cr_expect_eq(tree_find_run(t, "m"), &t->runs[1]);
	cr_expect_eq(tree_find_run(t, "zz"), &t->runs[1]);
	cr_expect_null(tree_find_run(t, "nb-5-big-CRC.db"));
	cr_expect_eq(tree_find_run(t, "nb-5-big-TOC.txt"), &t->runs[2]);
	cr_expect_null(tree_find_run(t, "nb-50-big-TOC.txt"));
	cr_expect_null(tree_find_run(t, "nb-4-big-TOC.txt"));
	cr_expect_null(tree_find_child(t, "backup"));
	cr_expect_null(tree_find_child(t, "nb-5-big-Data.db"));
}

Test(tree, the_encoder_refuses_what_must_not_be)
{
	for (int i = 0; i < 14; i++) {
		_cleanup_free_ struct sample_tree *s = sample_tree(3);
		_cleanup_wbuf_ struct wbuf b;
		struct err e = ERR_INIT;

		wbuf_init(&b, FORMAT_TREE_BYTES);
		switch (i) {
		case 0:
			s->children[1].name = ".idx";
			break;
		case 1:
			s->children[0].name = ".";
			break;
		case 2:
			s->children[2].attr.mode = 040755;
			break;
		case 3:
			s->children[0].place.extent.len_bytes = 0;
			break;
		case 4:
			s->runs[1].first = s->runs[0].first;
			break;
		case 5:
			s->runs[1].entry_count = 0;
			break;
		case 6:
			s->runs[1].entry_count = 65;
			break;
		case 7:
			s->runs[0].first = "nb-1001-big-A";
			break; /* not cut after 64 */
		case 8:
			s->runs[0].place.extent.object.head_bytes--;
			break;
		case 9:
			s->tree.file_count = 23;
			break;
		case 10:
			s->tree.dir_count = 2;
			break;
		case 11:
			s->tree.total_bytes = UINT64_MAX;
			break;
		case 12:
			s->runs[2].first = "a/b";
			break;
		case 13:
			s->runs[2].place.extent.offset = 8300000;
			break;
		}
		cr_expect_eq(tree_encode(&s->tree, &b, &e), -EINVAL, "case %d", i);
	}
}

Test(tree, what_is_cut_short_or_too_long_is_refused)
{
	_cleanup_free_ struct sample_tree *s = sample_tree(20);
	_cleanup_wbuf_ struct wbuf b;

	encode_tree(s, &b);
	for (size_t n = 0; n < b.len; n++) {
		_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, b.data, n);
		expect_tree_refused(copy, n, "cut short");
	}
	wbuf_u8(&b, 0);
	expect_tree_refused(b.data, b.len, "too long");
}

Test(tree, a_changed_byte_is_refused_or_means_something_else)
{
	_cleanup_free_ struct sample_tree *s = sample_tree(10);
	_cleanup_wbuf_ struct wbuf b;
	size_t accepted = 0;

	encode_tree(s, &b);
	for (size_t i = 0; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			_cleanup_wbuf_ struct wbuf again;
			_cleanup_(tree_freep) struct tree *t = NULL;
			struct err e = ERR_INIT;

			b.data[i] ^= (uint8_t)(1 << bit);
			wbuf_init(&again, FORMAT_TREE_BYTES);
			if (tree_parse(b.data, b.len, &t, &e) == 0) {
				accepted++;
				cr_assert_eq(tree_encode(t, &again, &e), 0, "byte %zu: %s", i,
					     e.message);
				cr_expect(again.len == b.len &&
						  memcmp(again.data, b.data, b.len) == 0,
					  "byte %zu bit %d has a second encoding", i, bit);
			}
			b.data[i] ^= (uint8_t)(1 << bit);
		}
	cr_expect_gt(accepted, 100);
}

/* A table of many empty claims must not make the parser take memory: it asks only for what the input can hold. */
Test(tree, counts_that_the_input_cannot_hold_are_refused)
{
	_cleanup_wbuf_ struct wbuf b;

	for (int i = 0; i < 4; i++) {
		wbuf_init(&b, 1000);
		wbuf_put(&b, i < 2 ? "T\1\0\0\0" : "R\1", i < 2 ? 5 : 2);
		if (i % 2) {
			wbuf_varint(&b, 1); /* one writer … */
			wbuf_put(&b, "0123456789abcdef", 16);
		}
		wbuf_varint(&b, UINT64_C(1) << 60); /* … with so many objects; or so many writers */
		if (i < 2)
			expect_tree_refused(b.data, b.len, "claims");
		else
			expect_run_refused(b.data, b.len, "claims");
		wbuf_deinit(&b);
	}
}

Test(tree, children_get_no_more_room_than_their_parent_says)
{
	const struct tree parent = { .file_count = 10, .dir_count = 5 };
	const struct tree leaf = { .file_count = 0, .dir_count = 0 };
	const struct tree most = { .file_count = 10, .dir_count = 4 };
	const struct tree files = { .file_count = 11, .dir_count = 0 };
	const struct tree dirs = { .file_count = 0, .dir_count = 5 };
	struct tree_room room = tree_room(&parent);

	cr_expect_not(tree_room_take(&room, &files));
	cr_expect_not(tree_room_take(&room, &dirs));
	cr_assert(tree_room_take(&room, &most));
	cr_expect_not(tree_room_take(&room, &leaf), "it is a directory too");
	room = tree_room(&parent);
	for (int i = 0; i < 5; i++)
		cr_expect(tree_room_take(&room, &leaf));
	cr_expect_not(tree_room_take(&room, &leaf));
}

Test(tree, totals_beyond_the_limits_of_a_backup_are_refused)
{
	struct tree t = { .file_count = FORMAT_FILES, .dir_count = FORMAT_DIRECTORIES };
	_cleanup_wbuf_ struct wbuf out;
	struct err e = ERR_INIT;

	wbuf_init(&out, FORMAT_TREE_BYTES);
	cr_expect_eq(tree_encode(&t, &out, &e), 0, "%s", e.message);
	t.file_count++;
	cr_expect_eq(tree_encode(&t, &out, &e), -EINVAL);
	t.file_count--;
	t.dir_count++;
	cr_expect_eq(tree_encode(&t, &out, &e), -EINVAL);
}
