/* SPDX-License-Identifier: Apache-2.0 */
/* W1 to W5 of a backup: who wins a name, what a lost answer means, and what may be reused. */
#include "catalog/register.h"
#include "tests/unit/catalog/rig.h"

static const struct node_name where = { "c1", "n1" };

static bool is_record_put(const char *method, const char *key)
{
	return strcmp(method, "put") == 0 && strstr(key, "/records/");
}

static bool is_data_put(const char *method, const char *key)
{
	return strcmp(method, "put") == 0 && strstr(key, "/objects/");
}

static void one_file(struct rig *rig)
{
	rig_put_random(rig, "nb-1-big-Data.db", 1, 2 * MIB);
	rig_put_random(rig, "nb-1-big-Index.db", 2, 20000);
}

/* A record that another process wrote. */
static struct reg other_record(struct rig *rig, struct record *record, enum record_state state)
{
	struct reg g;
	struct err e = ERR_INIT;

	record->writer = ulid_new(&rig->clock);
	record->started_ns = RIG_START_NS;
	reg_init_record(&g, rig->repo, record);
	cr_assert_eq(reg_create(&g, NULL, &e), 0, "%s", e.message);
	record->state = state;
	if (state != RECORD_OPEN)
		cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
	return g;
}

static enum record_state state_of(struct rig *rig, const struct record *r)
{
	_cleanup_(record_freep) struct record *now = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(
		repo_get_record(rig->repo, &where, r->backup, &r->writer, &now, NULL, NULL, &e), 0);
	return now->state;
}

/* ---- the name ---- */

Test(backup_protocol, a_name_that_is_committed_is_taken)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL;
	size_t objects;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-2-big-Data.db", 3, 30000);
	objects = rig_count(&rig, "objects/");
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EEXIST);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_str_eq(e.message, "backup b1 of node n1 exists already");
	cr_expect_eq(rig_count(&rig, "objects/"), objects, "nothing was uploaded");
	cr_expect_eq(rig_count(&rig, "records/b1/"), 2);
	cr_expect_eq(state_of(&rig, first), RECORD_COMMITTED);
}

Test(backup_protocol, a_name_that_begins_alike_is_another)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b10");
	second = rig_commit(&rig, "b1");
	cr_expect_eq(state_of(&rig, second), RECORD_COMMITTED);
}

Test(backup_protocol, a_name_that_somebody_is_writing_is_taken)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *other = NULL;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	other = rig_record(&rig, "b1");
	other_record(&rig, other, RECORD_OPEN);
	rig.wall_ns += INT64_C(900000000000); /* 15 minutes: not yet dead */
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_str_eq(e.message,
			 "backup b1 of node n1 is being written by another process since "
			 "2023-11-14T22:13:20Z");
	cr_expect_eq(state_of(&rig, other), RECORD_OPEN);
}

Test(backup_protocol, a_dead_writer_of_another_host_is_fenced)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *other = NULL, *record = NULL;
	struct reg dead;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	strcpy(rig.host_id, "host-b");
	other = rig_record(&rig, "b1");
	strcpy(rig.host_id, "");
	dead = other_record(&rig, other, RECORD_OPEN);
	rig.wall_ns += INT64_C(900000000001);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(state_of(&rig, other), RECORD_ABORTED);
	cr_expect_eq(state_of(&rig, record), RECORD_COMMITTED);
	/* Should it wake up, it cannot commit. */
	cr_expect_eq(reg_write(&dead, NULL, &e), REG_LOST);
}

Test(backup_protocol, a_name_that_was_given_up_is_free)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *other = NULL, *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	other = rig_record(&rig, "b1");
	other_record(&rig, other, RECORD_ABORTED);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(state_of(&rig, record), RECORD_COMMITTED);
}

static pthread_barrier_t both;
static atomic_int record_puts;

/* Nobody lists the name before both records are there, and nobody withdraws before both have looked. */
static enum fault keep_step(struct rig *rig, const char *method, const char *key)
{
	bool lists = strcmp(method, "list") == 0 && strstr(key, "/records/b1/");

	if (lists || (is_record_put(method, key) && atomic_fetch_add(&record_puts, 1) >= 2))
		pthread_barrier_wait(&both);
	return FAULT_NONE;
}

struct rival {
	struct rig *rig;
	const struct snapshot *snapshot;
	int result;
	struct err e;
};

static void *run_rival(void *arg)
{
	struct rival *r = arg;
	_cleanup_(record_freep) struct record *record = rig_record(r->rig, "b1");
	struct backup_options o = r->rig->options;
	struct backup_result result = { 0 };

	o.record = record;
	o.snapshot = r->snapshot;
	r->result = backup_run(&o, &result, &r->e);
	record_free(result.record);
	return NULL;
}

