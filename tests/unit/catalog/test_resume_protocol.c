/* SPDX-License-Identifier: Apache-2.0 */
/* An interrupted backup is continued by the rule of ARCHITECTURE.md section 4: taken over first, then the name, W2, W2b. */
#include "tests/unit/catalog/resume_help.h"

static const struct node_name where = { "c1", "n1" };

/* ---- section 4, step by step ---- */

static char steps[4096];

static enum fault note_step(struct rig *rig, const char *method, const char *key)
{
	static const char *const kinds[] = { "/records/b1", "/records/", "/condemned/",
					     "/objects/" };
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strstr(key, kinds[i])) {
			size_t len = strlen(steps);

			snprintf(steps + len, sizeof(steps) - len, "%s %s\n", method, kinds[i]);
			break;
		}
	pthread_mutex_unlock(&lock);
	return FAULT_NONE;
}

Test(resume, the_steps_come_in_their_order)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.alive_dir = dir = resume_alive_dir(&rig);
	rig.options.connections = 1;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	resume_kill(&rig, "b1", "put /records/", 2, false);
	rig.fault = note_step;
	record = resume_commit(&rig, "b1");
	cr_expect_str_eq(steps, "list /records/b1\n" /* what is there to continue */
				"get /records/b1\n"
				"put /records/b1\n"  /* taken over */
				"list /records/b1\n" /* W1 */
				"list /condemned/\n" /* W2 */
				"list /records/\n"   /* W2b */
				"get /records/b1\n"
				"list /objects/\n" /* what was stored: its head */
				"get /objects/\n"
				"put /records/b1\n"); /* W5 */
}

static bool committed;

/* Somebody else takes the name in the very moment in which the record is taken over. */
static enum fault take_name(struct rig *rig, const char *method, const char *key)
{
	if (resume_is_kind("put /records/b1/", method, key) &&
	    atomic_fetch_add(&rig->calls, 1) == 0) {
		_cleanup_(record_freep) struct record *other = rig_record(rig, "b1");
		struct reg g;
		struct err e = ERR_INIT;

		other->writer = ulid_new(&rig->clock);
		reg_init_record(&g, rig->repo, other);
		cr_assert_eq(reg_create(&g, NULL, &e), 0);
		other->state = committed ? RECORD_COMMITTED : RECORD_OPEN;
		other->has_root = committed;
		if (committed)
			other->root = (struct place){ .extent = { .object = { .head_bytes = 80,
									      .plain_bytes = 1,
									      .flags = 3 },
								  .len_bytes = 1 } };
		cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
	}
	return FAULT_NONE;
}

Test(resume, a_name_that_was_taken_meanwhile_is_left_to_the_other)
{
	for (int i = 0; i < 2; i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_free_ char *dir = NULL;
		_cleanup_(record_freep) struct record *first = NULL, *record = NULL, *now = NULL;
		struct err e;

		committed = i == 1;
		resume_init(&rig, &dir);
		resume_kill(&rig, "b1", "put /objects/", 3, false);
		first = rig_read_record(&rig, "b1");
		rig.fault = take_name;
		cr_expect_eq(resume_run(&rig, "b1", &record, &e), committed ? -EEXIST : -EBUSY);
		rig.fault = NULL;
		cr_assert_eq(repo_get_record(rig.repo, &where, "b1", &first->writer, &now, NULL,
					     NULL, &e),
			     0);
		cr_expect_eq(now->state, RECORD_ABORTED);
	}
}

