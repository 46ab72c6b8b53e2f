/* SPDX-License-Identifier: Apache-2.0 */
/* What a collector meets in a bucket that is not as it should be, or may not do. */
#include "catalog/hold.h"
#include "tests/unit/catalog/collect_help.h"

#define PIN "pins/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json"
#define WRITER "01JD8ZP4V7Q3K5N2M9R6T8W0XY"

static const struct collect_options plain;

/* Exchanges a part of a sealed JSON document (equally long or not) and seals it again. */
static void change_document(struct rig *rig, const char *key, const char *from, const char *to)
{
	_cleanup_free_ char *text = NULL, *changed = NULL;
	char hex[SHA256_HEX], *at, *seal;
	struct err e = ERR_INIT;
	struct id256 sum;
	size_t len;

	cr_assert_eq(store_get_alloc(rig->store, key, MIB, &text, &len, NULL, NULL, &e), 0);
	at = strstr(text, from);
	cr_assert(at, "%s", text);
	changed = util_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	seal = strstr(changed, "\n\"sha256\"");
	cr_assert(seal);
	sum = digest_sha256(changed, (size_t)(seal + 1 - changed));
	util_hex(hex, sum.b, sizeof(sum.b));
	sprintf(seal + 1, "\"sha256\":\"%s\"}\n", hex);
	cr_assert_eq(store_put_bytes(rig->store, key, changed, strlen(changed), STORE_ALWAYS, NULL,
				     NULL, NULL, &e),
		     0);
}

static char *record_key(struct rig *rig, const char *backup, char *out)
{
	_cleanup_(record_freep) struct record *r = rig_read_record(rig, backup);

	return keys_record(out, &collect_where, backup, &r->writer);
}

/* Nothing is deleted, nothing condemned, and what cannot be read is named. */
static void expect_blocked(struct rig *rig, const char *named, const char *what)
{
	size_t objects = rig_count(rig, "objects/"), trees = rig_count(rig, "trees/");

	for (int full = 0; full < 2; full++) {
		_cleanup_(collect_result_freep) struct collect_result *r =
			collect_help_run(rig, &(struct collect_options){ .full = full });

		cr_assert_geq(r->unreadable_count, 1, "%s", what);
		cr_expect(strstr(r->unreadable[0].key, named), "%s: %s is named, not %s", what,
			  r->unreadable[0].key, named);
		cr_expect_eq(r->condemned_objects + r->deleted_objects, 0, "%s", what);
	}
	cr_expect_eq(rig_count(rig, "objects/"), objects, "%s", what);
	cr_expect_eq(rig_count(rig, "trees/"), trees, "%s", what);
	cr_expect_eq(rig_count(rig, "condemned/"), 0, "%s", what);
}

Test(collect_bad, a_record_that_cannot_be_understood_blocks_its_node)
{
	static const struct {
		const char *what, *from, *to;
	} rows[] = {
		{ "a newer format", "\"format\": 1", "\"format\": 2" },
		{ "a feature for collectors", "\"collect\": []", "\"collect\": [\"x\"]" },
		{ "a feature for readers", "\"read\": []", "\"read\": [\"x\"]" },
		{ "a state", "COMMITTED", "WHATEVER" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_rig_ struct rig rig;
		char key[KEY_BYTES];

		collect_help_begin(&rig);
		change_document(&rig, record_key(&rig, "b2", key), rows[i].from, rows[i].to);
		expect_blocked(&rig, key, rows[i].what);
	}
}

Test(collect_bad, a_feature_that_concerns_writers_only_blocks_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;
	char key[KEY_BYTES];

	collect_help_begin(&rig);
	change_document(&rig, record_key(&rig, "b2", key), "\"write\": []", "\"write\": [\"x\"]");
	r = collect_help_run(&rig, &plain);
	cr_expect_eq(r->unreadable_count, 0);
	cr_expect_gt(r->deleted_objects, 0);
	collect_help_expect_exact(&rig);
}

Test(collect_bad, an_open_record_of_a_newer_version_blocks_its_node)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *open = NULL;
	char key[KEY_BYTES];

	collect_help_begin(&rig);
	open = collect_help_open(&rig, "b3");
	change_document(&rig, keys_record(key, &collect_where, "b3", &open->writer),
			"\"format\": 1", "\"format\": 2");
	rig.wall_ns += 100 * DAY_NS;
	expect_blocked(&rig, key, "a newer format");
}

Test(collect_bad, a_document_that_is_damaged_blocks_its_node)
{
	static const char *const names[] = { "records/b2/" WRITER ".json", PIN };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_rig_ struct rig rig;

		collect_help_begin(&rig);
		collect_help_put(&rig, names[i], "nonsense", 8);
		expect_blocked(&rig, names[i], names[i]);
	}
}