Test(backup_protocol, two_that_meet_both_withdraw)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct rival rivals[2];
	pthread_t threads[2];
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	s = rig_scan(&rig);
	pthread_barrier_init(&both, NULL, 2);
	rig.fault = keep_step;
	for (size_t i = 0; i < 2; i++) {
		rivals[i] = (struct rival){ .rig = &rig, .snapshot = s };
		pthread_create(&threads[i], NULL, run_rival, &rivals[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_eq(rivals[i].result, -EBUSY);
		cr_expect_eq(rivals[i].e.kind, ERR_CONFLICT);
	}
	rig.fault = NULL;
	pthread_barrier_destroy(&both);
	cr_expect_eq(rig_count(&rig, "records/b1/"), 2);
	cr_expect_eq(rig_count(&rig, "objects/"), 0);
	cr_expect_eq(rig_backup_snapshot(&rig, s, "b1", NULL, &e), 0, "and then it is free");
}

/* ---- answers that are lost ---- */

/* The n-th write of the record (from 1) gets the fault in the other half of `calls`. */
static int faulty_write;
static enum fault fault_of_write;
static bool gets_fail_then;

static enum fault lose_write(struct rig *rig, const char *method, const char *key)
{
	if (is_record_put(method, key) && atomic_fetch_add(&rig->calls, 1) + 1 == faulty_write)
		return fault_of_write;
	if (gets_fail_then && strcmp(method, "get") == 0 && strstr(key, "/records/") &&
	    atomic_load(&rig->calls) >= faulty_write)
		return FAULT_BEFORE;
	return FAULT_NONE;
}

static int backup_losing(struct rig *rig, int write, enum fault fault, bool gets_fail,
			 struct err *e)
{
	faulty_write = write;
	fault_of_write = fault;
	gets_fail_then = gets_fail;
	rig->fault = lose_write;
	return rig_backup(rig, "b1", NULL, e);
}

Test(backup_protocol, a_lost_answer_to_the_first_write_is_settled_by_reading)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 1, FAULT_AFTER, false, &e), 0, "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
}

Test(backup_protocol, a_first_write_that_failed_leaves_nothing)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 1, FAULT_BEFORE, false, &e), -EIO);
	cr_expect_eq(e.kind, ERR_STORE);
	cr_expect_not(e.outcome_unknown);
	cr_expect_eq(rig_count(&rig, ""), 0);
}

Test(backup_protocol, a_lost_answer_to_the_commit_is_settled_by_reading)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 2, FAULT_AFTER, false, &e), 0, "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
}

Test(backup_protocol, a_commit_that_was_not_carried_out_can_be_continued)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 2, FAULT_BEFORE, false, &e), -EIO);
	cr_expect_not(e.outcome_unknown);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_OPEN);
}

Test(backup_protocol, a_commit_whose_outcome_stays_unknown_is_reported_as_unknown)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 2, FAULT_AFTER, true, &e), -EIO);
	cr_expect(e.outcome_unknown);
	cr_expect(strstr(e.message, "it is not known whether backup b1 was committed"), "%s",
		  e.message);
	rig.fault = NULL;
	cr_expect_eq(atomic_load(&rig.calls), 2, "it is not withdrawn");
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED);
}

static enum fault fail_data(struct rig *rig, const char *method, const char *key)
{
	return is_data_put(method, key) ? FAULT_BEFORE : FAULT_NONE;
}

Test(backup_protocol, an_upload_that_fails_ends_the_backup_and_names_the_key)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.fault = fail_data;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EIO);
	cr_expect(strstr(e.key, "nodes/c1/n1/objects/"), "%s", e.key);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_OPEN);
}

static enum fault lose_all_data(struct rig *rig, const char *method, const char *key)
{
	return is_data_put(method, key) ? FAULT_AFTER : FAULT_NONE;
}

Test(backup_protocol, uploads_whose_answers_are_lost_are_settled_by_looking)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.fault = lose_all_data;
	record = rig_commit(&rig, "b1");
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, 2 * MIB);
}

/* ---- renewal, fencing, cancelling ---- */

static enum fault fence_it(struct rig *rig, const char *method, const char *key)
{
	if (is_data_put(method, key) && atomic_fetch_add(&rig->calls, 1) == 0) {
		_cleanup_(record_freep) struct record *record = NULL;
		struct record_key found = { 0 };
		char etag[STORE_ETAG_MAX];
		struct err e = ERR_INIT;

		repo_list_records(rig->repo, &where, "b1", rig_only_record, &found, NULL, &e);
		cr_assert_eq(repo_get_record(rig->repo, &where, "b1", &found.writer, &record, etag,
					     NULL, &e),
			     0);
		cr_assert_eq(reg_fence(rig->repo, record, etag, NULL, &e), 0, "%s", e.message);
	}
	return FAULT_NONE;
}

