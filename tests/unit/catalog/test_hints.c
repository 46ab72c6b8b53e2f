/* SPDX-License-Identifier: Apache-2.0 */
/* What is not read again, and what is. */
#include "base/crc.h"
#include "tests/unit/catalog/hints_help.h"

/* ---- what is not read ---- */

Test(hints, an_unchanged_file_is_not_read_and_is_in_the_backup)
{
	static const size_t lengths[] = { 0, 1, 512, 513, 30000, 9 * 1024 * 1024 };
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL, *third = NULL;
	char name[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
		rig_put_random(&rig, name, i, lengths[i]);
	}
	back_up(&rig, "b1", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
		rig_put_random(&rig, name, i + 100, lengths[i]);
	}
	second = commit(&rig, "b2", NULL);
	third = commit(&rig, "b3", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
		rig_expect_random(&rig, second, name, i, lengths[i]);
		rig_expect_random(&rig, third, name, i, lengths[i]);
	}
	cr_expect_eq(second->new_bytes, 0);
	cr_expect_eq(third->file_count, ARRAY_SIZE(lengths));
}

Test(hints, a_file_is_remembered_however_many_there_are)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL;
	char name[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (unsigned i = 0; i < 3000; i++) { /* some blocks of the file */
		snprintf(name, sizeof(name), "%snb-%u-big-Index.db", i % 3 ? "" : ".idx/", i);
		rig_put_random(&rig, name, i, 600);
	}
	back_up(&rig, "b1", NULL);
	for (unsigned i = 0; i < 3000; i += 100) {
		snprintf(name, sizeof(name), "%snb-%u-big-Index.db", i % 3 ? "" : ".idx/", i);
		rig_put_random(&rig, name, i + 5000, 600);
	}
	rig_put_random(&rig, "nb-77777-big-Index.db", 99999, 600);
	second = commit(&rig, "b2", NULL);
	cr_expect_eq(second->new_bytes, 600);
	for (unsigned i = 0; i < 3000; i += 100) {
		snprintf(name, sizeof(name), "%snb-%u-big-Index.db", i % 3 ? "" : ".idx/", i);
		cr_expect(holds_length(&rig, second, name, i, 600), "%s", name);
	}
}

Test(hints, a_digest_that_did_not_match_is_said_again_though_nothing_is_read)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ uint8_t *data = rig_bytes(1, LEN);
	char text[16];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	put(&rig, DATA, 1);
	snprintf(text, sizeof(text), "%u", crc_add(0, data, LEN) ^ 1);
	rig_put(&rig, "nb-1-big-Digest.crc32", text, strlen(text));
	for (int i = 1; i < 4; i++) {
		_cleanup_(record_freep) struct record *record = NULL;
		char name[8];

		snprintf(name, sizeof(name), "b%d", i);
		record = commit(&rig, name, NULL);
		cr_expect_eq(record->digests.checked, 1);
		cr_expect_eq(record->digests.mismatched, 1);
		put(&rig, DATA, 2);
	}
}

Test(hints, a_snapshot_under_another_tag_has_the_same_files)
{
	_cleanup_rig_ struct rig rig;
	struct snapshot_options o = { .data_dir_count = 1, .tag = "s2" };
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	_cleanup_(record_freep) struct record *second = NULL;
	char d0[128];
	const char *dirs[] = { d0 };
	struct err e = ERR_INIT;

	one_backup(&rig);
	put(&rig, DATA, 2);
	cr_assert_eq(io_mkdirs(rig.tmp.fd, "d0/" RIG_TABLE "/snapshots/s2", 0755), 0);
	cr_assert_eq(linkat(rig.tmp.fd, "d0/" RIG_TABLE "/snapshots/s1/" DATA, rig.tmp.fd,
			    "d0/" RIG_TABLE "/snapshots/s2/" DATA, 0),
		     0);
	snprintf(d0, sizeof(d0), "%s/d0", rig.tmp.path);
	o.data_dirs = dirs;
	cr_assert_eq(snapshot_scan(&o, NULL, &s, &e), 0, "%s", e.message);
	rig.options.hints = open_hints(&rig, NULL);
	cr_assert_eq(rig_backup_snapshot(&rig, s, "b2", &second, &e), 0, "%s", e.message);
	hints_free(rig.options.hints);
	cr_expect(holds(&rig, second, DATA, 1), "it was read");
}

/* ---- what is read ---- */

Test(hints, reread_reads_everything_and_remembers_it)
{
	_cleanup_rig_ struct rig rig;

	one_backup(&rig);
	cr_expect_not(is_read(&rig, "b2", DATA, NULL));
	cr_expect(is_read(&rig, "b3", DATA, &(struct host){ .reread = true }));
	cr_expect_not(is_read(&rig, "b4", DATA, NULL));
}

Test(hints, what_cassandra_rewrites_is_read_every_time)
{
	static const char *const names[] = { "nb-1-big-Statistics.db", "nb-1-big-Summary.db",
					     "nb-1-big-TOC.txt", ".idx/nb-1-big-TOC.txt",
					     "manifest.json" };
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put(&rig, names[i], i);
	back_up(&rig, "b1", NULL);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(names); i++) {
		char backup[16];

		snprintf(backup, sizeof(backup), "b2-%zu", i);
		cr_expect(is_read(&rig, backup, names[i], NULL), "%s", names[i]);
		rig_put_random(&rig, "new", i, LEN);
		rig_rename(&rig, "new", names[i]); /* and under another inode */
		snprintf(backup, sizeof(backup), "b3-%zu", i);
		cr_expect(is_read(&rig, backup, names[i], NULL), "%s", names[i]);
	}
}

