/* SPDX-License-Identifier: Apache-2.0 */
/* Each request of a backup fails, once or twice running, in each way that the fault wrapper knows. */
#include "tests/unit/catalog/faults_help.h"

#define MOST_REQUESTS 200 /* more than any backup here makes */

struct what {
	bool second;	/* finds another backup to reuse from */
	bool directory; /* not memory */
	int count;	/* requests running that fail */
};

static void prepare(struct faulty *f, bool second, bool directory)
{
	faulty_init(f, directory);
	faulty_fill(f);
	if (second) {
		record_free(rig_commit(&f->rig, "b1"));
		faulty_fill_more(f);
	}
}

static void expect_readable(struct faulty *f, const struct record *record, bool second)
{
	if (second)
		faulty_expect_more(f, record);
	else
		faulty_expect(f, record);
}

/* True: there was such a request. */
static bool run_one(const struct what *w, enum fault fault, int first)
{
	_cleanup_(record_freep) struct record *record = NULL, *old = NULL;
	struct faulty f;
	struct err e;
	bool reached;
	int r;

	prepare(&f, w->second, w->directory);
	faulty_arm(&f, fault, first, w->count);
	r = rig_backup(&f.rig, w->second ? "b2" : "b1", &record, &e);
	reached = f.reached;
	faulty_disarm(&f);
	if (r == 0)
		expect_readable(&f, record, w->second);
	else
		cr_expect(w->count > 1 && !faulty_is_refusal(fault) && e.kind == ERR_CORRUPT &&
				  !e.outcome_unknown,
			  "%s in request %d, %d times: %s", faulty_names[fault], first, w->count,
			  e.message);
	if (w->second) {
		old = rig_read_record(&f.rig, "b1");
		faulty_expect(&f, old);
	}
	faulty_deinit(&f);
	return reached;
}

/* Left out where runs are dear. */
static bool is_like_another(enum fault f)
{
	return f == FAULT_BEFORE || f == FAULT_TRUNCATE || f == FAULT_EMPTY;
}

static void run_all(const struct what *w)
{
	for (size_t k = 0; k < ARRAY_SIZE(faulty_kinds); k++) {
		int n = 0;

		if ((w->directory || w->count > 1) && is_like_another(faulty_kinds[k]))
			continue;
		while (run_one(w, faulty_kinds[k], n))
			cr_assert_lt(++n, MOST_REQUESTS);
		cr_expect_gt(n, 12, "%s in only %d requests", faulty_names[faulty_kinds[k]], n);
	}
}

Test(faults_backup, one_fault_in_any_request_of_a_first_backup_is_survived)
{
	run_all(&(struct what){ .count = 1 });
}

Test(faults_backup, one_fault_in_any_request_of_a_second_backup_is_survived)
{
	run_all(&(struct what){ .second = true, .count = 1 });
}

Test(faults_backup, two_faults_running_never_leave_a_backup_that_cannot_be_read)
{
	run_all(&(struct what){ .second = true, .count = 2 });
}

Test(faults_backup, one_fault_in_any_request_to_a_directory_is_survived)
{
	run_all(&(struct what){ .second = true, .directory = true, .count = 1 });
}

/* True: there was such a request. */
static bool run_full(int first, bool directory)
{
	_cleanup_(record_freep) struct record *record = NULL, *old = NULL, *next = NULL;
	struct faulty f;
	struct err e;
	bool reached;
	int r;

	prepare(&f, true, directory);
	faulty_arm(&f, FAULT_FULL, first, MOST_REQUESTS);
	r = rig_backup(&f.rig, "b2", &record, &e);
	reached = faulty_disarm(&f) > first;
	if (r == 0) /* no put was left to be refused */
		faulty_expect_more(&f, record);
	else
		cr_expect(r == -ENOSPC && e.kind == ERR_STORE, "request %d: %d %s", first, r,
			  e.message);
	old = rig_read_record(&f.rig, "b1");
	faulty_expect(&f, old);
	next = rig_commit(&f.rig, "b3");
	faulty_expect_more(&f, next);
	faulty_deinit(&f);
	return reached;
}

Test(faults_backup, a_store_that_is_full_from_any_request_on_ends_a_backup_and_the_next_one_works)
{
	int n = 0;

	while (run_full(n, n % 2))
		cr_assert_lt(++n, MOST_REQUESTS);
	cr_expect_gt(n, 12);
}
