/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup stores, what it stores again, and what it refuses to store. */
#include <pwd.h>

#include "tests/unit/catalog/rig.h"

Test(backup, content_of_every_length_comes_back_as_it_was)
{
	static const size_t lengths[] = {
		0,
		1,
		511,
		512,
		513,
		128 * 1024 - 1,
		128 * 1024,
		128 * 1024 + 1,
		1024 * 1024 - 1,
		1024 * 1024,
		1024 * 1024 + 1,
		8 * 1024 * 1024 - 1,
		8 * 1024 * 1024,
		8 * 1024 * 1024 + 1,
		9 * 1024 * 1024 - 1,
		9 * 1024 * 1024,
		9 * 1024 * 1024 + 1,
		17 * 1024 * 1024 + 5,
	};
	static const enum object_compression compressions[] = { OBJECT_COMPRESS_NONE,
								OBJECT_COMPRESS_ZSTD };

	for (size_t k = 0; k < ARRAY_SIZE(compressions); k++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *record = NULL;
		uint64_t total = 0;
		char name[64];

		rig_init(&rig, compressions[k]);
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
			rig_put_random(&rig, name, i, lengths[i]);
			total += lengths[i];
		}
		record = rig_commit(&rig, "b1");
		cr_expect_eq(record->total_bytes, total);
		cr_expect_eq(record->new_bytes, total);
		cr_expect_eq(record->reused_bytes, 0);
		cr_expect_eq(record->file_count, ARRAY_SIZE(lengths));
		cr_expect_eq(record->dir_count, 3);
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
			snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
			rig_expect_random(&rig, record, name, i, lengths[i]);
		}
	}
}

Test(backup, what_compresses_is_stored_compressed_and_comes_back)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_free_ uint8_t *text = sample_text(7, 3 * MIB + 100);

	rig_init(&rig, OBJECT_COMPRESS_ZSTD);
	rig_put(&rig, "nb-1-big-Data.db", text, 3 * MIB + 100);
	rig_put(&rig, "nb-1-big-Statistics.db", text, 5000);
	record = rig_commit(&rig, "b1");
	cr_expect_lt(rig_counts(&rig).bytes_out, 2 * MIB);
	rig_expect(&rig, record, "nb-1-big-Data.db", text, 3 * MIB + 100);
	rig_expect(&rig, record, "nb-1-big-Statistics.db", text, 5000);
}

Test(backup, an_unchanged_snapshot_uploads_nothing_but_its_record)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	size_t objects, trees;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 9 * MIB + 77);
	rig_put_random(&rig, "nb-1-big-Index.db", 2, 40000);
	rig_put_random(&rig, "nb-1-big-TOC.txt", 3, 92);
	rig_put_random(&rig, "manifest.json", 4, 300);
	rig_settle(&rig);
	first = rig_commit(&rig, "b1");
	objects = rig_count(&rig, "objects/");
	trees = rig_count(&rig, "trees/");
	second = rig_commit(&rig, "b2");
	cr_expect_eq(rig_count(&rig, "objects/"), objects);
	cr_expect_eq(rig_count(&rig, "trees/"), trees);
	cr_expect_eq(second->new_bytes, 0);
	cr_expect_eq(second->reused_bytes, second->total_bytes);
	cr_expect_eq(memcmp(&first->root, &second->root, sizeof(first->root)), 0);
	cr_expect_eq(second->pack_count, first->pack_count);
}

Test(backup, a_new_sstable_adds_one_run_and_leaves_the_others)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct trace_counts before, after;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (unsigned i = 0; i < 20; i++) {
		char name[64];

		snprintf(name, sizeof(name), "nb-%u-big-Data.db", i);
		rig_put_random(&rig, name, i, 20000);
	}
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-99-big-Data.db", 99, 20000);
	before = rig_counts(&rig);
	second = rig_commit(&rig, "b2");
	after = rig_counts(&rig);
	cr_expect_eq(second->new_bytes, 20000);
	/* One pack, one object of runs, and a tree for each of table, keyspace, data and root; W1 and W5. */
	cr_expect_eq(after.put - before.put, 8);
	cr_expect_lt(after.bytes_out - before.bytes_out, 30000);
	rig_expect_random(&rig, second, "nb-99-big-Data.db", 99, 20000);
	rig_expect_random(&rig, second, "nb-3-big-Data.db", 3, 20000);
}

