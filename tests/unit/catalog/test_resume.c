/* SPDX-License-Identifier: Apache-2.0 */
/* An own backup that was interrupted is continued: whatever happened between, nothing is sent twice that was stored, and nothing is believed to be stored that was not. */
#include "catalog/stored.h"
#include "tests/unit/catalog/resume_help.h"

static const struct node_name where = { "c1", "n1" };

/* ---- what is sent again ---- */

Test(resume, a_large_piece_that_was_stored_is_not_sent_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	resume_init(&rig, &dir);
	rig.options.connections = rig.options.jobs = 1;
	resume_kill(&rig, "b1", "put /objects/", 3, false);
	cr_assert_eq(rig_count(&rig, "objects/"), 2);
	record = resume_commit(&rig, "b1");
	cr_expect(resume_last.resumed);
	cr_expect_eq(resume_last.resumed_bytes, RESUME_LARGE);
	cr_expect_eq(record->new_bytes, record->total_bytes, "all of it belongs to this backup");
	cr_expect_eq(rig_count(&rig, "records/"), 1);
	resume_expect_all(&rig, record);
}

Test(resume, one_whose_answer_was_lost_is_not_sent_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	resume_init(&rig, &dir);
	rig.options.connections = rig.options.jobs = 1;
	resume_kill(&rig, "b1", "put /objects/", 3, true);
	cr_assert_eq(rig_count(&rig, "objects/"), 3);
	record = resume_commit(&rig, "b1");
	cr_expect_gt(resume_last.resumed_bytes, RESUME_LARGE, "and the first pack");
	resume_expect_all(&rig, record);
}

/* Other files stand before the small ones now, so every pack is another. */
Test(resume, small_files_are_found_again_though_they_fall_into_other_packs)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	uint64_t small = 0;

	for (int i = 0; i < RESUME_SMALL_FILES; i++)
		small += (uint64_t)(20000 + 11000 * i);
	resume_init(&rig, &dir);
	resume_kill(&rig, "b1", "put /records/", 2, false); /* the commit */
	rig_put_random(&rig, "nb-000-big-CRC.db", 5, 70000);
	rig_put_random(&rig, "nb-001-big-CRC.db", 6, 300000);
	rig_remove(&rig, "nb-002-big-Index.db");
	record = resume_commit(&rig, "b1");
	cr_expect(resume_last.resumed);
	cr_expect_eq(resume_last.resumed_bytes, RESUME_LARGE + small - 42000);
	cr_expect_eq(record->new_bytes, record->total_bytes);
	resume_small_files(&rig, 2, 3);
	rig_expect_random(&rig, record, "nb-000-big-CRC.db", 5, 70000);
	rig_expect_random(&rig, record, "nb-001-big-CRC.db", 6, 300000);
	rig_expect_random(&rig, record, "nb-039-big-Index.db", 1039, 20000 + 11000 * 39);
	rig_expect_random(&rig, record, "nb-0-big-Data.db", 1, RESUME_LARGE);
}

Test(resume, what_there_is_no_memory_for_is_not_known)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *open = NULL;
	struct stored_options o = { .where = &where, .connections = 2 };
	struct err e = ERR_INIT;
	size_t sizes[3] = { 0 };
	const uint64_t memory[3] = { 0, 400, MIB };

	resume_init(&rig, &dir);
	resume_kill(&rig, "b1", "put /records/", 2, false);
	open = rig_read_record(&rig, "b1");
	o.repo = rig.repo;
	o.writer = open->writer;
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		_cleanup_(stored_freep) struct stored *s = NULL;

		o.memory_bytes = memory[i];
		cr_assert_eq(stored_load(&o, &s, NULL, &e), 0, "%s", e.message);
		for (int k = 0; k < RESUME_SMALL_FILES; k++) {
			size_t len = (size_t)(20000 + 11000 * k);
			_cleanup_free_ uint8_t *data = rig_bytes((uint64_t)(1000 + k), len);
			struct frame_digest digests[8];
			struct extent x;

			object_digest_frames(data, len, digests);
			sizes[i] += stored_find(s, digests, len, &x);
		}
	}
	cr_expect_eq(sizes[0], 0);
	cr_expect_eq(sizes[1], 0, "the list of objects, and no head");
	cr_expect_eq(sizes[2], RESUME_SMALL_FILES);
}

/* ---- wherever it was killed ---- */

