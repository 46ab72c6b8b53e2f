/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps C1 to C4 safe, step by step: each test is a schedule in which a collector that leaves a step out, or does two of them in the
 * other order, loses data. Backups are played by their records: a writer that reuses all that b1 had commits with b1's root.
 */
#include "catalog/hold.h"
#include "tests/unit/catalog/collect_help.h"

static const struct collect_options plain;

/* The actors of the schedule that is being played. */
static struct {
	struct place root; /* of b1 */
	struct ulid b1;
	struct record *u, *v;
	struct hold *hold;
} play;

static void begin(struct rig *rig)
{
	_cleanup_(record_freep) struct record *b1 = NULL;

	memset(&play, 0, sizeof(play));
	rig_init(rig, OBJECT_COMPRESS_NONE);
	rig_put_random(rig, "nb-1-big-Data.db", 1, MIB + 1000);
	rig_put_random(rig, "nb-1-big-Index.db", 2, 30000);
	b1 = rig_commit(rig, "b1");
	play.root = b1->root;
	play.b1 = b1->writer;
}

static void end(struct rig *rig)
{
	record_free(play.u);
	record_free(play.v);
	rig_deinit(rig);
}

#define _cleanup_play_ _cleanup_(end)

static void commit(struct rig *rig, const struct record *writer)
{
	cr_assert_eq(collect_help_write(rig, writer, &play.root), 0);
}

static size_t missing_of_b1(struct rig *rig)
{
	size_t missing, spare;

	collect_help_compare(rig, &play.root, &missing, &spare);
	return missing;
}

Test(collect_protocol, a_list_waits_for_the_backups_that_were_open_when_it_was_there)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL, *again = NULL;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	rig.wall_ns += INT64_C(40000000000);
	collect_help_delete(&rig, "b1");
	r = collect_help_run(&rig, &plain);
	cr_expect_gt(r->condemned_objects, 0);
	cr_expect_eq(r->deleted_objects, 0);
	cr_expect_eq(r->awaiting_objects, r->condemned_objects);
	cr_assert_eq(r->wait_count, 1);
	cr_expect_str_eq(r->waits[0].backup, "u");
	cr_expect_eq(r->waits[0].renewed_ago_s, 40);
	cr_expect_eq(rig_count(&rig, "condemned/"), 2, "the list and whom it waits for");
	/* What is on a list is not put on another one. */
	again = collect_help_run(&rig, &plain);
	cr_expect_eq(again->condemned_objects, 0);
	cr_expect_eq(again->awaiting_objects, r->condemned_objects);
	cr_expect_eq(rig_count(&rig, "condemned/"), 2);
	/* It committed without these keys. */
	collect_help_set_state(&rig, "u", RECORD_ABORTED);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
}

Test(collect_protocol, what_a_backup_that_was_waited_for_reaches_is_kept)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_gc(&rig);
	commit(&rig, play.u);
	/* C4 reads the records afresh. */
	r = collect_help_run(&rig, &plain);
	cr_expect_eq(r->deleted_objects, 0);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0, "the list is worked off");
	collect_help_expect_exact(&rig);
}

static void commit_u(struct rig *rig)
{
	commit(rig, play.u);
}

Test(collect_protocol, what_is_committed_between_the_condemning_and_the_deletion_is_kept)
{
	_cleanup_play_ struct rig rig;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_at(&rig, "put", ".waits", 1, commit_u);
	collect_help_gc(&rig);
	cr_assert(collect_event.fired);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
}

/* U, which was open in C1 and reuses what b1 had, commits; V finds it there and reuses it too; U is deleted. All before the list is there. */
static void hand_over(struct rig *rig)
{
	commit(rig, play.u);
	play.v = collect_help_open(rig, "v");
	collect_help_delete(rig, "u");
}

Test(collect_protocol, whom_a_list_waits_for_is_looked_up_after_the_list_is_there)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_at(&rig, "put", "/condemned/", 1, hand_over);
	r = collect_help_run(&rig, &plain);
	cr_assert(collect_event.fired);
	cr_assert_eq(r->wait_count, 1);
	cr_expect_str_eq(r->waits[0].backup, "v");
	cr_expect_eq(missing_of_b1(&rig), 0);
	commit(&rig, play.v);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
}

/* Another collector finishes the list, which reaches what U committed; then V reuses it, and U is deleted. */
static void finish_and_hand_over(struct rig *rig)
{
	collect_help_gc(rig);
	cr_assert_eq(rig_count(rig, "condemned/"), 0);
	play.v = collect_help_open(rig, "v");
	collect_help_delete(rig, "u");
}