Test(collect_bad, a_pin_that_cannot_be_understood_blocks_its_node)
{
	static const struct {
		const char *what, *from, *to;
	} rows[] = {
		{ "a newer format", "\"format\": 1", "\"format\": 2" },
		{ "a feature for collectors", "\"collect\": []", "\"collect\": [\"x\"]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *b2 = NULL;
		struct hold *hold = NULL;
		struct err e = ERR_INIT;
		char key[KEY_BYTES];

		collect_help_begin(&rig);
		b2 = rig_read_record(&rig, "b2");
		cr_assert_eq(hold_begin(&(struct hold_options){ .repo = rig.repo,
								.record = b2,
								.purpose = "test" },
					&hold, NULL, &e),
			     0);
		keys_pin(key, &collect_where, &hold_pin(hold)->id);
		change_document(&rig, key, rows[i].from, rows[i].to);
		expect_blocked(&rig, key, rows[i].what);
		hold_end(hold);
	}
}

/* The object that holds the root tree of a backup. */
static void root_key(struct rig *rig, const char *backup, char *out)
{
	_cleanup_(record_freep) struct record *r = rig_read_record(rig, backup);

	keys_object(out, &collect_where, KEY_OBJECT_META, &r->root.extent.object.writer,
		    &r->root.extent.object.id);
}

Test(collect_bad, a_tree_that_is_missing_or_damaged_blocks_its_node)
{
	for (int damaged = 0; damaged < 2; damaged++) {
		_cleanup_rig_ struct rig rig;
		char key[KEY_BYTES];

		collect_help_begin(&rig);
		root_key(&rig, "b2", key);
		if (damaged)
			collect_help_put(&rig, key + strlen("nodes/c1/n1/"), "nonsense", 8);
		else
			collect_help_remove(&rig, key);
		expect_blocked(&rig, key, damaged ? "damaged" : "missing");
	}
}

Test(collect_bad, a_damaged_tree_of_a_deleted_backup_blocks_nothing)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;
	char key[KEY_BYTES];

	collect_help_begin(&rig);
	root_key(&rig, "b1", key);
	collect_help_put(&rig, key + strlen("nodes/c1/n1/"), "nonsense", 8);
	r = collect_help_run(&rig, &plain);
	cr_expect_eq(r->unreadable_count, 0);
	cr_expect_gt(r->deleted_objects, 0);
	collect_help_expect_exact(&rig);
}

/* Another process deletes b2, and another collector all that it had. */
static void delete_and_collect(struct rig *rig)
{
	collect_help_delete(rig, "b2");
	collect_help_gc(rig);
	cr_assert_eq(rig_count(rig, "trees/"), 0);
}

Test(collect_bad, a_backup_that_was_deleted_since_its_record_was_read_is_no_root)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	collect_help_begin(&rig);
	collect_help_at(&rig, "get", "/trees/", 1, delete_and_collect);
	r = collect_help_run(&rig, &plain);
	cr_assert(collect_event.fired);
	cr_expect_eq(r->unreadable_count, 0);
	collect_help_expect_exact(&rig);
}

/* ---- keys that are not ours ---- */

Test(collect_bad, keys_that_are_not_ours_are_named_and_left_alone)
{
	static const char *const names[] = {
		"objects/" WRITER "/notes.txt",
		"objects/readme",
		"trees/" WRITER "/7CE66E25F503F2003B2C9B869F4A47649D958C65A9C25F76BF6153F4D5071EA1",
		"records/b2/x.json",
		"records/loose",
		"pins/" WRITER,
		"condemned/" WRITER ".wait",
		"condemned/x",
		"probe/x",
		"other/thing",
		"loose",
	};
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	collect_help_begin(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		collect_help_put(&rig, names[i], "x", 1);
	rig.wall_ns += 100 * DAY_NS;
	r = collect_help_run(&rig, &(struct collect_options){ .full = true });
	cr_expect_eq(r->unreadable_count, 0);
	cr_expect_gt(r->deleted_objects, 0);
	cr_expect_eq(r->foreign_count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char key[KEY_BYTES];
		bool named = false;

		/* What is no folder of the format is named as a whole. */
		collect_help_key(key, i == 9 ? "other/" : names[i]);
		for (size_t k = 0; k < r->foreign_count; k++)
			named = named || strcmp(r->foreign[k], key) == 0;
		cr_expect(named, "%s", key);
		cr_expect(collect_help_has(&rig, names[i]), "%s", names[i]);
	}
}

static void put_at(struct rig *rig, const char *key)
{
	struct err e = ERR_INIT;

	cr_assert_eq(store_put_bytes(rig->store, key, "x", 1, STORE_ALWAYS, NULL, NULL, NULL, &e),
		     0);
}

Test(collect_bad, other_nodes_whose_names_begin_alike_are_not_touched)
{
	static const char *const keys[] = {
		"nodes/c1/n10/objects/" WRITER
		"/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
		"nodes/c10/n1/objects/" WRITER
		"/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
	};
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL;

	collect_help_begin(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_at(&rig, keys[i]);
	r = collect_help_run(&rig, &(struct collect_options){ .full = true });
	cr_expect_eq(r->foreign_count, 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		cr_expect_eq(store_head(rig.store, keys[i], NULL, NULL, NULL), 0);
}