Test(backup, content_under_another_name_is_not_stored_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 17 * MIB);
	rig_put_random(&rig, "nb-1-big-Index.db", 2, 700000);
	first = rig_commit(&rig, "b1");
	rig_rename(&rig, "nb-1-big-Data.db", "oa-7-big-Data.db");
	rig_rename(&rig, "nb-1-big-Index.db", "oa-7-big-Index.db");
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
	rig_expect_random(&rig, second, "oa-7-big-Data.db", 1, 17 * MIB);
	rig_expect_random(&rig, second, "oa-7-big-Index.db", 2, 700000);
}

Test(backup, content_of_an_older_backup_than_the_newest_is_reused_too)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL, *third = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 2 * MIB);
	first = rig_commit(&rig, "b1");
	rig_remove(&rig, "nb-1-big-Data.db");
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 2 * MIB);
	second = rig_commit(&rig, "b2");
	rig_put_random(&rig, "nb-3-big-Data.db", 1, 2 * MIB);
	third = rig_commit(&rig, "b3");
	cr_expect_eq(third->new_bytes, 0);
	rig_expect_random(&rig, third, "nb-3-big-Data.db", 1, 2 * MIB);
}

Test(backup, equal_content_at_two_paths_is_stored_once)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 9 * MIB);
	rig_put_random(&rig, "nb-2-big-Data.db", 1, 9 * MIB);
	rig_put_random(&rig, "nb-1-big-Filter.db", 2, 5000);
	rig_put_random(&rig, "nb-2-big-Filter.db", 2, 5000);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->total_bytes, 18 * MIB + 10000);
	cr_expect_eq(record->new_bytes, 9 * MIB + 5000);
	cr_expect_eq(rig_count(&rig, "objects/"), 3);
	cr_assert_eq(record->pack_count, 0, "the pack holds one piece: nothing to account for");
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, 9 * MIB);
	rig_expect_random(&rig, record, "nb-2-big-Data.db", 1, 9 * MIB);
	rig_expect_random(&rig, record, "nb-2-big-Filter.db", 2, 5000);
}

Test(backup, the_same_name_and_size_with_other_bytes_is_another_content)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Statistics.db", 1, 5795);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-1-big-Statistics.db", 2, 5795); /* mtime put back, too */
	second = rig_commit(&rig, "b2");
	rig_expect_random(&rig, first, "nb-1-big-Statistics.db", 1, 5795);
	rig_expect_random(&rig, second, "nb-1-big-Statistics.db", 2, 5795);
}

Test(backup, a_file_that_grew_shares_its_whole_pieces)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 8 * MIB + 10);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 16 * MIB + 10);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 8 * MIB + 10);
	rig_expect_random(&rig, second, "nb-1-big-Data.db", 1, 16 * MIB + 10);
}

Test(backup, many_tiny_files_make_few_packs)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	char name[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (unsigned i = 0; i < 2500; i++) {
		snprintf(name, sizeof(name), "nb-%u-big-Filter.db", i);
		rig_put_random(&rig, name, i, 600 + i % 7);
	}
	record = rig_commit(&rig, "b1");
	cr_expect_eq(rig_count(&rig, "objects/"), 2);
	cr_assert_eq(record->pack_count, 2);
	cr_expect_eq(record->packs[0].used_bytes + record->packs[1].used_bytes,
		     record->total_bytes);
	cr_expect_eq(record->packs[0].used_bytes, record->packs[0].plain_bytes);
	for (unsigned i = 0; i < 2500; i += 499) {
		snprintf(name, sizeof(name), "nb-%u-big-Filter.db", i);
		rig_expect_random(&rig, record, name, i, 600 + i % 7);
	}
}

