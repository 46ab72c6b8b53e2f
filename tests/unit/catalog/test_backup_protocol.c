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
	reg_init(&g, rig->repo, record);
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

Test(backup_protocol, a_dead_writer_is_fenced)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *other = NULL, *record = NULL;
	struct reg dead;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	other = rig_record(&rig, "b1");
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

Test(backup_protocol, a_commit_that_was_not_carried_out_is_withdrawn)
{
	_cleanup_rig_ struct rig rig;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_expect_eq(backup_losing(&rig, 2, FAULT_BEFORE, false, &e), -EIO);
	cr_expect_not(e.outcome_unknown);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
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
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_COMMITTED, "and it is not withdrawn");
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
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
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
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
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

/* ---- what may be reused ---- */

/* Condemns keys (below the node's prefix) in one list. */
static void condemn(struct rig *rig, const char *const *keys, size_t count)
{
	char text[4096], hex[SHA256_HEX];
	size_t len = (size_t)snprintf(text, sizeof(text), "condemned 1\n");
	struct id256 sum;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\n", keys[i]);
	sum = digest_sha256(text, len);
	util_hex(hex, sum.b, sizeof(sum.b));
	len += (size_t)snprintf(text + len, sizeof(text) - len, "sha256 %s\n", hex);
	cr_assert_eq(store_put_bytes(rig->store, "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV",
				     text, len, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0, "%s", e.message);
	cr_assert_eq(store_put_bytes(rig->store,
				     "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV.waits", "x",
				     1, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0);
}

struct key_list {
	char keys[64][192];
	size_t count;
};

static int keep_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct key_list *l = ctx;

	snprintf(l->keys[l->count++], sizeof(l->keys[0]), "%s",
		 entry->key + strlen("nodes/c1/n1/"));
	return 0;
}

static void list_keys(struct rig *rig, const char *below, struct key_list *ret)
{
	char prefix[128];
	struct store_list list = { .prefix = prefix, .entry = keep_key, .ctx = ret };
	struct err e = ERR_INIT;

	ret->count = 0;
	snprintf(prefix, sizeof(prefix), "nodes/c1/n1/%s", below);
	cr_assert_eq(store_list(rig->store, &list, NULL, &e), 0);
}

Test(backup_protocol, a_condemned_object_is_not_used_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list objects, trees;
	const char *keys[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig_settle(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "objects/", &objects);
	list_keys(&rig, "trees/", &trees);
	cr_assert_eq(objects.count, 2);
	keys[0] = objects.keys[0];
	keys[1] = objects.keys[1];
	condemn(&rig, keys, 2);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 2 * MIB + 20000);
	cr_expect_eq(rig_count(&rig, "objects/"), 4);
	cr_expect_eq(rig_count(&rig, "trees/"), 2 * trees.count, "run and trees reach it");
}

Test(backup_protocol, a_condemned_run_is_stored_anew_and_its_content_is_reused)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list trees;
	const char *keys[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig_settle(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "trees/", &trees);
	for (size_t i = 0; i < trees.count; i++)
		keys[i] = trees.keys[i];
	condemn(&rig, keys, trees.count);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
	cr_expect_eq(rig_count(&rig, "trees/"), 2 * trees.count);
	cr_expect(memcmp(&first->root.extent.object.writer, &second->root.extent.object.writer,
			 ULID_BYTES) != 0);
	rig_expect_random(&rig, second, "nb-1-big-Data.db", 1, 2 * MIB);
}

static enum fault finish_list(struct rig *rig, const char *method, const char *key)
{
	const char *keys[] = { key };
	struct store_delete_error errors[1];
	size_t error_count;

	if (strcmp(method, "get") == 0 && strstr(key, "/condemned/")) {
		cr_expect_not(strstr(key, ".waits"));
		rig->fault = NULL;
		cr_assert_eq(store_delete_many(rig->store, keys, 1, errors, &error_count, NULL,
					       NULL),
			     0);
	}
	return FAULT_NONE;
}

Test(backup_protocol, a_list_that_is_gone_is_finished)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list objects;
	const char *keys[1];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "objects/", &objects);
	keys[0] = objects.keys[0];
	condemn(&rig, keys, 1);
	rig.fault = finish_list;
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
}

