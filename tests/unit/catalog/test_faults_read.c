/* SPDX-License-Identifier: Apache-2.0 */
/* Each request of a walk through a backup, of restore and of verify fails, once or twice running, in each way that the fault wrapper knows. */
#include "catalog/restore.h"
#include "catalog/verify.h"
#include "tests/unit/catalog/faults_help.h"

#define MOST_REQUESTS 200

struct way { /* of reading: 0, or < 0; asserts that what it read is right */
	const char *name;
	int (*read)(struct faulty *f, struct record *record, struct err *e);
};

static int walk(struct faulty *f, struct record *record, struct err *e)
{
	_cleanup_(record_freep) struct record *again = NULL;
	int r = repo_get_record(f->rig.repo, &record->where, record->backup, &record->writer,
				&again, NULL, NULL, e);

	if (r == 0)
		faulty_expect(f, again);
	return r;
}

static void expect_restored(struct faulty *f, const char *dir, const char *name, uint64_t seed,
			    size_t len)
{
	_cleanup_free_ uint8_t *expected = rig_bytes(seed, len);
	_cleanup_free_ char *path = util_printf("%s/" RIG_TABLE "/%s", dir, name);
	_cleanup_free_ char *data = NULL;
	size_t got;

	cr_assert_eq(io_read_file(AT_FDCWD, path, 1 << 26, &data, &got), 0, "%s", path);
	cr_assert_eq(got, len, "%s", path);
	cr_expect_eq(memcmp(data, expected, len), 0, "%s", path);
}

static int restore(struct faulty *f, struct record *record, struct err *e)
{
	static int number;
	_cleanup_free_ char *dir = util_printf("%s/out%d", f->rig.tmp.path, number++);
	_cleanup_(rig_close_view) struct rig_view v = rig_open_view(&f->rig);
	struct restore_options o = { .repo = f->rig.repo,
				     .source = v.source,
				     .meta = v.meta,
				     .record = record,
				     .directory = dir,
				     .connections = 2,
				     .memory_bytes = 64 * MIB };
	struct restore_result result;
	int r = restore_run(&o, &result, e);

	if (r == 0) {
		expect_restored(f, dir, "nb-1-big-Data.db", 1, FAULTY_LARGE);
		expect_restored(f, dir, "nb-1-big-Index.db", 2, FAULTY_PACKED);
		expect_restored(f, dir, "nb-1-big-TOC.txt", 3, FAULTY_INLINE);
	}
	return r;
}

/* Damage that is found, where the store's copies are whole, is no answer either. */
static int verify(struct faulty *f, struct record *record, struct err *e)
{
	_cleanup_(rig_close_view) struct rig_view v = rig_open_view(&f->rig);
	_cleanup_(verify_result_freep) struct verify_result *result = NULL;
	struct verify_options o = { .repo = f->rig.repo,
				    .source = v.source,
				    .meta = v.meta,
				    .records = &record,
				    .record_count = 1,
				    .connections = 2 };
	int r = verify_run(&o, &result, e);

	if (r < 0)
		return r;
	cr_expect_eq(result->objects_checked, result->objects_known);
	return result->finding_count ? err_set(e, ERR_CORRUPT, -EBADMSG, "found damage") : 0;
}

static void run_all(const struct way *way, bool directory, int count)
{
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_faulty_ struct faulty f;

	faulty_init(&f, directory);
	faulty_fill(&f);
	record = rig_commit(&f.rig, "b1");
	for (size_t k = 0; k < ARRAY_SIZE(faulty_kinds); k++) {
		int n = 0;

		do {
			struct err e = ERR_INIT;
			int r;

			faulty_arm(&f, faulty_kinds[k], n, count);
			r = way->read(&f, record, &e);
			faulty_disarm(&f);
			cr_expect(r == 0 || (count > 1 && !faulty_is_refusal(faulty_kinds[k]) &&
					     e.kind == ERR_CORRUPT),
				  "%s: %s in request %d, %d times: %s", way->name,
				  faulty_names[faulty_kinds[k]], n, count, e.message);
			cr_assert_lt(++n, MOST_REQUESTS);
		} while (f.reached);
		cr_expect_gt(n, 5, "%s in only %d requests", way->name, n);
	}
}

Test(faults_read, one_fault_in_any_request_of_a_walk_is_survived)
{
	run_all(&(struct way){ "walk", walk }, false, 1);
}

Test(faults_read, one_fault_in_any_request_of_a_restore_is_survived)
{
	run_all(&(struct way){ "restore", restore }, false, 1);
}

Test(faults_read, one_fault_in_any_request_of_verify_is_survived)
{
	run_all(&(struct way){ "verify", verify }, false, 1);
}

Test(faults_read, two_faults_running_give_the_right_bytes_or_say_damage)
{
	run_all(&(struct way){ "restore", restore }, false, 2);
	run_all(&(struct way){ "verify", verify }, false, 2);
}

Test(faults_read, one_fault_in_any_request_to_a_directory_is_survived)
{
	run_all(&(struct way){ "walk", walk }, true, 1);
	run_all(&(struct way){ "restore", restore }, true, 1);
}