Test(backup, packs_and_runs_are_the_same_whatever_the_number_of_threads)
{
	struct place roots[2];

	for (unsigned k = 0; k < 2; k++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *record = NULL;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig.options.jobs = k ? 8 : 1;
		rig.options.connections = k ? 8 : 1;
		for (unsigned i = 0; i < 300; i++) {
			char name[64];

			snprintf(name, sizeof(name), "nb-%u-big-Data.db", i);
			rig_put_random(&rig, name, i, 100 + i * i * 20);
		}
		rig_settle(&rig);
		record = rig_commit(&rig, "b1");
		roots[k] = record->root;
	}
	cr_expect_eq(memcmp(&roots[0], &roots[1], sizeof(roots[0])), 0);
}

Test(backup, packs_that_are_partly_used_are_accounted_for)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 10000);
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 30000);
	first = rig_commit(&rig, "b1");
	cr_assert_eq(first->pack_count, 1);
	cr_expect_eq(first->packs[0].used_bytes, 40000);
	rig_rename(&rig, "nb-1-big-Data.db", "nb-3-big-Data.db");
	rig_put_random(&rig, "nb-2-big-Data.db", 1, 10000);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
	cr_assert_eq(second->pack_count, 1);
	cr_expect_eq(second->packs[0].used_bytes, 10000, "a content counts once");
	cr_expect_eq(second->packs[0].plain_bytes, 40000);
}

Test(backup, the_record_says_what_was_found)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	struct passwd *me = getpwuid(getuid());

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 10);
	rig_put_random(&rig, "da-3gse_1syu_3qlog2deomt6h5p53n-bti-Data.db", 2, 10);
	rig_put_random(&rig, "nb-2-big-Data.db", 3, 10);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->state, RECORD_COMMITTED);
	cr_assert_eq(record->sstable_version_count, 2);
	cr_expect_str_eq(record->sstable_versions[0], "da");
	cr_expect_str_eq(record->sstable_versions[1], "nb");
	cr_assert_eq(record->id_kind_count, 2);
	cr_expect_str_eq(record->id_kinds[0], "generation");
	cr_expect_str_eq(record->id_kinds[1], "uuid");
	cr_assert_eq(record->user_count, 1);
	cr_expect_eq(record->users[0].id, getuid());
	cr_expect_str_eq(record->users[0].name, me ? me->pw_name : "");
	cr_expect_eq(record->store_time_ns, RIG_START_NS);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
}

Test(backup, attributes_and_the_data_directory_are_those_of_the_file)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_(run_freep) struct run *run = NULL;
	_cleanup_(rig_close_view) struct rig_view v = { 0 };
	const struct entry *entry = NULL;
	char path[512];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.data_dirs = 2;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 10);
	rig_put_random(&rig, "d1:nb-2-big-Data.db", 1, 10);
	fchmodat(rig.tmp.fd, rig_path(path, "d1:nb-2-big-Data.db"), 0640, 0);
	record = rig_commit(&rig, "b1");
	v = rig_open_view(&rig);
	run = rig_find(&v, record, "data/" RIG_TABLE "/nb-2-big-Data.db", &entry);
	cr_assert(entry);
	cr_expect_eq(entry->data_dir, 1);
	cr_expect_eq(entry->attr.mode, 0640);
	cr_expect_eq(entry->attr.mtime_ns, 1600000000123456789);
	cr_expect_eq(entry->attr.uid, getuid());
}

