/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include "tests/unit/catalog/sample.h"

#define WHOLE ((uint32_t)FORMAT_OBJECT_BYTES)

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

/* ---- runs ---- */

struct sample_run {
	struct entry entries[FORMAT_RUN_ENTRIES];
	size_t count;
	struct extent extents[64];
	size_t extent_count;
};

static struct entry *add_entry(struct sample_run *s, const char *name, uint64_t size)
{
	struct entry *f = &s->entries[s->count++];

	*f = (struct entry){
		.name = name,
		.attr = { .mode = 0644, .uid = 999, .gid = 999 },
		.size_bytes = size,
		.content = sample_id(size),
	};
	f->attr.mtime_ns = INT64_C(1763808000123456789) + (int64_t)s->count * 900000000;
	return f;
}

static void add_inline(struct sample_run *s, const char *name, const char *data)
{
	struct entry *f = add_entry(s, name, strlen(data));

	f->inline_data = data;
	f->content = content_id(data, strlen(data));
}

static void add_extent(struct sample_run *s, struct object_ref object, uint32_t offset,
		       uint32_t len)
{
	struct entry *f = &s->entries[s->count - 1];

	if (!f->extents)
		f->extents = &s->extents[s->extent_count];
	f->extent_count++;
	s->extents[s->extent_count++] =
		(struct extent){ .object = object, .offset = offset, .len_bytes = len };
}

/* An SSTable as LeveledCompactionStrategy writes it: 160 MB in 20 objects, the other components in a pack. */
static struct sample_run *lcs_sstable(void)
{
	struct sample_run *s = calloc(1, sizeof(*s));
	struct object_ref pack = sample_pack(1, 1000);
	uint32_t at = 1234567;

	cr_assert(s);
	add_entry(s, "nb-1234-big-CompressionInfo.db", 81000);
	add_extent(s, pack, at, 81000);
	at += 81000;
	add_entry(s, "nb-1234-big-Data.db", (uint64_t)19 * WHOLE + 300000);
	for (uint64_t i = 0; i < 19; i++)
		add_extent(s, sample_whole(1, i, WHOLE), 0, WHOLE);
	add_extent(s, pack, at, 300000);
	at += 300000;
	add_inline(s, "nb-1234-big-Digest.crc32", "3721234567");
	add_entry(s, "nb-1234-big-Filter.db", 200008);
	add_extent(s, pack, at, 200008);
	at += 200008;
	add_entry(s, "nb-1234-big-Index.db", 3200000);
	add_extent(s, sample_whole(1, 77, 3200000), 0, 3200000);
	add_entry(s, "nb-1234-big-Statistics.db", 10200);
	add_extent(s, pack, at, 10200);
	at += 10200;
	add_entry(s, "nb-1234-big-Summary.db", 24000);
	add_extent(s, pack, at, 24000);
	add_inline(s, "nb-1234-big-TOC.txt",
		   "Statistics.db\nDigest.crc32\nFilter.db\nSummary.db\nTOC.txt\nCompressionInfo.db"
		   "\nIndex.db\nData.db\n");
	return s;
}

static void encode_run(const struct sample_run *s, struct wbuf *out)
{
	struct err e = ERR_INIT;

	wbuf_init(out, FORMAT_RUN_BYTES);
	cr_assert_eq(run_encode(s->entries, s->count, out, &e), 0, "%s", e.message);
}

static struct run *parse_run(const struct wbuf *b)
{
	struct run *run = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(run_parse(b->data, b->len, &run, &e), 0, "%s", e.message);
	return run;
}

static bool extents_equal(const struct extent *a, const struct extent *b)
{
	return memcmp(a->object.writer.b, b->object.writer.b, ULID_BYTES) == 0 &&
	       memcmp(a->object.id.b, b->object.id.b, SHA256_BYTES) == 0 &&
	       a->object.head_bytes == b->object.head_bytes &&
	       a->object.plain_bytes == b->object.plain_bytes &&
	       a->object.flags == b->object.flags && a->offset == b->offset &&
	       a->len_bytes == b->len_bytes;
}

