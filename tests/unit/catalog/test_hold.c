/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>
#include "catalog/hold.h"
#include "tests/unit/catalog/rig.h"

#define MINUTE_NS INT64_C(60000000000)
#define LIMIT_S 60 /* of a wait, on a slow machine */

static const struct node_name where = { "c1", "n1" };

struct held {
	struct rig rig;
	struct record *record; /* of b1, committed */
	struct hold_options o;
	struct hold *hold;
	struct err e;
};

static void held_init(struct held *t)
{
	rig_init(&t->rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&t->rig, "nb-1-big-Data.db", 1, 20000);
	t->record = rig_commit(&t->rig, "b1");
	t->o = (struct hold_options){ .repo = t->rig.repo, .record = t->record, .purpose = "test" };
	t->hold = NULL;
	t->e = ERR_INIT;
}

static void held_deinit(struct held *t)
{
	t->rig.fault = NULL;
	hold_end(t->hold);
	record_free(t->record);
	rig_deinit(&t->rig);
}

#define _cleanup_held_ _cleanup_(held_deinit)

static int begin(struct held *t)
{
	t->e = ERR_INIT;
	return hold_begin(&t->o, &t->hold, NULL, &t->e);
}

static void begin_well(struct held *t)
{
	cr_assert_eq(begin(t), 0, "%s", t->e.message);
}

static void end(struct held *t)
{
	hold_end(t->hold);
	t->hold = NULL;
}

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	char *key = ctx;

	cr_assert_str_eq(key, "", "more than one pin");
	snprintf(key, KEY_BYTES, "%s", entry->key);
	return 0;
}

/* The only pin in the store and its ETag. false: there is none. */
static bool read_pin(struct held *t, struct pin *ret, char *ret_etag)
{
	char key[KEY_BYTES] = "";
	struct store_list list = { .prefix = "nodes/c1/n1/pins/", .entry = on_key, .ctx = key };
	struct err e = ERR_INIT;
	struct ulid id;
	char text[ULID_TEXT] = "";

	cr_assert_eq(store_list(t->rig.store, &list, NULL, &e), 0, "%s", e.message);
	if (!*key)
		return false;
	memcpy(text, key + strlen(list.prefix), ULID_TEXT - 1);
	cr_assert_eq(ulid_parse(&id, text), 0);
	cr_assert_eq(pin_get(t->rig.repo, &where, &id, ret, ret_etag, NULL, &e), 0, "%s",
		     e.message);
	return true;
}

static bool is_there(struct held *t)
{
	struct pin p;

	return read_pin(t, &p, NULL);
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* Waits for what the renewing thread does. */
#define WAIT_FOR(condition)                                                         \
	do {                                                                        \
		int64_t until_ = clock_elapsed_ms(clock_system()) + LIMIT_S * 1000; \
		while (!(condition)) {                                              \
			cr_assert_lt(clock_elapsed_ms(clock_system()), until_,      \
				     "not within %d s: " #condition, LIMIT_S);      \
			pause_ms(2);                                                \
		}                                                                   \
	} while (0)

static uint64_t sequence(struct held *t)
{
	struct pin p = { .sequence = 0 };

	read_pin(t, &p, NULL);
	return p.sequence;
}

static uint64_t a_moment_later(struct held *t)
{
	t->rig.elapsed_ns += MINUTE_NS / 600;
	return sequence(t);
}

/* What happens to the n-th request of a pin (from 0), by method: 'b' fails before, 'l' is lost on the way, 'a' fails after it was carried out. */
static const char *put_script, *get_script, *record_script;
static atomic_int put_count, get_count, record_count;

static enum fault play(const char *script, atomic_int *count)
{
	int n = atomic_fetch_add(count, 1);
	char c = script && n < (int)strlen(script) ? script[n] : 'n';

	return c == 'b'	  ? FAULT_BEFORE
	       : c == 'l' ? FAULT_LOST
	       : c == 'a' ? FAULT_AFTER
			  : FAULT_NONE;
}

static enum fault scripted(struct rig *rig, const char *method, const char *key)
{
	if (strstr(key, "/records/"))
		return play(record_script, &record_count);
	if (!strstr(key, "/pins/"))
		return FAULT_NONE;
	if (strcmp(method, "put") == 0)
		return play(put_script, &put_count);
	return strcmp(method, "get") == 0 ? play(get_script, &get_count) : FAULT_NONE;
}

static void script(struct held *t, const char *puts, const char *gets, const char *records)
{
	put_script = puts;
	get_script = gets;
	record_script = records;
	put_count = get_count = record_count = 0;
	t->rig.fault = scripted;
}

/* What a delete does: state DELETED. */
static void delete_backup(struct held *t)
{
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e = ERR_INIT;
	struct reg g;
	char etag[STORE_ETAG_MAX];

	cr_assert_eq(repo_get_record(t->rig.repo, &where, "b1", &t->record->writer, &record, etag,
				     NULL, &e),
		     0);
	reg_init_record(&g, t->rig.repo, record);
	memcpy(g.etag, etag, sizeof(etag));
	record->state = RECORD_DELETED;
	cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
}

/* What a collector does with a pin that was not renewed for long. */
static void fence(struct held *t)
{
	struct err e = ERR_INIT;
	char etag[STORE_ETAG_MAX];
	struct reg g;
	struct pin p;

	cr_assert(read_pin(t, &p, etag));
	pin_register(&g, t->rig.repo, &p);
	memcpy(g.etag, etag, sizeof(etag));
	p.state = PIN_ENDED;
	cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
}

Test(hold, a_pin_names_the_record_and_its_root_and_goes_at_the_end)
{
	_cleanup_held_ struct held t;
	struct pin p;

	held_init(&t);
	begin_well(&t);
	cr_assert(read_pin(&t, &p, NULL));
	cr_expect_eq(p.state, PIN_HELD);
	cr_expect_str_eq(p.backup, "b1");
	cr_expect_str_eq(p.purpose, "test");
	cr_expect_eq(p.pid, (uint32_t)getpid());
	cr_expect(memcmp(&p.writer, &t.record->writer, sizeof(p.writer)) == 0);
	cr_expect(memcmp(&p.root, &t.record->root, sizeof(p.root)) == 0);
	cr_expect_eq(hold_check(t.hold, &t.e), 0);
	cr_expect_eq(hold_check(NULL, &t.e), 0);
	end(&t);
	cr_expect_not(is_there(&t));
}

Test(hold, a_backup_that_was_deleted_before_the_pin_does_not_exist)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	delete_backup(&t);
	cr_expect_eq(begin(&t), -ENOENT);
	cr_expect_eq(t.e.kind, ERR_NOT_FOUND);
	cr_expect_null(t.hold);
	cr_expect_not(is_there(&t), "the pin is withdrawn");
}

static struct held *racing;

static enum fault delete_after_the_pin(struct rig *rig, const char *method, const char *key)
{
	if (strstr(key, "/records/") && strcmp(method, "get") == 0 && racing) {
		struct held *t = racing;

		racing = NULL;
		cr_expect(is_there(t), "the pin is written before the record is read");
		delete_backup(t);
	}
	return FAULT_NONE;
}

Test(hold, the_record_is_read_after_the_pin_is_there)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	racing = &t;
	t.rig.fault = delete_after_the_pin;
	cr_expect_eq(begin(&t), -ENOENT);
	cr_expect_not(is_there(&t));
}