Test(backup, equal_files_at_one_path_in_two_data_directories_are_kept_once)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.data_dirs = 2;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 30000);
	rig_put_random(&rig, "d1:nb-1-big-Data.db", 1, 30000);
	rig_put_random(&rig, "nb-1-big-TOC.txt", 2, 90);
	rig_put_random(&rig, "d1:nb-1-big-TOC.txt", 2, 90);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->file_count, 2);
	cr_expect_eq(record->total_bytes, 30090);
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, 30000);
}

Test(backup, different_files_at_one_path_in_two_data_directories_are_refused_by_name)
{
	static const size_t lengths[] = { 90, 30000, 9 * 1024 * 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_rig_ struct rig rig;
		struct err e;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig.data_dirs = 2;
		rig_put_random(&rig, "nb-1-big-Data.db", 1, lengths[i]);
		rig_put_random(&rig, "d1:nb-1-big-Data.db", 2, lengths[i]);
		cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EEXIST);
		cr_expect_eq(e.kind, ERR_CONFLICT);
		cr_expect(strstr(e.message, "/d0/") && strstr(e.message, "/d1/"), "%s", e.message);
		cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
	}
}

Test(backup, a_name_that_is_a_file_here_and_a_directory_there_is_refused)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.data_dirs = 2;
	rig_put_random(&rig, "thing", 1, 100);
	rig_put_random(&rig, "d1:thing/nb-1-big-Data.db", 2, 100);
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EEXIST);
	cr_expect_eq(e.kind, ERR_CONFLICT);
}

Test(backup, a_file_that_changed_since_the_scan_is_taken_as_it_is)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 3 * MIB);
	rig_put_random(&rig, "nb-1-big-Index.db", 2, 50000);
	rig_put_random(&rig, "nb-1-big-Summary.db", 3, 50000);
	rig_put_random(&rig, "nb-1-big-TOC.txt", 4, 90);
	s = rig_scan(&rig);
	rig_put_random(&rig, "nb-1-big-Data.db", 11, 10 * MIB + 5);
	rig_put_random(&rig, "nb-1-big-Index.db", 12, 100);
	rig_put_random(&rig, "nb-1-big-TOC.txt", 14, 0);
	cr_assert_eq(rig_backup_snapshot(&rig, s, "b1", &record, &e), 0, "%s", e.message);
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 11, 10 * MIB + 5);
	rig_expect_random(&rig, record, "nb-1-big-Index.db", 12, 100);
	rig_expect_random(&rig, record, "nb-1-big-Summary.db", 3, 50000);
	rig_expect_random(&rig, record, "nb-1-big-TOC.txt", 14, 0);
	cr_expect_eq(record->total_bytes, 10 * MIB + 5 + 100 + 50000);
}

/* While its first piece is uploaded, others are not yet read: there are two buffers, and one connection. */
static void slow_down(struct rig *rig)
{
	rig->options.jobs = 1;
	rig->options.connections = 1;
	rig->options.memory_bytes = 0;
}

static bool is_data_put(const char *method, const char *key)
{
	return strcmp(method, "put") == 0 && strstr(key, "/objects/");
}

#define LARGE (32 * MIB + 100) /* five pieces */

/* In one step: nobody sees half of it. */
static void overwrite(struct rig *rig, uint64_t seed)
{
	rig_put_random(rig, "other", seed, LARGE);
	rig_rename(rig, "other", "nb-1-big-Data.db");
}

static enum fault overwrite_once(struct rig *rig, const char *method, const char *key)
{
	if (is_data_put(method, key) && atomic_fetch_add(&rig->calls, 1) == 0)
		overwrite(rig, 2);
	return FAULT_NONE;
}

Test(backup, a_file_that_is_rewritten_while_it_is_read_is_read_again_never_mixed)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	slow_down(&rig);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, LARGE);
	rig_put_random(&rig, "nb-2-big-Data.db", 3, 1000);
	rig.fault = overwrite_once;
	record = rig_commit(&rig, "b1");
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 2, LARGE);
	rig_expect_random(&rig, record, "nb-2-big-Data.db", 3, 1000);
}

