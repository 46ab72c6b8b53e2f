/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/probe.h"
#include "tests/unit/catalog/rig.h"

static const struct node_name where = { "c1", "n1" };

/* A store that takes a condition lightly, or refuses to delete. */
struct lax_store {
	struct store store;
	struct store *below;
	enum store_cond ignored;
	bool creates_on_match, refuses_delete;
};

static struct lax_store *lax_of(struct store *s)
{
	return (struct lax_store *)s;
}

static int lax_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	struct lax_store *l = lax_of(s);
	struct store_put changed = *req;
	struct store_meta meta;

	if (req->cond == l->ignored)
		changed.cond = STORE_ALWAYS;
	if (l->creates_on_match && req->cond == STORE_IF_MATCH &&
	    store_head(l->below, req->key, &meta, c, e) > 0)
		changed.cond = STORE_ALWAYS;
	return store_put(l->below, &changed, ret, c, e);
}

static int lax_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	return store_get(lax_of(s)->below, req, ret, c, e);
}

static int lax_head(struct store *s, const char *key, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	return store_head(lax_of(s)->below, key, ret, c, e);
}

static int lax_list(struct store *s, const struct store_list *req, const struct cancel *c,
		    struct err *e)
{
	return store_list(lax_of(s)->below, req, c, e);
}

static int lax_delete_many(struct store *s, const char *const *keys, size_t count,
			   struct store_delete_error *errors, size_t *ret_error_count,
			   const struct cancel *c, struct err *e)
{
	if (lax_of(s)->refuses_delete)
		return err_set(e, ERR_CREDENTIALS, -EACCES, "not allowed");
	return store_delete_many(lax_of(s)->below, keys, count, errors, ret_error_count, c, e);
}

static unsigned lax_caps(struct store *s)
{
	return store_caps(lax_of(s)->below);
}

static void lax_free(struct store *s)
{
}

static const struct store_ops lax_ops = { "lax",    lax_put,	     lax_get,  lax_head,
					  lax_list, lax_delete_many, lax_caps, lax_free };

Test(probe, each_condition_that_a_store_ignores_is_found)
{
	static const struct {
		enum store_cond ignored;
		bool creates_on_match, refuses_delete;
		struct probe_result expected;
	} rows[] = {
		{ STORE_ALWAYS, false, false, { true, true, true, true } },
		{ STORE_IF_ABSENT, false, false, { false, true, true, true } },
		{ STORE_IF_MATCH, false, false, { true, false, false, true } },
		{ STORE_ALWAYS, true, false, { true, true, false, true } },
		{ STORE_ALWAYS, false, true, { true, true, true, false } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(repo_freep) struct repo *repo = NULL;
		struct probe_result result;
		struct err e = ERR_INIT;
		struct lax_store lax = { .store.ops = &lax_ops,
					 .ignored = rows[i].ignored,
					 .creates_on_match = rows[i].creates_on_match,
					 .refuses_delete = rows[i].refuses_delete };

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		lax.below = rig.store;
		cr_assert_eq(repo_open(&lax.store, REPO_WRITE, &rig.clock, NULL, &repo, &e), 0);
		cr_assert_eq(probe_run(repo, &where, &result, NULL, &e), 0, "%s", e.message);
		cr_expect_eq(result.if_absent, rows[i].expected.if_absent, "row %zu", i);
		cr_expect_eq(result.if_match_stale, rows[i].expected.if_match_stale, "row %zu", i);
		cr_expect_eq(result.if_match_missing, rows[i].expected.if_match_missing, "row %zu",
			     i);
		cr_expect_eq(result.may_delete, rows[i].expected.may_delete, "row %zu", i);
		cr_expect_eq(rig_count(&rig, "probe/"), rows[i].refuses_delete ? 1 : 0);
	}
}

static enum fault fail_puts(struct rig *rig, const char *method, const char *key)
{
	return strcmp(method, "put") == 0 && strstr(key, "/probe/") ? FAULT_BEFORE : FAULT_NONE;
}

Test(probe, a_store_that_does_not_answer_is_a_failure)
{
	_cleanup_rig_ struct rig rig;
	struct probe_result result;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.fault = fail_puts;
	cr_expect_eq(probe_run(rig.repo, &where, &result, NULL, &e), -EIO);
	cr_expect_eq(e.kind, ERR_STORE);
}

/* The answer to the n-th put of a probe is lost. */
static atomic_int lost_put;

static enum fault lose_one(struct rig *rig, const char *method, const char *key)
{
	if (strcmp(method, "put") != 0 || !strstr(key, "/probe/"))
		return FAULT_NONE;
	return atomic_fetch_add(&rig->calls, 1) == lost_put ? FAULT_AFTER : FAULT_NONE;
}

Test(probe, a_lost_answer_is_no_verdict)
{
	for (lost_put = 0; lost_put < 5; lost_put++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(repo_freep) struct repo *repo = NULL;
		struct probe_result result;
		struct err e = ERR_INIT;
		struct lax_store lax = { .store.ops = &lax_ops, .creates_on_match = true };

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		rig.fault = lose_one;
		cr_expect_eq(probe_run(rig.repo, &where, &result, NULL, &e), 0, "%d: %s", lost_put,
			     e.message);
		cr_expect(probe_passed(&result), "%d", lost_put);
		cr_expect_eq(rig_count(&rig, "probe/"), 0, "%d", lost_put);
		/* A store that fails is found all the same: what the lost put left is no evidence. */
		rig.calls = 0;
		lax.below = rig.store;
		cr_assert_eq(repo_open(&lax.store, REPO_WRITE, &rig.clock, NULL, &repo, &e), 0);
		cr_expect_eq(probe_run(repo, &where, &result, NULL, &e), 0, "%d", lost_put);
		cr_expect_not(result.if_match_missing, "%d", lost_put);
	}
}

static atomic_int probes;

static enum fault count_probes(struct rig *rig, const char *method, const char *key)
{
	if (strcmp(method, "put") == 0 && strstr(key, "/probe/"))
		atomic_fetch_add(&probes, 1);
	return FAULT_NONE;
}

Test(probe, a_backup_probes_once_and_remembers)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(kv_closep) struct kv *kv = NULL;
	_cleanup_(record_freep) struct record *r1 = NULL, *r2 = NULL, *r3 = NULL;
	char path[128];
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 10);
	snprintf(path, sizeof(path), "%s/cache", rig.tmp.path);
	cr_assert_eq(kv_open(path, 64 * MIB, &kv, &e), 0, "%s", e.message);
	rig.options.kv = kv;
	rig.options.server = "http://one";
	rig.fault = count_probes;
	r1 = rig_commit(&rig, "b1");
	cr_expect_eq(atomic_load(&probes), 5);
	r2 = rig_commit(&rig, "b2");
	cr_expect_eq(atomic_load(&probes), 5);
	rig.options.server = "http://two";
	r3 = rig_commit(&rig, "b3");
	cr_expect_eq(atomic_load(&probes), 10, "another server is another store");
}