Test(backup_protocol, a_backup_that_was_fenced_cannot_commit)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.fault = fence_it;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -ESTALE);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
}

static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;

/* An upload lasts until the record was renewed. */
static enum fault wait_for_renewal(struct rig *rig, const char *method, const char *key)
{
	pthread_mutex_lock(&bell_lock);
	if (is_record_put(method, key)) {
		atomic_fetch_add(&rig->calls, 1);
		pthread_cond_broadcast(&bell);
	}
	if (is_data_put(method, key) && atomic_load(&rig->calls) == 1) {
		rig->elapsed_ns += INT64_C(121000000000);
		while (atomic_load(&rig->calls) < 2)
			pthread_cond_wait(&bell, &bell_lock);
	}
	pthread_mutex_unlock(&bell_lock);
	return FAULT_NONE;
}

Test(backup_protocol, the_record_is_renewed_while_files_are_uploaded)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.fault = wait_for_renewal;
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->sequence, 3);
	cr_expect_eq(record->store_time_ns, RIG_START_NS, "the time of W1 stays");
}

static int64_t lasting_ns;

static enum fault last(struct rig *rig, const char *method, const char *key)
{
	if (is_data_put(method, key) && atomic_fetch_add(&rig->calls, 1) == 0)
		rig->elapsed_ns += lasting_ns;
	return FAULT_NONE;
}

Test(backup_protocol, a_backup_that_was_not_renewed_for_too_long_does_not_commit)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	lasting_ns = INT64_C(900000000001);
	rig.fault = last;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -ETIME);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_OPEN);
}

Test(backup_protocol, a_backup_has_a_greatest_age)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.options.greatest_age_ms = 1000;
	lasting_ns = INT64_C(1000000001);
	rig.fault = last;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -ETIME);
	cr_expect(strstr(e.message, "the most that it may"), "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
}

static enum fault cancel_it(struct rig *rig, const char *method, const char *key)
{
	if (is_data_put(method, key))
		cancel_set(&rig->cancel, 2);
	return FAULT_NONE;
}

Test(backup_protocol, a_cancelled_backup_is_withdrawn)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig.fault = cancel_it;
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -ECANCELED);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
}

Test(backup_protocol, one_that_is_cancelled_before_it_begins_leaves_nothing)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cancel_set(&rig.cancel, 2);
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -ECANCELED);
	cr_expect_eq(rig_count(&rig, ""), 0);
}

/* ---- whose backups they are ---- */

/* As older programs kept it where --cluster gave a name. */
Test(backup_protocol, a_record_that_names_its_cluster_as_the_repository_does_proves_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *r1 = NULL, *r2 = NULL, *r3 = NULL;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	strcpy(rig.host_id, "host-a");
	strcpy(rig.cluster_original, "c1");
	r1 = rig_commit(&rig, "b1");
	strcpy(rig.cluster_original, "Test Cluster");
	r2 = rig_commit(&rig, "b2");
	strcpy(rig.host_id, "host-b");
	cr_expect_eq(rig_backup(&rig, "b3", NULL, &e), -EPERM);
	strcpy(rig.host_id, "host-a");
	strcpy(rig.cluster_original, "c1");
	cr_expect_eq(rig_backup(&rig, "b3", NULL, &e), -EPERM,
		     "what is known of the own one is compared");
	rig.options.takeover = true;
	r3 = rig_commit(&rig, "b3");
	rig.options.takeover = false;
}

Test(backup_protocol, another_host_is_refused_unless_it_takes_over)
{
	static const struct {
		const char *host_id, *cluster, *says;
	} strangers[] = { { "host-b", "Test Cluster", "host-b" },
			  { "host-a", "Test_Cluster", "Test_Cluster" } };

	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *r1 = NULL, *r2 = NULL, *r3 = NULL,
						      *r4 = NULL;
		struct err e;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		one_file(&rig);
		strcpy(rig.host_id, "host-a");
		strcpy(rig.cluster_original, "Test Cluster");
		r1 = rig_commit(&rig, "b1");
		strcpy(rig.host_id, "");
		strcpy(rig.cluster_original, "");
		r2 = rig_commit(&rig, "b2");
		strcpy(rig.host_id, strangers[i].host_id);
		strcpy(rig.cluster_original, strangers[i].cluster);
		cr_expect_eq(rig_backup(&rig, "b3", NULL, &e), -EPERM);
		cr_expect_eq(e.kind, ERR_USAGE);
		cr_expect(strstr(e.message, strangers[i].says) && strstr(e.message, "--takeover"),
			  "%s", e.message);
		rig.options.takeover = true;
		r3 = rig_commit(&rig, "b3");
		rig.options.takeover = false;
		r4 = rig_commit(&rig, "b4");
	}
}