Test(hold, lost_answers_of_the_first_write_are_settled)
{
	static const struct {
		const char *puts, *gets;
		int result;
	} rows[] = {
		{ "a", "", 0 }, /* carried out, the answer was lost */
		{ "l", "", 0 }, /* lost on the way: written again */
		{ "ll", "", 0 },    { "b", "", -EIO },
		{ "a", "b", -EIO }, /* nobody knows: withdrawn */
		{ "l", "b", -EIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_held_ struct held t;

		held_init(&t);
		script(&t, rows[i].puts, rows[i].gets, "");
		cr_expect_eq(begin(&t), rows[i].result, "row %zu: %s", i, t.e.message);
		t.rig.fault = NULL;
		cr_expect_eq(is_there(&t), rows[i].result == 0, "row %zu", i);
	}
}

Test(hold, a_record_that_cannot_be_read_leaves_no_pin)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	script(&t, "", "", "b");
	cr_expect_eq(begin(&t), -EIO);
	cr_expect_not(is_there(&t));
}

Test(hold, an_idle_pin_is_renewed_every_two_minutes)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	begin_well(&t);
	for (uint64_t n = 2; n < 5; n++) {
		t.rig.elapsed_ns += 2 * MINUTE_NS;
		WAIT_FOR(sequence(&t) == n);
		cr_expect_eq(hold_check(t.hold, &t.e), 0, "%s", t.e.message);
	}
	cr_expect_eq(hold_age_s(t.hold), 0);
}

Test(hold, lost_answers_of_a_renewal_are_settled)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	begin_well(&t);
	script(&t, "al", "", "");
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	WAIT_FOR(sequence(&t) == 2);
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	WAIT_FOR(sequence(&t) == 3);
	cr_expect_eq(hold_check(t.hold, &t.e), 0, "%s", t.e.message);
}

Test(hold, a_renewal_that_failed_is_made_again_soon)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	begin_well(&t);
	script(&t, "b", "", "");
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	WAIT_FOR(put_count == 1);
	/* The eighth part of the period later. */
	WAIT_FOR(a_moment_later(&t) >= 2);
	cr_expect_eq(hold_check(t.hold, &t.e), 0, "%s", t.e.message);
}

Test(hold, a_reader_whose_pin_was_fenced_reads_no_more)
{
	_cleanup_held_ struct held t;
	struct pin p;

	held_init(&t);
	begin_well(&t);
	fence(&t);
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	WAIT_FOR(hold_check(t.hold, &t.e) == -EIO);
	cr_expect(cancel_is_set(hold_lost(t.hold)));
	cr_expect_str_eq(t.e.message,
			 "backup b1 is not read any more, because its pin was lost: another "
			 "process ended it: the pin was changed or removed");
	/* It stays lost, and is not made alive again. */
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	cr_expect_eq(hold_check(t.hold, &t.e), -EIO);
	cr_assert(read_pin(&t, &p, NULL));
	cr_expect_eq(p.state, PIN_ENDED);
}