Test(collect_protocol, a_list_that_another_collector_finished_is_let_be)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_gc(&rig);
	commit(&rig, play.u);
	/* The records are listed in C1, in C3, and in C4. */
	collect_help_at(&rig, "list", "/records/", 3, finish_and_hand_over);
	r = collect_help_run(&rig, &plain);
	cr_assert(collect_event.fired);
	cr_expect_eq(r->deleted_objects, 0);
	cr_expect_eq(missing_of_b1(&rig), 0);
	commit(&rig, play.v);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
}

/* ---- readers ---- */

static void pin_u(struct rig *rig)
{
	const struct hold_options o = { .repo = rig->repo, .record = play.u, .purpose = "test" };
	struct err e = ERR_INIT;

	play.u->root = play.root;
	cr_assert_eq(hold_begin(&o, &play.hold, NULL, &e), 0, "%s", e.message);
	collect_help_delete(rig, "u");
}

/* Before the second of the two reads of C4, whichever that is. */
static enum fault between_the_reads(struct rig *rig, const char *method, const char *key)
{
	struct collect_event *v = &collect_event;

	if (strcmp(method, "list") != 0 || (!strstr(key, "/records/") && !strstr(key, "/pins/")) ||
	    v->fired)
		return FAULT_NONE;
	/* C1 reads both, C3 the records, C4 both. */
	v->fired = ++v->met == 5;
	if (v->fired)
		pin_u(rig);
	return FAULT_NONE;
}

Test(collect_protocol, pins_are_read_after_the_records)
{
	_cleanup_play_ struct rig rig;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_gc(&rig);
	commit(&rig, play.u);
	collect_event = (struct collect_event){ .met = 0 };
	rig.fault = between_the_reads;
	collect_help_gc(&rig);
	cr_assert(collect_event.fired);
	cr_expect_eq(missing_of_b1(&rig), 0);
	hold_end(play.hold);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
}

Test(collect_protocol, a_pinned_backup_that_was_deleted_stays_until_the_reader_ends)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(record_freep) struct record *b1 = NULL;
	struct hold *hold = NULL;
	struct err e = ERR_INIT;

	begin(&rig);
	b1 = rig_read_record(&rig, "b1");
	cr_assert_eq(hold_begin(&(struct hold_options){ .repo = rig.repo,
							.record = b1,
							.purpose = "test" },
				&hold, NULL, &e),
		     0, "%s", e.message);
	collect_help_delete(&rig, "b1");
	for (int i = 0; i < 3; i++) {
		_cleanup_(collect_result_freep) struct collect_result *r =
			collect_help_run(&rig, &(struct collect_options){ .full = i == 2 });

		cr_expect_eq(r->condemned_objects, 0);
		cr_expect_eq(missing_of_b1(&rig), 0);
	}
	hold_end(hold);
	collect_help_gc(&rig);
	collect_help_expect_exact(&rig);
}

/* ---- several collectors ---- */

static void another_run(struct rig *rig)
{
	struct collect_result *r;
	struct err e;

	cr_expect_eq(collect_help_try(rig, &plain, &r, &e), 0, "%s", e.message);
	collect_result_free(r);
}

Test(collect_protocol, a_whole_run_of_another_collector_fits_between_any_two_requests)
{
	static const char *const methods[] = { "put", "get", "head", "list", "delete" };

	for (size_t m = 0; m < ARRAY_SIZE(methods); m++) {
		for (int n = 1; n < 100; n++) {
			_cleanup_play_ struct rig rig;

			begin(&rig);
			rig_put_random(&rig, "nb-2-big-Data.db", 7, 100000);
			record_free(rig_commit(&rig, "b2"));
			collect_help_delete(&rig, "b2");
			play.u = collect_help_open(&rig, "u");
			collect_help_gc(&rig);
			collect_help_set_state(&rig, "u", RECORD_ABORTED);
			collect_help_at(&rig, methods[m], "nodes/", n, another_run);
			another_run(&rig);
			collect_help_expect_exact(&rig);
			rig.fault = NULL;
			another_run(&rig);
			cr_expect_eq(rig_count(&rig, "condemned/"), 0, "%s %d", methods[m], n);
			if (!collect_event.fired)
				break;
		}
	}
}

/* ---- whom the lists wait for, in files ---- */

static void put(struct rig *rig, const char *below, const char *body)
{
	struct id256 sum = digest_sha256(body, strlen(body));
	char hex[SHA256_HEX], key[256];
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;

	util_hex(hex, sum.b, sizeof(sum.b));
	text = util_printf("%ssha256 %s\n", body, hex);
	snprintf(key, sizeof(key), "nodes/c1/n1/%s", below);
	cr_assert_eq(store_put_bytes(rig->store, key, text, strlen(text), STORE_ALWAYS, NULL, NULL,
				     NULL, &e),
		     0, "%s", e.message);
}

static int keep_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	char *name = ctx;

	if (strlen(entry->key) == strlen("nodes/c1/n1/condemned/") + ULID_TEXT - 1)
		strcpy(name, entry->key + strlen("nodes/c1/n1/"));
	return 0;
}

