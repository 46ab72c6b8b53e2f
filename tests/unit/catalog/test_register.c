/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/register.h"
#include "tests/unit/catalog/rig.h"

/* What happens to the n-th PUT and GET of a record (from 0): 'n' nothing, 'b' fails before, 'l' the same with an unknown outcome, 'a' fails after it was carried out. */
static const char *puts_script, *gets_script;
static atomic_int put_count, get_count;

static enum fault play(const char *script, atomic_int *count)
{
	int n = atomic_fetch_add(count, 1);

	if (n >= (int)strlen(script))
		return FAULT_NONE;
	return script[n] == 'b'	  ? FAULT_BEFORE
	       : script[n] == 'l' ? FAULT_LOST
	       : script[n] == 'a' ? FAULT_AFTER
				  : FAULT_NONE;
}

static enum fault scripted(struct rig *rig, const char *method, const char *key)
{
	if (strcmp(method, "put") == 0)
		return play(puts_script, &put_count);
	if (strcmp(method, "get") == 0)
		return play(gets_script, &get_count);
	return FAULT_NONE;
}

static void script(struct rig *rig, const char *puts, const char *gets)
{
	puts_script = puts;
	gets_script = gets;
	put_count = get_count = 0;
	rig->fault = scripted;
}

struct
try {
	struct rig rig;
	struct record *record;
	struct reg g;
	struct err e;
};

static void try_init(struct try *t)
{
	rig_init(&t->rig, OBJECT_COMPRESS_NONE);
	t->record = rig_record(&t->rig, "b1");
	t->record->writer = ulid_new(&t->rig.clock);
	t->e = ERR_INIT;
	reg_init_record(&t->g, t->rig.repo, t->record);
}

static void try_deinit(struct try *t)
{
	record_free(t->record);
	rig_deinit(&t->rig);
}

#define _cleanup_try_ _cleanup_(try_deinit)

Test(register_, a_first_write_is_open_with_number_one_and_the_stores_time)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *read = NULL;

	try_init(&t);
	cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0, "%s", t.e.message);
	cr_expect_eq(t.record->store_time_ns, RIG_START_NS);
	read = rig_read_record(&t.rig, "b1");
	cr_expect_eq(read->state, RECORD_OPEN);
	cr_expect_eq(read->sequence, 1);
	cr_expect_str_eq(read->nonce, t.record->nonce);
	cr_expect_eq(strlen(read->nonce), 32);
}

Test(register_, each_write_counts_one_up)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *read = NULL;

	try_init(&t);
	cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
	t.rig.elapsed_ns = 77;
	cr_assert_eq(reg_write(&t.g, NULL, &t.e), 0, "%s", t.e.message);
	cr_expect_eq(t.g.written_elapsed_ns, 77);
	t.record->state = RECORD_ABORTED;
	cr_assert_eq(reg_write(&t.g, NULL, &t.e), 0);
	read = rig_read_record(&t.rig, "b1");
	cr_expect_eq(read->state, RECORD_ABORTED);
	cr_expect_eq(read->sequence, 3);
	cr_expect_eq(read->store_time_ns, RIG_START_NS);
}

Test(register_, two_registers_draw_different_nonces)
{
	_cleanup_try_ struct try t;
	char first[33];

	try_init(&t);
	memcpy(first, t.record->nonce, sizeof(first));
	reg_init_record(&t.g, t.rig.repo, t.record);
	cr_expect_str_neq(first, t.record->nonce);
}

Test(register_, lost_answers_are_settled)
{
	/* The first PUT and GET belong to reg_write: reg_create was undisturbed. */
	static const struct {
		const char *puts, *gets;
		int result;
		bool unknown;
		uint64_t sequence; /* in the store */
	} rows[] = {
		{ "n", "", 0, false, 2 },    { "b", "", -EIO, false, 1 }, { "a", "", 0, false, 2 },
		{ "a", "b", -EIO, true, 2 }, { "a", "n", 0, false, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_try_ struct try t;
		_cleanup_(record_freep) struct record *read = NULL;

		try_init(&t);
		cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
		script(&t.rig, rows[i].puts, rows[i].gets);
		cr_expect_eq(reg_write(&t.g, NULL, &t.e), rows[i].result, "row %zu", i);
		cr_expect_eq(t.e.outcome_unknown, rows[i].unknown, "row %zu", i);
		t.rig.fault = NULL;
		read = rig_read_record(&t.rig, "b1");
		cr_expect_eq(read->sequence, rows[i].sequence, "row %zu", i);
	}
}

Test(register_, after_an_unknown_write_the_next_one_goes_on_from_what_is_there)
{
	static const char *const puts[] = { "a", "b" };

	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		_cleanup_try_ struct try t;
		_cleanup_(record_freep) struct record *read = NULL;

		try_init(&t);
		cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
		script(&t.rig, puts[i], "b");
		cr_expect_eq(reg_write(&t.g, NULL, &t.e), -EIO);
		t.rig.fault = NULL;
		t.record->state = RECORD_ABORTED;
		cr_expect_eq(reg_write(&t.g, NULL, &t.e), 0, "%s", t.e.message);
		read = rig_read_record(&t.rig, "b1");
		cr_expect_eq(read->state, RECORD_ABORTED);
		cr_expect_eq(read->sequence, 3);
	}
}