Test(probe, a_probe_that_fails_does_not_keep_a_backup_from_being_made)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(kv_closep) struct kv *kv = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	char path[128];
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 10);
	snprintf(path, sizeof(path), "%s/cache", rig.tmp.path);
	cr_assert_eq(kv_open(path, 64 * MIB, &kv, &e), 0, "%s", e.message);
	rig.options.kv = kv;
	rig.fault = fail_puts;
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->state, RECORD_COMMITTED);
}

Test(probe, only_a_store_that_passed_is_remembered)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(kv_closep) struct kv *kv = NULL;
	_cleanup_(repo_freep) struct repo *repo = NULL;
	struct lax_store lax = { .store.ops = &lax_ops, .creates_on_match = true };
	struct probe_result result;
	char path[128];
	struct err e = ERR_INIT;
	struct probe_memory memory;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	lax.below = rig.store;
	snprintf(path, sizeof(path), "%s/cache", rig.tmp.path);
	cr_assert_eq(kv_open(path, 64 * MIB, &kv, &e), 0, "%s", e.message);
	cr_assert_eq(repo_open(&lax.store, REPO_WRITE, &rig.clock, NULL, &repo, &e), 0);
	memory = (struct probe_memory){ repo, &where, kv, "http://one" };
	rig.fault = count_probes;
	cr_assert_eq(probe_once(&memory, false, &result, NULL, &e), 0);
	cr_expect_not(result.if_match_missing);
	lax.creates_on_match = false; /* repaired */
	lax.refuses_delete = true;
	atomic_store(&probes, 0);
	cr_assert_eq(probe_once(&memory, false, &result, NULL, &e), 0);
	cr_expect(probe_passed(&result));
	cr_expect_eq(atomic_load(&probes), 5);
	cr_assert_eq(probe_once(&memory, false, &result, NULL, &e), 0);
	cr_expect_eq(atomic_load(&probes), 5, "remembered");
	lax.refuses_delete = false; /* other credentials */
	cr_assert_eq(probe_once(&memory, true, &result, NULL, &e), 0);
	cr_expect(result.may_delete);
	cr_expect_eq(atomic_load(&probes), 10, "that keys cannot be deleted is not believed");
	cr_assert_eq(probe_once(&memory, true, &result, NULL, &e), 0);
	cr_expect_eq(atomic_load(&probes), 10);
}