/* "condemned/<ulid>" of the only list. */
static void only_list(struct rig *rig, char name[64])
{
	struct store_list list = { .prefix = "nodes/c1/n1/condemned/",
				   .entry = keep_key,
				   .ctx = name };
	struct err e = ERR_INIT;

	*name = '\0';
	cr_assert_eq(store_list(rig->store, &list, NULL, &e), 0);
	cr_assert(*name);
}

static void remove_key(struct rig *rig, const char *below)
{
	char key[256];
	const char *keys[] = { key };
	struct store_delete_error error;
	size_t errors;

	snprintf(key, sizeof(key), "nodes/c1/n1/%s", below);
	cr_assert_eq(store_delete_many(rig->store, keys, 1, &error, &errors, NULL, NULL), 0);
}

Test(collect_protocol, a_list_without_its_file_of_waits_gets_one)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;
	char list[64], waits[80];

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_gc(&rig);
	only_list(&rig, list);
	snprintf(waits, sizeof(waits), "%s.waits", list);
	for (int damage = 0; damage < 2; damage++) {
		remove_key(&rig, waits);
		if (damage)
			put(&rig, waits, "nonsense\n");
		collect_result_free(r);
		r = collect_help_run(&rig, &plain);
		cr_assert_eq(r->wait_count, 1, "%d", damage);
		cr_expect_eq(r->deleted_objects, 0);
		cr_expect_eq(rig_count(&rig, "condemned/"), 2);
	}
}

static void somebody_elses_waits(struct rig *rig)
{
	char list[64], waits[80], body[200], writer[ULID_TEXT];

	only_list(rig, list);
	snprintf(waits, sizeof(waits), "%s.waits", list);
	snprintf(body, sizeof(body), "waits 1\nrecords/u/%s.json\n",
		 ulid_format(writer, &play.u->writer));
	put(rig, waits, body);
	collect_help_set_state(rig, "v", RECORD_ABORTED);
}

Test(collect_protocol, the_file_of_waits_that_was_there_first_counts)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	play.v = collect_help_open(&rig, "v");
	collect_help_delete(&rig, "b1");
	collect_help_at(&rig, "put", ".waits", 1, somebody_elses_waits);
	r = collect_help_run(&rig, &plain);
	cr_assert(collect_event.fired);
	cr_assert_eq(r->wait_count, 1);
	cr_expect_str_eq(r->waits[0].backup, "u");
}

Test(collect_protocol, a_file_of_waits_whose_list_is_gone_is_removed)
{
	_cleanup_play_ struct rig rig;

	begin(&rig);
	put(&rig, "condemned/01JD8ZP4V7Q3K5N2M9R6T8W0XY.waits", "waits 1\n");
	collect_result_free(collect_help_run(&rig, &(struct collect_options){ .dry_run = true }));
	cr_expect_eq(rig_count(&rig, "condemned/"), 1);
	collect_help_gc(&rig);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
}

Test(collect_protocol, a_damaged_list_is_named_and_its_keys_are_condemned_anew)
{
	_cleanup_play_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;
	char list[64];

	begin(&rig);
	play.u = collect_help_open(&rig, "u");
	collect_help_delete(&rig, "b1");
	collect_help_gc(&rig);
	only_list(&rig, list);
	put(&rig, list, "nonsense\n");
	collect_help_set_state(&rig, "u", RECORD_ABORTED);
	r = collect_help_run(&rig, &plain);
	cr_assert_eq(r->unreadable_count, 1);
	cr_expect(strstr(r->unreadable[0].key, list));
	cr_expect_gt(r->deleted_objects, 0);
	collect_help_expect_exact(&rig);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
}

Test(collect_protocol, lists_and_files_of_a_newer_version_are_named_and_left_alone)
{
	static const char *const names[] = { "condemned/01JD8ZP4V7Q3K5N2M9R6T8W0XY",
					     "condemned/01JD8ZP4V7Q3K5N2M9R6T8W0XY.waits" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_play_ struct rig rig;
		_cleanup_(collect_result_freep) struct collect_result *r = NULL;

		begin(&rig);
		put(&rig, names[0], i == 0 ? "condemned 2\n" : "condemned 1\n");
		put(&rig, names[1], i == 1 ? "waits 2\n" : "waits 1\n");
		collect_help_delete(&rig, "b1");
		r = collect_help_run(&rig, &plain);
		cr_assert_eq(r->unreadable_count, 1, "%zu", i);
		cr_expect(strstr(r->unreadable[0].key, names[i]), "%s", r->unreadable[0].key);
		cr_expect_gt(r->deleted_objects, 0, "the other lists go on");
		cr_expect_eq(rig_count(&rig, "condemned/"), 2);
	}
}