static void expect_entry(const struct entry *a, const struct entry *b)
{
	cr_expect_str_eq(a->name, b->name);
	cr_expect_eq(a->attr.mode, b->attr.mode, "%s", a->name);
	cr_expect_eq(a->attr.uid, b->attr.uid);
	cr_expect_eq(a->attr.gid, b->attr.gid);
	cr_expect_eq(a->attr.mtime_ns, b->attr.mtime_ns, "%s", a->name);
	cr_expect_eq(a->size_bytes, b->size_bytes);
	cr_expect_eq(a->data_dir, b->data_dir);
	cr_expect_eq(memcmp(a->content.b, b->content.b, SHA256_BYTES), 0, "%s", a->name);
	cr_assert_eq(a->extent_count, b->extent_count, "%s", a->name);
	for (uint32_t i = 0; i < a->extent_count; i++)
		cr_expect(extents_equal(&a->extents[i], &b->extents[i]), "%s %u", a->name, i);
	if (a->size_bytes <= FORMAT_INLINE_BYTES) {
		cr_assert(a->inline_data && b->inline_data);
		cr_expect_eq(memcmp(a->inline_data, b->inline_data, a->size_bytes), 0);
	}
}

static void expect_run_round_trip(const struct sample_run *s)
{
	_cleanup_wbuf_ struct wbuf b, again;
	_cleanup_(run_freep) struct run *run = NULL;
	struct err e = ERR_INIT;

	encode_run(s, &b);
	run = parse_run(&b);
	cr_assert_eq(run->entry_count, s->count);
	for (size_t i = 0; i < s->count; i++) {
		expect_entry(&run->entries[i], &s->entries[i]);
		cr_expect_eq(run_find(run, s->entries[i].name), &run->entries[i]);
	}
	wbuf_init(&again, FORMAT_RUN_BYTES);
	cr_assert_eq(run_encode(run->entries, run->entry_count, &again, &e), 0, "%s", e.message);
	cr_assert_eq(again.len, b.len);
	cr_expect_eq(memcmp(again.data, b.data, b.len), 0);
}

Test(run, the_components_of_an_sstable_of_160_megabytes_take_about_1200_bytes)
{
	_cleanup_free_ struct sample_run *s = lcs_sstable();
	_cleanup_wbuf_ struct wbuf b;

	expect_run_round_trip(s);
	encode_run(s, &b);
	cr_expect_lt(b.len, 1280, "%zu bytes", b.len);
}

Test(run, attributes_of_every_kind_come_back)
{
	_cleanup_free_ struct sample_run *s = calloc(1, sizeof(*s));

	add_inline(s, "a", "");
	s->entries[0].attr = (struct attributes){ 07777, UINT32_MAX, UINT32_MAX, INT64_MAX };
	add_inline(s, "b", "x");
	s->entries[1].attr = (struct attributes){ 0, 0, 0, INT64_MIN };
	s->entries[1].data_dir = FORMAT_NO_DATA_DIR;
	add_inline(s, "c", "y");
	s->entries[2].attr = (struct attributes){ 0, 0, 0, -1 };
	s->entries[2].data_dir = 1023;
	add_inline(s, "d", "z");
	s->entries[3].attr = (struct attributes){ 0, 0, 0, 0 };
	s->entries[3].data_dir = 1023;
	expect_run_round_trip(s);
}

Test(run, one_entry_of_every_inline_length_and_the_first_beyond_come_back)
{
	char data[513];
	uint64_t sizes[] = { 0, 1, 511, 512, 513 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ struct sample_run *s = calloc(1, sizeof(*s));

		memset(data, 'x', sizeof(data));
		add_entry(s, "nb-1-big-TOC.txt", sizes[i]);
		s->entries[0].content = content_id(data, sizes[i]);
		if (sizes[i] <= FORMAT_INLINE_BYTES)
			s->entries[0].inline_data = data;
		else
			add_extent(s, sample_whole(1, 1, 513), 0, 513);
		expect_run_round_trip(s);
	}
}