static void kill_at_every(const char *what, bool carried_out)
{
	for (int at = 1;; at++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_free_ char *dir = NULL;
		_cleanup_(record_freep) struct record *record = NULL;
		size_t before;
		struct err e;

		rig_init(&rig, OBJECT_COMPRESS_ZSTD);
		rig.options.alive_dir = dir = resume_alive_dir(&rig);
		rig_put_random(&rig, "nb-1-big-Data.db", 1, MIB + 30000);
		rig_put_random(&rig, "nb-1-big-Index.db", 2, 20000);
		rig_put_random(&rig, "nb-1-big-TOC.txt", 3, 300);
		resume_arm(&rig, what, at, carried_out);
		if (rig_backup(&rig, "b1", NULL, &e) == 0) {
			cr_assert_not(resume_disarm(&rig), "%s %d", what, at);
			cr_assert_gt(at, 1);
			return;
		}
		resume_disarm(&rig);
		before = rig_count(&rig, "objects/");
		if (rig_count(&rig, "records/") == 1 && rig_state(&rig, "b1") == RECORD_COMMITTED) {
			record = rig_read_record(&rig, "b1");
			cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EEXIST);
		} else {
			record = resume_commit(&rig, "b1");
			cr_expect_eq(resume_last.resumed || before == 0, true, "%s %d", what, at);
			cr_expect_eq(rig_count(&rig, "records/"), 1, "%s %d", what, at);
		}
		cr_expect_eq(rig_count(&rig, "objects/"), 2, "%s %d", what, at);
		rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, MIB + 30000);
		rig_expect_random(&rig, record, "nb-1-big-Index.db", 2, 20000);
		rig_expect_random(&rig, record, "nb-1-big-TOC.txt", 3, 300);
	}
}

Test(resume, a_backup_is_continued_wherever_it_was_killed)
{
	static const char *const kinds[] = { "put", "list", "get" };

	for (size_t i = 0; i < 2; i++) {
		kill_at_every(kinds[i], false);
		kill_at_every(kinds[i], true);
	}
}

/* And so is one that was continued and killed again, as often as one likes. */
Test(resume, a_backup_is_continued_again_and_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	int times = 0;
	struct err e;

	resume_init(&rig, &dir);
	rig.options.connections = 1;
	do {
		resume_arm(&rig, "put /objects/", 2, false);
		record_free(record);
		record = NULL;
		times++;
	} while (resume_run(&rig, "b1", &record, &e) < 0 && times < 50);
	resume_disarm(&rig);
	cr_expect_gt(times, 3);
	cr_expect_eq(rig_count(&rig, "records/"), 1);
	resume_expect_all(&rig, record);
}

/* ---- whose backup it is, and whether it is dead ---- */

Test(resume, without_local_state_it_is_dead_after_a_quarter_of_an_hour)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e;

	resume_init(&rig, &dir);
	rig.options.alive_dir = NULL;
	resume_kill(&rig, "b1", "put /objects/", 3, false);
	rig.wall_ns += INT64_C(800000000000);
	cr_expect_eq(resume_run(&rig, "b1", &record, &e), -EBUSY);
	rig.wall_ns += INT64_C(41000000000);
	record = resume_commit(&rig, "b1");
	cr_expect(resume_last.resumed);
	resume_expect_all(&rig, record);
}

static enum fault run_beside(struct rig *rig, const char *method, const char *key)
{
	if (resume_is_kind("put /objects/", method, key) && atomic_fetch_add(&rig->calls, 1) == 0) {
		_cleanup_(record_freep) struct record *record = NULL;
		struct backup_result result = resume_last;
		struct err e;

		cr_expect_eq(resume_run(rig, "b1", &record, &e), -EBUSY);
		cr_expect_eq(e.kind, ERR_CONFLICT);
		cr_expect(strstr(e.message, "is being written by another process"), "%s",
			  e.message);
		resume_last = result;
	}
	return FAULT_NONE;
}

Test(resume, one_that_runs_on_this_machine_is_not_continued)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	resume_init(&rig, &dir);
	rig.fault = run_beside;
	record = resume_commit(&rig, "b1");
	cr_expect_not(resume_last.resumed);
	cr_expect_gt(atomic_load(&rig.calls), 0);
	cr_expect_eq(rig_count(&rig, "records/"), 1, "the other one has written nothing");
}

Test(resume, one_of_another_host_is_not_continued)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	resume_init(&rig, &dir);
	strcpy(rig.host_id, "host-a");
	resume_kill(&rig, "b1", "put /objects/", 3, false);
	strcpy(rig.host_id, "host-b");
	rig.wall_ns += INT64_C(1000000000000);
	record = resume_commit(&rig, "b1");
	cr_expect_not(resume_last.resumed);
	cr_expect_eq(rig_count(&rig, "records/"), 2);
	resume_expect_all(&rig, record);
}

/* --takeover was forgotten: that is refused, and no reason to store everything once more. */
Test(resume, one_that_is_refused_is_still_there_to_be_continued)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *before = NULL, *record = NULL;
	struct err e;

	resume_init(&rig, &dir);
	strcpy(rig.host_id, "host-a");
	before = rig_commit(&rig, "b0");
	rig_put_random(&rig, "nb-2-big-Data.db", 7, 2 * MIB);
	rig_put_random(&rig, "nb-3-big-Data.db", 8, 2 * MIB);
	strcpy(rig.host_id, "host-b");
	rig.options.connections = 1;
	rig.options.takeover = true;
	resume_kill(&rig, "b1", "put /objects/", 2, false);
	rig.options.takeover = false;
	cr_expect_eq(resume_run(&rig, "b1", &record, &e), -EPERM);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_OPEN);
	rig.options.takeover = true;
	record = resume_commit(&rig, "b1");
	cr_expect(resume_last.resumed);
	cr_expect_eq(resume_last.resumed_bytes, 2 * MIB);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
	resume_expect_all(&rig, record);
	rig_expect_random(&rig, record, "nb-2-big-Data.db", 7, 2 * MIB);
}

