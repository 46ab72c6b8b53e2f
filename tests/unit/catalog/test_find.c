/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "catalog/find.h"
#include "tests/unit/catalog/fixture.h"

static const struct fixture_file file = { .path = "data/x", .data = "x", .len_bytes = 1 };

/* In order of age. */
static const struct {
	const char *cluster, *node, *backup;
	enum record_state state;
} made[] = {
	{ "ring", "n1", "mon", RECORD_COMMITTED },  { "ring", "n2", "mon", RECORD_COMMITTED },
	{ "ring", "n10", "mon", RECORD_COMMITTED }, { "ring", "n1", "tue", RECORD_COMMITTED },
	{ "other", "n1", "mon", RECORD_COMMITTED }, { "ring", "n1", "wed", RECORD_OPEN },
	{ "ring", "n2", "wed", RECORD_ABORTED },    { "ring", "n1", "mon1", RECORD_COMMITTED },
	{ "ring", "n2", "tue", RECORD_DELETED },    { "other", "n3", "thu", RECORD_COMMITTED },
};

static struct fixture *sample_new(void)
{
	struct fixture *f = fixture_new(OBJECT_VERIFY_XXH3);

	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		record_free(fixture_backup_of(f, made[i].cluster, made[i].node, made[i].backup,
					      made[i].state, &file, 1, OBJECT_COMPRESS_NONE));
	return f;
}

static const struct {
	struct find_options o;
	size_t count;
	const char *newest; /* its backup */
} searches[] = {
	{ { .cluster = NULL }, 8, "thu" },
	{ { .all_states = true }, 10, "thu" },
	{ { .cluster = "ring" }, 6, "mon1" },
	{ { .cluster = "ring", .node = "n1" }, 4, "mon1" },
	{ { .node = "n1" }, 5, "mon1" },
	{ { .backup = "mon" }, 4, "mon" },
	{ { .cluster = "ring", .backup = "wed", .all_states = true }, 2, "wed" },
	{ { .cluster = "ring", .backup = "wed" }, 1, "wed" },
	{ { .cluster = "nowhere" }, 0, NULL },
	{ { .node = "n" }, 0, NULL },
	{ { .backup = "mo" }, 0, NULL },
	{ { .cluster = NULL, .threads = 1 }, 8, "thu" },
};

Test(find, records_are_found_newest_first)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();

	for (size_t i = 0; i < ARRAY_SIZE(searches); i++) {
		_cleanup_(found_freep) struct found *found = NULL;
		struct err e = ERR_INIT;

		cr_assert_eq(find_records(f->meta, f->repo, &searches[i].o, &found, NULL, &e), 0,
			     "search %zu: %s", i, e.message);
		cr_assert_eq(found->count, searches[i].count, "search %zu: %zu", i, found->count);
		if (found->count > 0)
			cr_expect_str_eq(found->records[0]->backup, searches[i].newest);
		for (size_t k = 1; k < found->count; k++)
			cr_expect(record_compare_age(found->records[k - 1], found->records[k]) > 0);
		for (size_t k = 0; k < found->count; k++)
			cr_expect_neq(found->etags[k][0], '\0');
	}
}

Test(find, a_name_that_is_not_allowed_is_refused)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	const struct find_options bad[] = { { .cluster = "../x" },
					    { .node = "" },
					    { .backup = "a/b" } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct found *found = NULL;
		struct err e = ERR_INIT;

		cr_expect_eq(find_records(f->meta, f->repo, &bad[i], &found, NULL, &e), -EINVAL);
		cr_expect_eq(e.kind, ERR_USAGE);
	}
}

Test(find, a_damaged_record_fails_the_search_or_is_told_beside_the_others)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	struct find_options o = { .cluster = "ring" };
	_cleanup_(found_freep) struct found *found = NULL;
	struct err e = ERR_INIT;
	char key[KEY_BYTES];

	fixture_key(f, "/n2/records/mon/", 0, key);
	fixture_flip(f, key, 20);
	cr_expect_eq(find_records(f->meta, f->repo, &o, &found, NULL, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect_str_eq(e.key, key);
	o.keep_damaged = true;
	cr_assert_eq(find_records(f->meta, f->repo, &o, &found, NULL, &e), 0);
	cr_expect_eq(found->count, 5);
	cr_assert_eq(found->damaged_count, 1);
	cr_expect_str_eq(found->damaged[0].key, key);
	cr_expect(found->damaged[0].reason[0]);
}

static const struct {
	const char *cluster, *node, *backup, *default_node;
	int r;
	enum err_kind kind;
	const char *says; /* in the error, or the node that is chosen */
} ones[] = {
	{ "ring", NULL, "tue", NULL, 0, ERR_NONE, "n1" },
	{ "ring", NULL, "mon", "n2", 0, ERR_NONE, "n2" },
	{ "ring", "n10", "mon", "n2", 0, ERR_NONE, "n10" },
	{ "ring", NULL, "mon", NULL, -EINVAL, ERR_USAGE, "n10" },
	{ "ring", NULL, "mon", "elsewhere", -EINVAL, ERR_USAGE, "--node" },
	{ NULL, NULL, "mon", "n2", -EINVAL, ERR_USAGE, "other" },
	{ NULL, "n1", "mon", NULL, -EINVAL, ERR_USAGE, "--cluster" },
	{ NULL, "n2", "mon", NULL, 0, ERR_NONE, "n2" },
	{ NULL, NULL, "thu", "n1", 0, ERR_NONE, "n3" },
	{ "ring", NULL, "wed", NULL, -ENOENT, ERR_NOT_FOUND, "not finished" },
	{ "ring", "n2", "tue", NULL, -ENOENT, ERR_NOT_FOUND, "no backup tue of node n2" },
	{ NULL, NULL, "never", NULL, -ENOENT, ERR_NOT_FOUND, "no backup never" },
	{ "nowhere", NULL, "mon", NULL, -ENOENT, ERR_NOT_FOUND, "in cluster nowhere" },
};

Test(find, the_one_backup_that_is_meant_is_found_or_the_choice_is_told)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();

	for (size_t i = 0; i < ARRAY_SIZE(ones); i++) {
		_cleanup_(record_freep) struct record *record = NULL;
		struct err e = ERR_INIT;
		int r = find_one(f->meta, f->repo, ones[i].cluster, ones[i].node, ones[i].backup,
				 ones[i].default_node, &record, NULL, &e);

		cr_expect_eq(r, ones[i].r, "case %zu: %d %s", i, r, e.message);
		cr_expect_eq(e.kind, ones[i].kind, "case %zu", i);
		if (r == 0)
			cr_expect_str_eq(record->where.node, ones[i].says, "case %zu", i);
		else
			cr_expect(strstr(e.message, ones[i].says), "case %zu: %s", i, e.message);
	}
}