Test(register_, a_commit_that_happened_after_all_is_not_overwritten)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *read = NULL;

	try_init(&t);
	cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
	t.record->state = RECORD_COMMITTED;
	t.record->has_root = true;
	t.record->root.extent =
		(struct extent){ .object = sample_whole(1, 2, 5000), .len_bytes = 5000 };
	script(&t.rig, "a", "b");
	cr_expect_eq(reg_write(&t.g, NULL, &t.e), -EIO);
	t.rig.fault = NULL;
	t.record->state = RECORD_ABORTED;
	cr_expect_eq(reg_write(&t.g, NULL, &t.e), REG_LOST);
	read = rig_read_record(&t.rig, "b1");
	cr_expect_eq(read->state, RECORD_COMMITTED);
}

Test(register_, a_first_write_whose_outcome_is_unknown_can_be_adopted)
{
	_cleanup_try_ struct try t;

	try_init(&t);
	script(&t.rig, "a", "b");
	cr_expect_eq(reg_create(&t.g, NULL, &t.e), -EIO);
	cr_expect(t.e.outcome_unknown);
	cr_expect_str_eq(t.g.etag, "");
	cr_expect_eq(reg_adopt(&t.g, NULL, &t.e), 0);
	t.record->state = RECORD_ABORTED;
	cr_expect_eq(reg_write(&t.g, NULL, &t.e), 0);
}

Test(register_, nothing_can_be_adopted_where_nothing_is)
{
	_cleanup_try_ struct try t;

	try_init(&t);
	t.record->sequence = 1;
	cr_expect_eq(reg_adopt(&t.g, NULL, &t.e), REG_LOST);
}

Test(register_, who_was_fenced_has_lost_and_who_fences_a_moved_record_too)
{
	_cleanup_try_ struct try t;
	_cleanup_(record_freep) struct record *seen = NULL, *again = NULL;
	char etag[STORE_ETAG_MAX];

	try_init(&t);
	cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
	memcpy(etag, t.g.etag, sizeof(etag));
	seen = rig_read_record(&t.rig, "b1");
	again = rig_read_record(&t.rig, "b1");
	cr_expect_eq(reg_fence(t.rig.repo, seen, etag, NULL, &t.e), 0);
	cr_expect_eq(rig_state(&t.rig, "b1"), RECORD_ABORTED);
	cr_expect_eq(reg_fence(t.rig.repo, again, etag, NULL, &t.e), REG_LOST);
	cr_expect_eq(reg_write(&t.g, NULL, &t.e), REG_LOST);
}

Test(register_, a_lost_answer_to_a_fence_is_settled)
{
	static const char *const puts[] = { "a", "l", "ll", "la" };

	for (size_t i = 0; i < ARRAY_SIZE(puts); i++) {
		_cleanup_try_ struct try t;
		_cleanup_(record_freep) struct record *seen = NULL;

		try_init(&t);
		cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
		seen = rig_read_record(&t.rig, "b1");
		script(&t.rig, puts[i], "");
		cr_expect_eq(reg_fence(t.rig.repo, seen, t.g.etag, NULL, &t.e), 0, "%s", puts[i]);
		cr_expect_eq(rig_state(&t.rig, "b1"), RECORD_ABORTED, "%s", puts[i]);
	}
}

Test(register_, a_removed_record_is_lost)
{
	_cleanup_try_ struct try t;
	char key[KEY_BYTES];
	const char *keys[] = { key };
	struct store_delete_error errors[1];
	size_t error_count;

	try_init(&t);
	cr_assert_eq(reg_create(&t.g, NULL, &t.e), 0);
	keys_record(key, &t.record->where, "b1", &t.record->writer);
	store_delete_many(t.rig.store, keys, 1, errors, &error_count, NULL, NULL);
	cr_expect_eq(reg_write(&t.g, NULL, &t.e), REG_LOST);
}
