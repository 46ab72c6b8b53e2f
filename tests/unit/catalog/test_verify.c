/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/object.h"
#include "catalog/verify.h"
#include "tests/unit/catalog/fixture.h"

#define TABLE "data/ks/t-0123456789abcdef0123456789abcdef"
#define BIG (16 * MIB + 12345) /* two objects, and a tail in a pack */

/* Two backups that share most of their files. */
struct sample {
	struct fixture *f;
	struct record *records[2];
	void *big, *middle, *other;
	struct verify_options o;
	struct verify_result *result;
	struct err e;
};

static struct sample sample_new(void)
{
	struct sample s = { .f = fixture_new(OBJECT_VERIFY_SHA256) };

	s.big = fixture_random(1, BIG);
	s.middle = fixture_text(2, 300000);
	s.other = fixture_text(3, 300000);
	{
		const struct fixture_file files[] = {
			{ .path = TABLE "/nb-1-big-Data.db", .data = s.big, .len_bytes = BIG },
			{ .path = TABLE "/nb-1-big-Index.db",
			  .data = s.middle,
			  .len_bytes = 300000 },
			{ .path = TABLE "/nb-1-big-Filter.db", .data = s.middle, .len_bytes = 1000 },
			{ .path = TABLE "/nb-1-big-TOC.txt", .data = "TOC", .len_bytes = 3 },
			{ .path = "schema.cql", .data = "create", .len_bytes = 6 },
			{ .path = TABLE "/nb-2-big-Data.db", .data = s.other, .len_bytes = 300000 },
		};

		s.records[0] = fixture_backup(s.f, "b1", files, ARRAY_SIZE(files) - 1,
					      OBJECT_COMPRESS_ZSTD);
		s.records[1] =
			fixture_backup(s.f, "b2", files, ARRAY_SIZE(files), OBJECT_COMPRESS_ZSTD);
	}
	s.o = (struct verify_options){ .repo = s.f->repo,
				       .record_count = 2,
				       .jobs = 2,
				       .connections = 4,
				       .memory_bytes = 64 * MIB };
	return s;
}

static void sample_deinit(struct sample *s)
{
	verify_result_free(s->result);
	record_free(s->records[0]);
	record_free(s->records[1]);
	fixture_free(s->f);
	free(s->big);
	free(s->middle);
	free(s->other);
}
#define _cleanup_sample_ _cleanup_(sample_deinit)

/* With nothing kept from before. */
static int verify(struct sample *s)
{
	fixture_restart(s->f, OBJECT_VERIFY_SHA256, NULL);
	if (!s->o.records)
		s->o.records = s->records;
	s->o.source = s->f->source;
	s->o.meta = s->f->meta;
	verify_result_free(s->result);
	s->result = NULL;
	s->e = ERR_INIT;
	s->f->wire->gets = 0;
	return verify_run(&s->o, &s->result, &s->e);
}

static bool names(const struct verify_finding *x, const char *file)
{
	for (size_t i = 0; i < x->file_count; i++)
		if (strcmp(x->files[i], file) == 0)
			return true;
	return false;
}

/* The key of the object that holds the n-th extent of a file of the second backup. */
static void key_of(struct sample *s, const char *path, uint32_t n, char key[KEY_BYTES])
{
	struct run *run = NULL;
	const struct entry *entry = fixture_find(s->f, s->records[1], path, &run);

	cr_assert(entry && n < entry->extent_count);
	keys_object(key, &s->records[1]->where, KEY_OBJECT_DATA, &entry->extents[n].object.writer,
		    &entry->extents[n].object.id);
	run_free(run);
}

Test(verify, a_whole_repository_is_read_once_and_nothing_is_found)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct progress progress = { 0 };
	size_t objects = fixture_count(s.f, "/objects/") + fixture_count(s.f, "/trees/");

	s.o.progress = &progress;
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_expect_eq(s.result->finding_count, 0, "%s: %s",
		     s.result->finding_count ? s.result->findings[0].key : "",
		     s.result->finding_count ? s.result->findings[0].reason : "");
	cr_expect_eq(s.result->objects_checked, objects);
	cr_expect_eq(s.result->objects_known, objects);
	cr_expect_eq(s.f->wire->gets, objects, "each object once");
	cr_expect(s.result->bytes_checked > BIG + 600000);
	/* Runs that both backups have are read once: four files of b1, nb-1 and schema.cql shared. */
	cr_expect_eq(s.result->files_checked, 6);
	cr_expect_eq(progress.files_done, progress.files_total);
	cr_expect_eq(progress.bytes_done, progress.bytes_total);
}