Test(run, a_file_may_use_one_object_many_times_and_objects_of_several_writers)
{
	_cleanup_free_ struct sample_run *s = calloc(1, sizeof(*s));

	add_entry(s, "zeros-Data.db", (uint64_t)4 * WHOLE + 131072 + 5);
	add_extent(s, sample_whole(1, 1, WHOLE), 0, WHOLE);
	add_extent(s, sample_whole(1, 1, WHOLE), 0, WHOLE);
	add_extent(s, sample_whole(2, 1, WHOLE), 0, WHOLE);
	add_extent(s, sample_whole(1, 1, WHOLE), 0, WHOLE);
	add_extent(s, sample_whole(1, 1, WHOLE), 131072, 131072);
	add_extent(s, sample_pack(2, 2), 1, 5);
	expect_run_round_trip(s);
}

Test(run, the_first_and_the_last_of_64_entries_with_long_names_are_found)
{
	_cleanup_free_ struct sample_run *s = calloc(1, sizeof(*s));
	static char names[FORMAT_RUN_ENTRIES][256];
	_cleanup_wbuf_ struct wbuf b;
	_cleanup_(run_freep) struct run *run = NULL;

	for (unsigned i = 0; i < FORMAT_RUN_ENTRIES; i++) {
		memset(names[i], 'n', 255);
		memcpy(names[i] + 253 - i % 3,
		       (char[]){ (char)('0' + i / 10), (char)('0' + i % 10) }, 2);
	}
	for (unsigned i = 0; i < FORMAT_RUN_ENTRIES; i++)
		for (unsigned k = i + 1; k < FORMAT_RUN_ENTRIES; k++)
			if (strcmp(names[i], names[k]) > 0) {
				char swap[256];

				memcpy(swap, names[i], 256);
				memcpy(names[i], names[k], 256);
				memcpy(names[k], swap, 256);
			}
	for (unsigned i = 0; i < FORMAT_RUN_ENTRIES; i++)
		add_inline(s, names[i], "");
	expect_run_round_trip(s);
	encode_run(s, &b);
	run = parse_run(&b);
	cr_expect_null(run_find(run, "n"));
	cr_expect_null(run_find(run, "zzz"));
}

/* What an encoder must refuse: changes of a run that is right. */
Test(run, the_encoder_refuses_what_must_not_be)
{
	for (int i = 0; i < 17; i++) {
		_cleanup_free_ struct sample_run *s = lcs_sstable();
		_cleanup_wbuf_ struct wbuf b;
		struct err e = ERR_INIT;

		wbuf_init(&b, FORMAT_RUN_BYTES);
		switch (i) {
		case 0:
			s->entries[1].name = "nb-1234-big-CompressionInfo.db";
			break;
		case 1:
			s->entries[1].name = "nb-1235-big-Data.db";
			break;
		case 2:
			s->entries[7].name = "nb-1234-big-T/C.txt";
			break;
		case 3:
			s->entries[0].name = "..";
			s->count = 1;
			break;
		case 4:
			s->entries[0].name = "";
			s->count = 1;
			break;
		case 5:
			s->entries[1].size_bytes++;
			break;
		case 6:
			s->entries[1].size_bytes--;
			break;
		case 7:
			s->extents[1].len_bytes--;
			s->entries[1].size_bytes--;
			break;
		case 8:
			s->extents[0].offset = 8300000;
			break;
		case 9:
			s->entries[2].inline_data = NULL;
			break;
		case 10:
			s->entries[0].attr.mode = 010000;
			break;
		case 11:
			s->entries[0].data_dir = 1024;
			break;
		case 12:
			s->extents[0].object.plain_bytes--;
			break; /* named in two ways */
		case 13:
			s->extents[1].object.head_bytes += 56;
			break;
		case 14:
			s->extents[1].object.flags |= 4;
			break;
		case 15:
			s->count = 0;
			break;
		case 16: /* two pieces of a pack, the first not made of whole frames */
			s->entries[0].extents = &s->extents[40];
			s->entries[0].extent_count = 2;
			s->extents[40] = (struct extent){ sample_pack(1, 1000), 0, 80999 };
			s->extents[41] = (struct extent){ sample_pack(1, 1000), 131072, 1 };
			break;
		}
		cr_expect_eq(run_encode(s->entries, s->count, &b, &e), -EINVAL, "case %d", i);
		cr_expect_eq(e.kind, ERR_IO);
	}
}