/* Its first bytes, at each upload of it: so that its first piece is always a new one, and there is always another upload. */
static enum fault overwrite_always(struct rig *rig, const char *method, const char *key)
{
	int n = atomic_fetch_add(&rig->calls, 1);
	const struct timespec times[2] = { { 1, 0 }, { 1, n } };
	char path[512];
	int fd;

	if (!is_data_put(method, key))
		return FAULT_NONE;
	fd = openat(rig->tmp.fd, rig_path(path, "nb-1-big-Data.db"), O_WRONLY | O_CLOEXEC);
	cr_assert_eq(io_pwrite_full(fd, &n, sizeof(n), 0), 0);
	cr_assert_eq(futimens(fd, times), 0);
	close(fd);
	return FAULT_NONE;
}

Test(backup, a_file_that_never_stays_the_same_fails_the_backup_by_name)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	slow_down(&rig);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, LARGE);
	rig.fault = overwrite_always;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_IO);
	cr_expect(strstr(e.message, "nb-1-big-Data.db changes again and again"), "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
}

Test(backup, a_file_that_vanished_fails_the_backup_by_name)
{
	static const size_t lengths[] = { 0, 100, 30000, 9 * 1024 * 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(snapshot_freep) struct snapshot *s = NULL;
		struct err e;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig_put_random(&rig, "nb-1-big-Data.db", 1, lengths[i]);
		rig_put_random(&rig, "nb-2-big-Data.db", 2, 100);
		s = rig_scan(&rig);
		rig_remove(&rig, "nb-1-big-Data.db");
		cr_expect_eq(rig_backup_snapshot(&rig, s, "b1", NULL, &e), -ENOENT);
		cr_expect_eq(e.kind, ERR_IO);
		cr_expect(strstr(e.message, "nb-1-big-Data.db vanished"), "%s", e.message);
		cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
	}
}

Test(backup, a_pipe_in_the_place_of_a_file_is_no_file)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	char path[512];
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 1000);
	s = rig_scan(&rig);
	rig_remove(&rig, "nb-1-big-Data.db");
	cr_assert_eq(mkfifoat(rig.tmp.fd, rig_path(path, "nb-1-big-Data.db"), 0600), 0);
	cr_expect_lt(rig_backup_snapshot(&rig, s, "b1", NULL, &e), 0);
	cr_expect(strstr(e.message, "nb-1-big-Data.db"), "%s", e.message);
}

Test(backup, a_dry_run_compares_and_writes_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *dry = NULL;
	struct trace_counts before, after;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 3 * MIB);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 70000);
	before = rig_counts(&rig);
	rig.options.dry_run = true;
	dry = rig_commit(&rig, "b2");
	after = rig_counts(&rig);
	cr_expect_eq(after.put, before.put);
	cr_expect_eq(after.delete_many, before.delete_many);
	cr_expect_eq(dry->total_bytes, 3 * MIB + 70000);
	cr_expect_eq(dry->new_bytes, 70000);
	cr_expect_eq(rig_count(&rig, "records/"), 1);
}

Test(backup, progress_ends_where_it_said)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	struct progress progress = { 0 };

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.progress = &progress;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 3 * MIB);
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 70000);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(atomic_load(&progress.files_total), 2);
	cr_expect_eq(atomic_load(&progress.files_done), 2);
	cr_expect_eq(atomic_load(&progress.bytes_total), 3 * MIB + 70000);
	cr_expect_eq(atomic_load(&progress.bytes_done), 3 * MIB + 70000);
	cr_expect_gt(atomic_load(&progress.bytes_new), 3 * MIB + 70000);
}

Test(backup, an_empty_snapshot_is_a_backup_too)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_mkdirs(&rig, "d0/" RIG_TABLE "/snapshots/s1/x");
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->file_count, 0);
	cr_expect_eq(record->dir_count, 3);
	cr_expect(record->has_root);
}