/* Older programs kept the name that was given by hand where this one keeps Cassandra's. */
Test(resume, one_that_is_of_another_cluster_is_not_continued)
{
	static const struct {
		const char *left, *own;
		bool same;
	} cases[] = { { "Test Cluster", "Test Cluster", true },
		      { "c1", "Test Cluster", true },
		      { "Test Cluster", "Another", false },
		      { "Test Cluster", "c1", false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_free_ char *dir = NULL;
		_cleanup_(record_freep) struct record *first = NULL, *record = NULL;
		struct err e;

		resume_init(&rig, &dir);
		strcpy(rig.cluster_original, cases[i].left);
		resume_kill(&rig, "b1", "put /objects/", 3, false);
		first = rig_read_record(&rig, "b1");
		strcpy(rig.cluster_original, cases[i].own);
		cr_assert_eq(resume_run(&rig, "b1", &record, &e), 0, "%zu: %s", i, e.message);
		cr_expect_eq(memcmp(&record->writer, &first->writer, sizeof(first->writer)) == 0,
			     cases[i].same, "%zu", i);
		cr_expect_str_eq(record->cluster_original, cases[i].own);
	}
}

static int keep_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	snprintf(ctx, KEY_BYTES, "%s", entry->key);
	return 1;
}

/* What the first run was allowed to reuse may be gone: a backup that it drew from was deleted and collected between the two. */
Test(resume, what_was_deleted_meanwhile_is_stored_anew)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *old = NULL, *record = NULL;
	struct store_delete_error errors[1];
	size_t error_count;
	struct reg g;
	char etag[STORE_ETAG_MAX], key[KEY_BYTES];
	struct err e = ERR_INIT;
	const char *keys[1] = { key };
	struct store_list list = { .prefix = "nodes/c1/n1/objects/",
				   .entry = keep_key,
				   .ctx = key };

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.alive_dir = dir = resume_alive_dir(&rig);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	old = rig_commit(&rig, "b0");
	cr_assert_eq(store_list(rig.store, &list, NULL, &e), 0);
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 30000);
	resume_kill(&rig, "b1", "put /records/", 2, false);
	record_free(old);
	old = NULL;
	old = rig_read_record(&rig, "b0");
	cr_assert_eq(repo_get_record(rig.repo, &where, "b0", &old->writer, &record, etag, NULL, &e),
		     0);
	reg_init_record(&g, rig.repo, record);
	memcpy(g.etag, etag, sizeof(etag));
	record->state = RECORD_DELETED;
	cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
	cr_assert_eq(store_delete_many(rig.store, keys, 1, errors, &error_count, NULL, &e), 0);
	record_free(record);
	record = NULL;
	record = resume_commit(&rig, "b1");
	cr_expect_eq(resume_last.resumed_bytes, 30000);
	cr_expect_eq(record->new_bytes, 50000);
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, 20000);
	rig_expect_random(&rig, record, "nb-2-big-Data.db", 2, 30000);
}

/* ---- damage ---- */

static int spoil(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct rig *rig = ctx;
	_cleanup_free_ char *data = NULL;
	size_t len;

	cr_assert_eq(store_get_alloc(rig->store, entry->key, 64 * MIB, &data, &len, NULL, NULL, e),
		     0);
	data[30] ^= 1;
	cr_assert_eq(store_put_bytes(rig->store, entry->key, data, len, STORE_ALWAYS, NULL, NULL,
				     NULL, e),
		     0);
	return 1;
}

Test(resume, where_what_was_stored_is_damaged_the_backup_begins_anew)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_free_ char *dir = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	struct store_list list = { .prefix = "nodes/c1/n1/objects/", .entry = spoil, .ctx = &rig };
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.alive_dir = dir = resume_alive_dir(&rig);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	resume_kill(&rig, "b1", "put /records/", 2, false);
	cr_assert_eq(store_list(rig.store, &list, NULL, &e), 0);
	cr_expect_eq(resume_run(&rig, "b1", &record, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect(strstr(e.key, "/objects/"), "%s", e.key);
	cr_expect(strstr(e.message, "run it again"), "%s", e.message);
	cr_expect_eq(rig_state(&rig, "b1"), RECORD_ABORTED);
	record = resume_commit(&rig, "b1");
	cr_expect_not(resume_last.resumed);
	rig_expect_random(&rig, record, "nb-1-big-Data.db", 1, 20000);
}