Test(verify, with_little_memory_the_same_is_checked)
{
	_cleanup_sample_ struct sample s = sample_new();

	s.o.memory_bytes = 1; /* every file is a plan of its own */
	s.o.connections = 1;
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_expect_eq(s.result->finding_count, 0);
	cr_expect_eq(s.result->files_checked, 6);
	cr_expect_eq(s.result->objects_checked, s.result->objects_known);
}

Test(verify, a_damaged_object_is_found_and_the_files_of_all_backups_that_need_it)
{
	static const long offsets[] = { 3, 30, -1 };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		_cleanup_sample_ struct sample s = sample_new();
		char key[KEY_BYTES];

		key_of(&s, TABLE "/nb-1-big-Data.db", 1, key);
		fixture_flip(s.f, key, offsets[i]);
		cr_assert_eq(verify(&s), 0, "%s", s.e.message);
		cr_assert_eq(s.result->finding_count, 1);
		cr_expect_str_eq(s.result->findings[0].key, key);
		cr_expect_not(s.result->findings[0].missing);
		cr_expect(strstr(s.result->findings[0].reason, "damaged"));
		cr_expect_eq(s.result->findings[0].file_count, 2);
		cr_expect(names(&s.result->findings[0],
				"ring/nodes/n1/b1/" TABLE "/nb-1-big-Data.db"));
		cr_expect(names(&s.result->findings[0],
				"ring/nodes/n1/b2/" TABLE "/nb-1-big-Data.db"));
		cr_expect_eq(s.result->files_checked, 5);
	}
}

Test(verify, a_damaged_pack_names_every_file_in_it)
{
	_cleanup_sample_ struct sample s = sample_new();
	char key[KEY_BYTES];

	key_of(&s, TABLE "/nb-1-big-Index.db", 0, key);
	fixture_flip(s.f, key, -1);
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	/* Index, Filter and the tail of Data, in both backups. */
	cr_expect_eq(s.result->findings[0].file_count, 6);
}

Test(verify, a_missing_object_is_told_apart)
{
	_cleanup_sample_ struct sample s = sample_new();
	char key[KEY_BYTES];

	key_of(&s, TABLE "/nb-2-big-Data.db", 0, key);
	fixture_delete(s.f, key);
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	cr_expect(s.result->findings[0].missing);
	cr_expect_eq(s.result->findings[0].file_count, 1);
	cr_expect_str_eq(s.result->findings[0].files[0],
			 "ring/nodes/n1/b2/" TABLE "/nb-2-big-Data.db");
}

Test(verify, damaged_metadata_is_a_finding_and_no_end)
{
	_cleanup_sample_ struct sample s = sample_new();
	size_t trees = fixture_count(s.f, "/trees/");

	for (size_t i = 0; i < trees; i++) {
		char key[KEY_BYTES];

		fixture_key(s.f, "/trees/", i, key);
		fixture_flip(s.f, key, -1);
		cr_assert_eq(verify(&s), 0, "%s: %s", key, s.e.message);
		cr_assert_eq(s.result->finding_count, 1);
		cr_expect_str_eq(s.result->findings[0].key, key);
		cr_expect_geq(s.result->findings[0].file_count, 1);
		cr_expect_eq(strncmp(s.result->findings[0].files[0], "ring/nodes/n1/b", 15), 0);
		fixture_flip(s.f, key, -1);
	}
}

Test(verify, a_damaged_record_is_a_finding_too)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct find_options find = { .keep_damaged = true };
	_cleanup_(found_freep) struct found *found = NULL;
	char key[KEY_BYTES];

	keys_record(key, &s.records[0]->where, "b1", &s.records[0]->writer);
	fixture_flip(s.f, key, 30);
	fixture_restart(s.f, OBJECT_VERIFY_SHA256, NULL);
	cr_assert_eq(find_records(s.f->meta, s.f->repo, &find, &found, NULL, &s.e), 0, "%s",
		     s.e.message);
	cr_expect_eq(found->count, 1);
	s.o.records = found->records;
	s.o.record_count = found->count;
	s.o.damaged_records = found->damaged;
	s.o.damaged_record_count = found->damaged_count;
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	cr_expect_str_eq(s.result->findings[0].key, key);
	cr_expect_eq(s.result->files_checked, 6, "the other backup is checked");
}

Test(verify, a_failing_store_ends_it)
{
	_cleanup_sample_ struct sample s = sample_new();

	s.f->wire->fail_key = "/objects/";
	s.f->wire->fail = -EIO;
	cr_expect_eq(verify(&s), -EIO);
	cr_expect_eq(s.e.kind, ERR_STORE);
	s.f->wire->fail_key = "/trees/";
	cr_expect_eq(verify(&s), -EIO);
	cr_expect_eq(s.e.kind, ERR_STORE);
}