static void expect_run_refused(const void *data, size_t len, const char *why)
{
	struct run *run = NULL;
	struct err e = ERR_INIT;
	int r = run_parse(data, len, &run, &e);

	cr_expect_eq(r, -EBADMSG, "%s", why);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_null(run);
}

Test(run, what_is_cut_short_or_too_long_is_refused)
{
	_cleanup_free_ struct sample_run *s = lcs_sstable();
	_cleanup_wbuf_ struct wbuf b;

	encode_run(s, &b);
	for (size_t n = 0; n < b.len; n++) {
		/* Exactly as long, so that a sanitizer sees a read past the end. */
		_cleanup_free_ uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, b.data, n);
		expect_run_refused(copy, n, "cut short");
	}
	wbuf_u8(&b, 0);
	expect_run_refused(b.data, b.len, "too long");
}

/* Every byte string that is parsed is the one that the encoder would have written. */
Test(run, a_changed_byte_is_refused_or_means_something_else)
{
	_cleanup_free_ struct sample_run *s = lcs_sstable();
	_cleanup_wbuf_ struct wbuf b;
	size_t accepted = 0;

	encode_run(s, &b);
	for (size_t i = 0; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			_cleanup_wbuf_ struct wbuf again;
			_cleanup_(run_freep) struct run *run = NULL;
			struct err e = ERR_INIT;

			b.data[i] ^= (uint8_t)(1 << bit);
			wbuf_init(&again, FORMAT_RUN_BYTES);
			if (run_parse(b.data, b.len, &run, &e) == 0) {
				accepted++;
				cr_assert_eq(run_encode(run->entries, run->entry_count, &again, &e),
					     0, "byte %zu: %s", i, e.message);
				cr_expect(again.len == b.len &&
						  memcmp(again.data, b.data, b.len) == 0,
					  "byte %zu bit %d has a second encoding", i, bit);
			}
			b.data[i] ^= (uint8_t)(1 << bit);
		}
	cr_expect_gt(accepted, 100); /* ids, digests, inline bytes */
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

static struct tree *parse_tree(const struct wbuf *b)
{
	struct tree *t = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(tree_parse(b->data, b->len, &t, &e), 0, "%s", e.message);
	return t;
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

static void expect_tree_refused(const void *data, size_t len, const char *why)
{
	struct tree *t = NULL;
	struct err e = ERR_INIT;
	int r = tree_parse(data, len, &t, &e);

	cr_expect_eq(r, -EBADMSG, "%s", why);
	cr_expect_eq(e.kind, ERR_CORRUPT, "%s", why);
	cr_expect_null(t);
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

/* ---- second encodings, written by hand: variant 0 is the one that is right ---- */

static void hand_writer(struct wbuf *b, uint64_t writer, unsigned objects)
{
	struct ulid u = { { (uint8_t)writer } };

	wbuf_put(b, u.b, ULID_BYTES);
	wbuf_varint(b, objects);
}

/* An object of 1,000 bytes; frames 0: uniform. */
static void hand_object(struct wbuf *b, uint8_t id, unsigned frames)
{
	struct id256 digest = { { id } };

	wbuf_put(b, digest.b, SHA256_BYTES);
	wbuf_varint(b, (FORMAT_OBJECT_BYTES - 1000) << 2 | (frames ? 0 : OBJECT_UNIFORM));
	if (frames)
		wbuf_varint(b, frames);
}

static void hand_name(struct wbuf *b, unsigned begin, bool bit, unsigned end, const char *middle)
{
	wbuf_varint(b, begin << 1 | bit);
	wbuf_varint(b, end);
	wbuf_string(b, middle, strlen(middle));
}

static void hand_attributes(struct wbuf *b, bool data_dir)
{
	wbuf_varint(b, 0644);
	wbuf_varint(b, 0);
	wbuf_varint(b, 0);
	if (data_dir)
		wbuf_varint(b, 1);
}

enum {
	RUN_RIGHT,
	RUN_WHOLE,
	RUN_SAME,
	RUN_BEGIN,
	RUN_END,
	RUN_WRITER,
	RUN_FRAMES,
	RUN_UNUSED,
	RUN_VARIANTS
};

/* Two files "ab.db" and "ac.db" with the same attributes, of 1,000 bytes each, in two objects. */
static void hand_run(struct wbuf *b, int variant)
{
	struct id256 content = { { 9 } };

	wbuf_put(b, "R\1", 2);
	wbuf_varint(b, variant == RUN_WRITER ? 2 : 1);
	hand_writer(b, 1, variant == RUN_WRITER ? 1 : variant == RUN_UNUSED ? 3 : 2);
	hand_object(b, 1, variant == RUN_FRAMES ? 1 : 0);
	if (variant == RUN_WRITER)
		hand_writer(b, 1, 1);
	hand_object(b, 2, 2);
	if (variant == RUN_UNUSED)
		hand_object(b, 3, 2);
	wbuf_varint(b, 2);
	for (unsigned i = 0; i < 2; i++) {
		if (i == 0)
			hand_name(b, 0, false, 0, "ab.db");
		else if (variant == RUN_BEGIN)
			hand_name(b, 0, true, 3, "ac");
		else if (variant == RUN_END)
			hand_name(b, 1, true, 2, "c.");
		else
			hand_name(b, 1, variant != RUN_SAME, 3, "c");
		if (i == 0 || variant == RUN_SAME)
			hand_attributes(b, true);
		wbuf_varint(b, 0); /* mtime */
		wbuf_varint(b, 1000);
		wbuf_put(b, content.b, SHA256_BYTES);
		wbuf_varint(b, i << 1 | (variant != RUN_WHOLE));
		if (variant == RUN_WHOLE) {
			wbuf_varint(b, 0);
			wbuf_varint(b, 1000);
		}
	}
}

Test(run, a_second_encoding_of_the_same_is_refused)
{
	for (int variant = 0; variant < RUN_VARIANTS; variant++) {
		_cleanup_wbuf_ struct wbuf b;
		char why[20];

		wbuf_init(&b, 1000);
		hand_run(&b, variant);
		snprintf(why, sizeof(why), "variant %d", variant);
		if (variant == RUN_RIGHT)
			run_free(parse_run(&b));
		else
			expect_run_refused(b.data, b.len, why);
	}
}

enum { TREE_RIGHT, TREE_NEXT, TREE_COUNT, TREE_SAME, TREE_UNUSED, TREE_VARIANTS };

static void hand_place(struct wbuf *b, bool next, unsigned offset)
{
	struct id256 digest = { { 9 } };

	wbuf_put(b, digest.b, SHA256_BYTES);
	wbuf_varint(b, next);
	if (!next)
		wbuf_varint(b, offset);
	wbuf_varint(b, 100);
}

/* Children "a" and "b", runs "c" and "d-1" of a file each, all in one object, one after the other. */
static void hand_tree(struct wbuf *b, int variant)
{
	wbuf_put(b, "T\1\2\0\2", 5);
	wbuf_varint(b, 1);
	hand_writer(b, 1, variant == TREE_UNUSED ? 2 : 1);
	hand_object(b, 1, 2);
	if (variant == TREE_UNUSED)
		hand_object(b, 2, 2);
	wbuf_varint(b, 2);
	for (unsigned i = 0; i < 2; i++) {
		hand_name(b, 0, i > 0 && variant != TREE_SAME, 0, i ? "b" : "a");
		if (i == 0 || variant == TREE_SAME)
			hand_attributes(b, false);
		wbuf_varint(b, 0); /* mtime */
		hand_place(b, i > 0, 0);
	}
	wbuf_varint(b, 2);
	hand_name(b, 0, false, 0, "c");
	wbuf_varint(b, 1);
	hand_place(b, variant != TREE_NEXT, 200);
	hand_name(b, 0, variant != TREE_COUNT, 0, "d-1");
	if (variant == TREE_COUNT)
		wbuf_varint(b, 1);
	hand_place(b, true, 0);
}

Test(tree, a_second_encoding_of_the_same_is_refused)
{
	for (int variant = 0; variant < TREE_VARIANTS; variant++) {
		_cleanup_wbuf_ struct wbuf b;
		char why[20];

		wbuf_init(&b, 1000);
		hand_tree(&b, variant);
		snprintf(why, sizeof(why), "variant %d", variant);
		if (variant == TREE_RIGHT)
			tree_free(parse_tree(&b));
		else
			expect_tree_refused(b.data, b.len, why);
	}
}

/* ---- docs/format.md, "An example": byte for byte ---- */

static void expect_bytes(const void *data, size_t len, const char *hex)
{
	char *text = malloc(2 * len + 1);

	util_hex(text, data, len);
	cr_expect_str_eq(text, hex);
	free(text);
}

Test(example, the_documentation_shows_what_is_written)
{
	_cleanup_(object_builder_freep) struct object_builder *b =
		object_builder_new(OBJECT_COMPRESS_NONE);
	struct entry files[2] = { { .name = "nb-1-big-Data.db", .size_bytes = 600 },
				  { .name = "nb-1-big-Digest.crc32", .size_bytes = 10 } };
	struct run_ref ref = { .first = "nb-1-big-Data.db", .entry_count = 2 };
	struct tree t = { .run_count = 1, .runs = &ref, .file_count = 2, .total_bytes = 610 };
	_cleanup_wbuf_ struct wbuf run, tree;
	struct object_image image;
	struct err e = ERR_INIT;
	struct extent x;
	struct ulid writer;
	uint32_t offset;
	char data[600];

	memset(data, 'a', sizeof(data));
	cr_assert_eq(ulid_parse(&writer, "01JD8ZP4V7Q3K5N2M9R6T8W0XY"), 0);
	cr_assert_eq(object_builder_add(b, data, 600, false, NULL, &offset, &e), 0);
	cr_assert_eq(object_builder_finish(b, &image, &e), 0);
	expect_bytes(image.iov[0].iov_base, image.iov[0].iov_len,
		     "53535446534f4231010003000100000058020000000000005802000058020000"
		     "ba35c170729417f1499e0886e7e12fcdb4ab00ad411110ae1e888c766d4ed70d"
		     "19feed33e2f5b0041ae554be34df6f65");
	expect_bytes(image.id.b, 32,
		     "7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1");
	x = (struct extent){ { writer, image.id, image.head->head_bytes, 600, 3 }, 0, 600 };
	for (int i = 0; i < 2; i++)
		files[i].attr =
			(struct attributes){ 0644, 999, 999, INT64_C(1763808000000000000) + i };
	files[0].content = content_id(data, 600);
	files[0].extents = &x;
	files[0].extent_count = 1;
	files[1].inline_data = "1234567890";
	wbuf_init(&run, 1000);
	cr_assert_eq(run_encode(files, 2, &run, &e), 0);
	expect_bytes(run.data, run.len,
		     "520101019351fb1367b8e65a8a89c1b48e03be017ce66e25f503f2003b2c9b86"
		     "9f4a47649d958c65a9c25f76bf6153f4d5071ea1a3edff0f020000106e622d31"
		     "2d6269672d446174612e6462a403e707e707018080f0bffd81a7fa30d804bec2"
		     "76bc1ce52bf7ec9cce9b4a65cf9cc1c10a182aee78cedfb03a206adad5260115"
		     "000b69676573742e6372633332020a31323334353637383930");
	object_builder_reset(b);
	cr_assert_eq(object_builder_add(b, run.data, run.len, false, NULL, &offset, &e), 0);
	cr_assert_eq(object_builder_finish(b, &image, &e), 0);
	ref.place.digest = content_id(run.data, run.len);
	ref.place.extent =
		(struct extent){ { writer, image.id, image.head->head_bytes, (uint32_t)run.len, 3 },
				 0,
				 (uint32_t)run.len };
	wbuf_init(&tree, 1000);
	cr_assert_eq(tree_encode(&t, &tree, &e), 0);
	expect_bytes(tree.data, tree.len,
		     "540102e2040001019351fb1367b8e65a8a89c1b48e03be014999185397e09765"
		     "feed7708acdc449d38b3b25f53e6b1b41d6484e24daf3eae9ffbff0f00010000"
		     "106e622d312d6269672d446174612e646202250a46d99c80f828755d9ffb3b6e"
		     "cb3625a8d08a0873ce6d02dd3ace546288df00009901");
}
