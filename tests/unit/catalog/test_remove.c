/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/register.h"
#include "catalog/remove.h"
#include "tests/unit/catalog/rig.h"

struct
try {
	struct rig rig;
	struct record *record; /* the COMMITTED one, as read */
	char etag[STORE_ETAG_MAX];
	struct err e;
};

static void read_it(struct try *t)
{
	const struct record *r = t->record;
	struct record *now = NULL;

	cr_assert_eq(repo_get_record(t->rig.repo, &r->where, r->backup, &r->writer, &now, t->etag,
				     NULL, &t->e),
		     0, "%s", t->e.message);
	record_free(t->record);
	t->record = now;
}

static void try_init(struct try *t)
{
	rig_init(&t->rig, OBJECT_COMPRESS_NONE);
	t->e = ERR_INIT;
	rig_put_random(&t->rig, "nb-1-big-Data.db", 1, 3000);
	t->record = rig_commit(&t->rig, "b1");
	read_it(t);
}

static void try_deinit(struct try *t)
{
	record_free(t->record);
	rig_deinit(&t->rig);
}

#define _cleanup_try_ _cleanup_(try_deinit)

/* Somebody else writes the record, in this state. */
static void overwrite(struct try *t, enum record_state state)
{
	_cleanup_(record_freep) struct record *other = rig_read_record(&t->rig, "b1");
	struct reg g;

	reg_init_record(&g, t->rig.repo, other);
	memcpy(g.etag, t->etag, sizeof(g.etag));
	other->state = state;
	cr_assert_eq(reg_write(&g, NULL, &t->e), 0, "%s", t->e.message);
}

Test(remove_, a_backup_is_marked_and_nothing_else_is_touched)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *now = NULL;
	size_t before;

	try_init(&t);
	before = rig_count(&t.rig, "");
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), 0, "%s", t.e.message);
	now = rig_read_record(&t.rig, "b1");
	cr_expect_eq(now->state, RECORD_DELETED);
	cr_expect_eq(now->sequence, t.record->sequence + 1);
	cr_expect_str_neq(now->nonce, t.record->nonce);
	cr_expect_eq(now->store_time_ns, t.record->store_time_ns);
	cr_expect(now->has_root, "what was deleted can still be told");
	cr_expect_eq(rig_count(&t.rig, ""), before);
	cr_expect_eq(t.record->state, RECORD_COMMITTED, "the caller's record is not changed");
}

Test(remove_, of_two_at_once_one_removed_it)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *now = NULL;

	try_init(&t);
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), 0);
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), REMOVE_GONE);
	now = rig_read_record(&t.rig, "b1");
	cr_expect_eq(now->sequence, t.record->sequence + 1);
}

Test(remove_, what_is_not_committed_is_never_written)
{
	static const enum record_state states[] = { RECORD_OPEN, RECORD_ABORTED, RECORD_DELETED };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		_cleanup_try_ struct try t;

		try_init(&t);
		overwrite(&t, states[i]);
		/* Seen before the change, and after it. */
		cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), REMOVE_GONE);
		read_it(&t);
		cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), REMOVE_GONE);
		cr_expect_eq(rig_state(&t.rig, "b1"), states[i]);
	}
}

Test(remove_, a_record_that_was_rewritten_and_is_still_committed_is_removed)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *now = NULL;

	try_init(&t);
	overwrite(&t, RECORD_COMMITTED);
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), 0, "%s", t.e.message);
	now = rig_read_record(&t.rig, "b1");
	cr_expect_eq(now->state, RECORD_DELETED);
	cr_expect_eq(now->sequence, t.record->sequence + 2);
}

Test(remove_, a_record_that_is_gone_is_no_failure)
{
	_cleanup_try_ struct try t;
	char key[KEY_BYTES];
	const char *keys[] = { key };
	struct store_delete_error errors[1];
	size_t count = 0;

	try_init(&t);
	keys_record(key, &t.record->where, "b1", &t.record->writer);
	cr_assert_eq(store_delete_many(t.rig.store, keys, 1, errors, &count, NULL, &t.e), 0);
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), REMOVE_GONE);
	cr_expect_eq(rig_count(&t.rig, "records/"), 0, "nothing is written anew");
}

/* What happens to the n-th PUT and GET of a record: 'n' nothing, 'b' fails before, 'a' fails after it was carried out. */
static const char *puts_script, *gets_script;
static atomic_int put_count, get_count;

static enum fault play(const char *script, atomic_int *count)
{
	int n = atomic_fetch_add(count, 1);

	if (n >= (int)strlen(script))
		return FAULT_NONE;
	return script[n] == 'b' ? FAULT_BEFORE : script[n] == 'a' ? FAULT_AFTER : FAULT_NONE;
}

static enum fault scripted(struct rig *rig, const char *method, const char *key)
{
	if (!strstr(key, "/records/"))
		return FAULT_NONE;
	return strcmp(method, "put") == 0   ? play(puts_script, &put_count)
	       : strcmp(method, "get") == 0 ? play(gets_script, &get_count)
					    : FAULT_NONE;
}

Test(remove_, lost_answers_are_settled)
{
	static const struct {
		const char *puts, *gets;
		int result;
		bool unknown;
		enum record_state state;
	} rows[] = {
		{ "a", "", 0, false, RECORD_DELETED },
		{ "a", "b", -EIO, true, RECORD_DELETED },
		{ "b", "", -EIO, false, RECORD_COMMITTED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_try_ struct try t;

		try_init(&t);
		puts_script = rows[i].puts;
		gets_script = rows[i].gets;
		put_count = get_count = 0;
		t.rig.fault = scripted;
		cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e),
			     rows[i].result, "row %zu: %s", i, t.e.message);
		cr_expect_eq(t.e.outcome_unknown, rows[i].unknown, "row %zu", i);
		t.rig.fault = NULL;
		cr_expect_eq(rig_state(&t.rig, "b1"), rows[i].state, "row %zu", i);
	}
}

Test(remove_, a_record_with_a_feature_of_later_is_left_alone)
{
	_cleanup_try_ struct try t;

	try_init(&t);
	t.record->refused = 1;
	cr_expect_eq(remove_backup(t.rig.repo, t.record, t.etag, NULL, &t.e), -ENOTSUP);
	cr_expect_eq(rig_state(&t.rig, "b1"), RECORD_COMMITTED);
}