Test(verify, a_content_id_that_its_frames_do_not_give_is_found)
{
	_cleanup_sample_ struct sample s = sample_new();
	_cleanup_free_ uint8_t *stored = fixture_random(9, 300000);
	struct fixture_file odd = { .path = "data/odd", .data = stored, .len_bytes = 300000 };
	_cleanup_(record_freep) struct record *first = NULL, *record = NULL;
	struct record *records[1];

	/* As if a backup had written another id than that of the bytes. */
	first = fixture_backup(s.f, "b3", &odd, 1, OBJECT_COMPRESS_ZSTD);
	stored[5] ^= 1;
	fixture_mislead(s.f, stored, 300000);
	record = fixture_backup(s.f, "b4", &odd, 1, OBJECT_COMPRESS_ZSTD);
	records[0] = record;
	s.o.records = records;
	s.o.record_count = 1;
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	cr_expect(strstr(s.result->findings[0].reason, "content id"), "%s",
		  s.result->findings[0].reason);
	cr_assert_eq(s.result->findings[0].file_count, 1);
	cr_expect_str_eq(s.result->findings[0].files[0], "ring/nodes/n1/b4/data/odd");
}

Test(verify, slices_read_each_object_once_and_every_slice_misses_nothing_that_is_gone)
{
	_cleanup_sample_ struct sample s = sample_new();
	size_t data = fixture_count(s.f, "/objects/"), meta = fixture_count(s.f, "/trees/");
	size_t objects = 0, files = 0;
	char key[KEY_BYTES];

	s.o.slices = 3;
	for (s.o.slice = 0; s.o.slice < s.o.slices; s.o.slice++) {
		cr_assert_eq(verify(&s), 0, "%s", s.e.message);
		cr_expect_eq(s.result->finding_count, 0);
		cr_expect_eq(s.result->objects_known, data + meta);
		objects += s.result->objects_checked - meta;
		files += s.result->files_checked;
	}
	cr_expect_eq(objects, data);
	/* Inline files are hashed each time; the four others once. */
	cr_expect_eq(files, 4 + 2 * s.o.slices);
	key_of(&s, TABLE "/nb-1-big-Data.db", 0, key);
	fixture_delete(s.f, key);
	for (s.o.slice = 0; s.o.slice < s.o.slices;
	     s.o.slice++) { /* whether it is in the slice or not */
		cr_assert_eq(verify(&s), 0);
		cr_assert_eq(s.result->finding_count, 1);
		cr_expect(s.result->findings[0].missing);
		cr_expect_str_eq(s.result->findings[0].key, key);
		cr_expect_eq(s.result->findings[0].file_count, 2);
	}
	cr_assert_eq(store_put_bytes(s.f->store, key, "x", 1, STORE_ALWAYS, NULL, NULL, NULL, NULL),
		     0);
	for (s.o.slice = 0; s.o.slice < s.o.slices; s.o.slice++) {
		cr_assert_eq(verify(&s), 0);
		cr_assert_eq(s.result->finding_count, 1);
		cr_expect_not(s.result->findings[0].missing);
	}
}

Test(verify, what_is_missing_of_a_backup_that_was_deleted_meanwhile_is_no_damage)
{
	_cleanup_sample_ struct sample s = sample_new();
	char gone[KEY_BYTES], bad[KEY_BYTES], record[KEY_BYTES];

	/* b2's own file is collected; b1's are damaged in earnest. */
	key_of(&s, TABLE "/nb-2-big-Data.db", 0, gone);
	key_of(&s, TABLE "/nb-1-big-Data.db", 0, bad);
	fixture_delete(s.f, gone);
	fixture_flip(s.f, bad, -1);
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 2);
	cr_expect_eq(s.result->gone_count, 0);
	keys_record(record, &s.records[1]->where, "b2", &s.records[1]->writer);
	fixture_delete(s.f, record);
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	cr_expect_str_eq(s.result->findings[0].key, bad);
	cr_expect_eq(s.result->findings[0].file_count, 1);
	cr_expect_eq(s.result->gone_count, 1);
}

Test(verify, names_of_files_are_bounded_by_memory_and_the_rest_is_counted)
{
	_cleanup_sample_ struct sample s = sample_new();
	char key[KEY_BYTES];

	key_of(&s, TABLE "/nb-1-big-Index.db", 0, key);
	fixture_flip(s.f, key, -1);
	s.o.memory_bytes = 8 * 400;
	s.o.connections = 1;
	cr_assert_eq(verify(&s), 0, "%s", s.e.message);
	cr_assert_eq(s.result->finding_count, 1);
	cr_expect(s.result->findings[0].file_count >= 1 && s.result->findings[0].file_count < 6);
	cr_expect_eq(s.result->findings[0].file_count + s.result->findings[0].files_more, 6);
}

Test(verify, cancelled_it_ends_as_cancelled)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct cancel c = { .reason = 1 };

	s.o.cancel = &c;
	cr_expect_eq(verify(&s), -ECANCELED);
}