Test(backup_protocol, a_damaged_list_ends_the_backup)
{
	_cleanup_rig_ struct rig rig;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_assert_eq(store_put_bytes(rig.store, "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV",
				     "condemned 1\n", 12, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0);
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect(strstr(e.key, "/condemned/01ARZ3"), "%s", e.key);
}

static bool delete_record_too;

/* What a collector does between our listing of the records and our reading of the trees. */
static enum fault collect(struct rig *rig, const char *method, const char *key)
{
	struct store_delete_error errors[64];
	struct key_list trees;
	char full[64][224];
	const char *keys[64];
	size_t error_count;

	if (strcmp(method, "get") != 0 || !strstr(key, "/trees/"))
		return FAULT_NONE;
	rig->fault = NULL;
	if (delete_record_too) {
		_cleanup_(record_freep) struct record *record = rig_read_record(rig, "b1");
		struct reg g = { .repo = rig->repo, .record = record };
		struct record_key found = { 0 };
		struct err e = ERR_INIT;

		repo_list_records(rig->repo, &where, "b1", rig_only_record, &found, NULL, &e);
		memcpy(g.etag, found.etag, sizeof(g.etag));
		record->state = RECORD_DELETED;
		cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
	}
	list_keys(rig, "trees/", &trees);
	for (size_t i = 0; i < trees.count; i++) {
		snprintf(full[i], sizeof(full[i]), "nodes/c1/n1/%s", trees.keys[i]);
		keys[i] = full[i];
	}
	cr_assert_eq(store_delete_many(rig->store, keys, trees.count, errors, &error_count, NULL,
				       NULL),
		     0);
	return FAULT_NONE;
}

Test(backup_protocol, a_backup_that_is_deleted_meanwhile_is_no_source)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	delete_record_too = true;
	rig.fault = collect;
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 2 * MIB + 20000);
}

Test(backup_protocol, a_tree_that_is_lost_ends_the_backup)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL;
	struct err e;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	delete_record_too = false;
	rig.fault = collect;
	cr_expect_eq(rig_backup(&rig, "b2", NULL, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect(strstr(e.key, "/trees/"), "%s", e.key);
	cr_expect(strstr(e.message, "what backup b1 holds"), "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b2"), RECORD_ABORTED);
}

/* ---- the order of the steps ---- */

static char steps[4096];
static pthread_mutex_t steps_lock = PTHREAD_MUTEX_INITIALIZER;

static enum fault note_step(struct rig *rig, const char *method, const char *key)
{
	const char *below = strncmp(key, "nodes/c1/n1/", 12) == 0 ? key + 12 : key;
	size_t kind = strcspn(below, "/");
	size_t len;

	if (strcmp(method, "list") == 0 && strncmp(below, "records/b", 9) == 0)
		kind = strlen("records/b2");
	pthread_mutex_lock(&steps_lock);
	len = strlen(steps);
	snprintf(steps + len, sizeof(steps) - len, "%s %.*s\n", method, (int)kind, below);
	pthread_mutex_unlock(&steps_lock);
	return FAULT_NONE;
}

Test(backup_protocol, the_steps_come_in_their_order)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.connections = 1;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 20000);
	rig.fault = note_step;
	second = rig_commit(&rig, "b2");
	cr_expect_str_eq(steps, "put records\n" /* W1 */
				"list records/b2\n"
				"list condemned\n" /* W2 */
				"list records\n"   /* W2b */
				"get records\n"
				"get records\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"put objects\n" /* W3 */
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put records\n"); /* W5 */
}