Test(hints, a_large_summary_is_remembered)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL;
	const char *name = "nb-1-big-Summary.db";

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, name, 1, MIB + 1);
	back_up(&rig, "b1", NULL);
	rig_put_random(&rig, name, 2, MIB + 1);
	second = commit(&rig, "b2", NULL);
	cr_expect(holds_length(&rig, second, name, 1, MIB + 1));
}

Test(hints, another_inode_of_the_same_name_size_and_mtime_is_read)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL;

	one_backup(&rig);
	put(&rig, "new", 2);
	rig_rename(&rig, "new", DATA);
	second = commit(&rig, "b2", NULL);
	cr_expect(holds(&rig, second, DATA, 2));
	cr_expect_eq(second->new_bytes, LEN);
}

Test(hints, another_size_or_mtime_is_read)
{
	const struct timespec older[2] = { { 1600000000, 0 }, { 1500000000, 123456789 } };
	const struct timespec later[2] = { { 1600000000, 0 }, { 1600000000, 123456790 } };
	const struct timespec *const times[] = { older, later };

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *second = NULL, *third = NULL;
		char path[512];

		one_backup(&rig);
		put(&rig, DATA, 2);
		utimensat(rig.tmp.fd, rig_path(path, DATA), times[i], 0);
		second = commit(&rig, "b2", NULL);
		cr_expect(holds(&rig, second, DATA, 2));
		rig_put_random(&rig, DATA, 3, LEN - 1);
		third = commit(&rig, "b3", NULL);
		cr_expect(holds_length(&rig, third, DATA, 3, LEN - 1));
	}
}

Test(hints, what_was_written_shortly_before_is_read_again_next_time)
{
	static const struct {
		int64_t age_ns; /* of the file, at the start of the backup */
		bool read;
	} rows[] = { { 0, true },
		     { SECOND, true },
		     { 2 * SECOND - 1, true },
		     { 2 * SECOND, false },
		     { 3 * SECOND, false },
		     { -SECOND, true },
		     { -1000000 * SECOND, true } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_rig_ struct rig rig;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig.wall_ns = FILE_NS + rows[i].age_ns;
		put(&rig, DATA, 1);
		back_up(&rig, "b1", NULL);
		rig.wall_ns = RIG_START_NS;
		cr_expect_eq(is_read(&rig, "b2", DATA, NULL), rows[i].read, "%lld",
			     (long long)rows[i].age_ns);
		cr_expect_not(is_read(&rig, "b3", DATA, NULL));
	}
}

Test(hints, a_clock_that_is_behind_what_is_remembered_is_no_clock_to_go_by)
{
	_cleanup_rig_ struct rig rig;

	one_backup(&rig);
	rig.wall_ns = RIG_START_NS - SECOND;
	cr_expect(is_read(&rig, "b2", DATA, NULL));
	cr_expect_not(is_read(&rig, "b3", DATA, NULL));
	rig.wall_ns = -5 * SECOND; /* before 1970 */
	cr_expect(is_read(&rig, "b4", DATA, NULL));
	cr_expect(is_read(&rig, "b5", DATA, NULL), "its mtime is in the future");
}

static enum fault set_clock_back(struct rig *rig, const char *method, const char *key)
{
	if (strcmp(method, "put") == 0 && strstr(key, "/objects/"))
		rig->wall_ns -= 5 * SECOND;
	return FAULT_NONE;
}

Test(hints, nothing_is_remembered_where_the_clock_is_set_back_meanwhile)
{
	_cleanup_rig_ struct rig rig;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	put(&rig, DATA, 1);
	rig.fault = set_clock_back;
	back_up(&rig, "b1", NULL);
	rig.fault = NULL;
	cr_expect(is_read(&rig, "b2", DATA, NULL));
	cr_expect_not(is_read(&rig, "b3", DATA, NULL));
}

Test(hints, a_reused_name_with_other_content_is_stored)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *second = NULL;

	one_backup(&rig);
	rig_remove(&rig, DATA); /* truncated, and generation 1 again */
	rig_put_random(&rig, "spare", 3, 10);
	put(&rig, DATA, 2);
	second = commit(&rig, "b2", NULL);
	/* The inode may be the same one again; its birth is another. */
	cr_expect(holds(&rig, second, DATA, 2));
	rig_expect_random(&rig, second, DATA, 2, LEN);
}

/* ---- a hint is no word on what the store holds ---- */

static void drop_record(struct rig *rig, const char *backup)
{
	_cleanup_(record_freep) struct record *record = rig_read_record(rig, backup);
	char key[KEY_BYTES];
	const char *keys[] = { key };
	struct store_delete_error errors[1];
	size_t count;
	struct err e = ERR_INIT;

	keys_record(key, &hints_node, backup, &record->writer);
	cr_assert_eq(store_delete_many(rig->store, keys, 1, errors, &count, NULL, &e), 0);
}

Test(hints, content_that_no_committed_backup_reaches_is_read_and_sent)
{
	static const size_t lengths[] = { 40000, 9 * 1024 * 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *second = NULL;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig_put_random(&rig, DATA, 1, lengths[i]);
		back_up(&rig, "b1", NULL);
		drop_record(&rig, "b1");
		second = commit(&rig, "b2", NULL);
		cr_expect_eq(second->new_bytes, lengths[i]);
		cr_expect_eq(second->reused_bytes, 0);
		rig_expect_random(&rig, second, DATA, 1, lengths[i]);
	}
}
