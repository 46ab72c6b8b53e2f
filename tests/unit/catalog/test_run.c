/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "tests/unit/catalog/parsed.h"

#define WHOLE ((uint32_t)FORMAT_OBJECT_BYTES)

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