static enum fault lose_one_record(struct rig *rig, const char *method, const char *key)
{
	return resume_is_kind("put /records/", method, key) && atomic_fetch_add(&rig->calls, 1) == 0
		       ? FAULT_LOST
		       : FAULT_NONE;
}

/* Nobody knows whether the request was carried out, and it was not. */
Test(resume, it_is_taken_over_though_a_request_is_lost)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	resume_init(&rig, &dir);
	resume_kill(&rig, "b1", "put /objects/", 3, false);
	rig.fault = lose_one_record;
	record = resume_commit(&rig, "b1");
	cr_expect_gt(atomic_load(&rig.calls), 1);
	cr_expect(resume_last.resumed);
	cr_expect_eq(rig_count(&rig, "records/"), 1);
	resume_expect_all(&rig, record);
}

Test(resume, one_that_was_ended_is_not_continued)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *first = NULL, *record = NULL, *now = NULL;
	char etag[STORE_ETAG_MAX];
	struct err e = ERR_INIT;

	resume_init(&rig, &dir);
	resume_kill(&rig, "b1", "put /objects/", 3, false);
	first = rig_read_record(&rig, "b1");
	cr_assert_eq(repo_get_record(rig.repo, &where, "b1", &first->writer, &now, etag, NULL, &e),
		     0);
	cr_assert_eq(reg_fence(rig.repo, now, etag, NULL, &e), 0);
	record = resume_commit(&rig, "b1");
	cr_expect_not(resume_last.resumed);
	cr_expect_eq(resume_last.resumed_bytes, 0);
	cr_expect(memcmp(&first->writer, &record->writer, sizeof(record->writer)) != 0);
	resume_expect_all(&rig, record);
}

static struct reg *first_process;

/* It renews its record when that was just taken over: with the number that the other one has written. */
static enum fault wake_up(struct rig *rig, const char *method, const char *key)
{
	struct err e;

	if (resume_is_kind("list /condemned/", method, key)) {
		rig->fault = NULL;
		cr_expect_eq(reg_write(first_process, NULL, &e), REG_LOST);
	}
	return FAULT_NONE;
}

/* The first process was not dead after all: what it writes next fails. */
Test(resume, the_first_process_cannot_commit_any_more)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *other = NULL, *record = NULL;
	struct reg first;
	struct err e = ERR_INIT;

	resume_init(&rig, &dir);
	rig.options.alive_dir = NULL;
	other = rig_record(&rig, "b1");
	other->writer = ulid_new(&rig.clock);
	other->started_ns = RIG_START_NS;
	reg_init_record(&first, rig.repo, other);
	cr_assert_eq(reg_create(&first, NULL, &e), 0, "%s", e.message);
	rig.wall_ns += INT64_C(900000000001);
	first_process = &first;
	rig.fault = wake_up;
	record = resume_commit(&rig, "b1");
	cr_expect_null(rig.fault);
	cr_expect(resume_last.resumed);
	cr_expect_eq(memcmp(&record->writer, &other->writer, sizeof(record->writer)), 0);
	cr_expect_eq(record->store_time_ns, RIG_START_NS, "the time of W1 stays");
	cr_expect_eq(reg_write(&first, NULL, &e), REG_LOST);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
}

/* ---- no name was asked for ---- */

Test(resume, without_a_name_the_newest_of_a_day_is_continued_under_its_name)
{
	static const struct {
		int64_t hours;
		bool resumed;
	} cases[] = { { 0, true }, { 23, true }, { 25, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_free_ char *dir = NULL;
		_cleanup_(record_freep) struct record *done = NULL, *record = NULL;

		resume_init(&rig, &dir);
		done = rig_commit(&rig, "b0");
		rig_put_random(&rig, "nb-2-big-Data.db", 7, 2 * MIB);
		rig_put_random(&rig, "nb-3-big-Data.db", 8, 2 * MIB);
		rig.options.connections = 1;
		resume_kill(&rig, "b1", "put /objects/", 2, false);
		rig.wall_ns += cases[i].hours * INT64_C(3600000000000);
		rig.options.any_name = true;
		record = resume_commit(&rig, "b2");
		cr_expect_eq(resume_last.resumed, cases[i].resumed);
		cr_expect_str_eq(record->backup, cases[i].resumed ? "b1" : "b2");
		cr_expect_eq(resume_last.resumed_bytes, cases[i].resumed ? 2 * MIB : 0);
		resume_expect_all(&rig, record);
		rig_expect_random(&rig, record, "nb-2-big-Data.db", 7, 2 * MIB);
	}
}