Test(hold, a_reader_whose_pin_was_removed_reads_no_more)
{
	_cleanup_held_ struct held t;
	struct store_delete_error errors[1];
	size_t error_count;
	char key[KEY_BYTES];
	const char *keys[] = { key };

	held_init(&t);
	begin_well(&t);
	keys_pin(key, &where, &hold_pin(t.hold)->id);
	cr_assert_eq(store_delete_many(t.rig.store, keys, 1, errors, &error_count, NULL, NULL), 0);
	t.rig.elapsed_ns += 2 * MINUTE_NS;
	WAIT_FOR(hold_check(t.hold, &t.e) == -EIO);
	cr_expect_not(is_there(&t), "a pin that is gone does not come back");
}

static enum fault no_puts(struct rig *rig, const char *method, const char *key)
{
	return strcmp(method, "put") == 0 ? FAULT_BEFORE : FAULT_NONE;
}

Test(hold, a_reader_that_could_not_renew_for_too_long_reads_no_more)
{
	_cleanup_held_ struct held t;

	held_init(&t);
	begin_well(&t);
	t.rig.fault = no_puts;
	t.rig.elapsed_ns += 15 * MINUTE_NS;
	cr_expect_eq(hold_check(t.hold, &t.e), 0, "%s", t.e.message);
	t.rig.elapsed_ns += 1;
	/* At once: not only when the thread that renews comes to it. */
	cr_expect_eq(hold_check(t.hold, &t.e), -EIO);
	cr_expect(strstr(t.e.message, "the pin could not be renewed for 900 seconds"), "%s",
		  t.e.message);
	t.rig.fault = NULL;
	t.rig.elapsed_ns -= MINUTE_NS;
	cr_expect_eq(hold_check(t.hold, &t.e), -EIO, "from then on");
}

/* ---- credentials that may not do all ---- */

struct limited { /* refuses methods as a store does that goes by rights */
	struct store store;
	struct store *below;
	int put_code, delete_code;
	enum err_kind kind;
};

static int limited_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		       const struct cancel *c, struct err *e)
{
	struct limited *l = (struct limited *)s;

	if (l->put_code)
		return err_set(e, l->kind, l->put_code, "refused");
	return store_put(l->below, req, ret, c, e);
}

static int limited_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		       const struct cancel *c, struct err *e)
{
	return store_get(((struct limited *)s)->below, req, ret, c, e);
}

static int limited_delete(struct store *s, const char *const *keys, size_t count,
			  struct store_delete_error *errors, size_t *ret_error_count,
			  const struct cancel *c, struct err *e)
{
	struct limited *l = (struct limited *)s;

	if (l->delete_code == 0)
		return store_delete_many(l->below, keys, count, errors, ret_error_count, c, e);
	if (l->delete_code < 0)
		return err_set(e, l->kind, l->delete_code, "refused");
	errors[0] = (struct store_delete_error){ .code = "AccessDenied", .message = "no" };
	*ret_error_count = 1;
	return 0;
}

static const struct store_ops limited_ops = {
	.name = "limited", .put = limited_put, .get = limited_get, .delete_many = limited_delete
};

static void limit(struct held *t, struct limited *l, struct repo **ret)
{
	l->store.ops = &limited_ops;
	l->below = t->rig.store;
	cr_assert_eq(repo_open(&l->store, REPO_READ, &t->rig.clock, NULL, ret, &t->e), 0, "%s",
		     t->e.message);
	t->o.repo = *ret;
}

Test(hold, with_credentials_that_only_read_there_is_no_pin)
{
	static const struct {
		enum err_kind kind;
		int code;
	} rows[] = { { ERR_CREDENTIALS, -EACCES },
		     { ERR_STORE, -EROFS },
		     { ERR_STORE, -EACCES },
		     { ERR_STORE, -EPERM } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(repo_freep) struct repo *repo = NULL;
		_cleanup_held_ struct held t;
		struct limited l = { .put_code = rows[i].code, .kind = rows[i].kind };

		held_init(&t);
		limit(&t, &l, &repo);
		cr_expect_eq(begin(&t), HOLD_READ_ONLY, "row %zu", i);
		cr_expect_null(t.hold);
		cr_expect_str_eq(t.e.message, "refused");
		cr_expect_not(is_there(&t));
	}
}

Test(hold, a_pin_that_may_not_be_deleted_is_marked_as_ended)
{
	static const int codes[] = { -EACCES, 1 };

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		_cleanup_(repo_freep) struct repo *repo = NULL;
		_cleanup_held_ struct held t;
		struct limited l = { .delete_code = codes[i], .kind = ERR_CREDENTIALS };
		struct pin p;

		held_init(&t);
		limit(&t, &l, &repo);
		begin_well(&t);
		end(&t);
		cr_assert(read_pin(&t, &p, NULL));
		cr_expect_eq(p.state, PIN_ENDED);
		cr_expect_eq(p.sequence, 2);
	}
}
