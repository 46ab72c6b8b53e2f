/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "catalog/survey.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

static const struct fixture_file file = { .path = "data/x", .data = "x", .len_bytes = 1 };

/* In order of age. */
static const struct {
	const char *cluster, *node, *backup;
	enum record_state state;
} made[] = {
	{ "ring", "n1", "mon", RECORD_COMMITTED },  { "ring", "n2", "mon", RECORD_COMMITTED },
	{ "ring", "n10", "mon", RECORD_OPEN },	    { "ring", "n1", "mon1", RECORD_COMMITTED },
	{ "other", "n1", "mon", RECORD_COMMITTED }, { "ring", "n1", "wed", RECORD_DELETED },
	{ "ring", "n2", "wed", RECORD_ABORTED },    { "ring", "n2", "wed", RECORD_COMMITTED },
};

static struct fixture *sample_new(void)
{
	struct fixture *f = fixture_new(OBJECT_VERIFY_XXH3);

	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		record_free(fixture_backup_of(f, made[i].cluster, made[i].node, made[i].backup,
					      made[i].state, &file, 1, OBJECT_COMPRESS_NONE));
	return f;
}

static struct survey *survey_all(struct fixture *f, const struct survey_options *o)
{
	struct survey *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(survey_read(f->meta, f->repo, o, &s, NULL, &e), 0, "%s", e.message);
	return s;
}

Test(survey, backups_are_told_newest_first_with_their_nodes)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	const struct survey_options o = { .threads = 3 };
	_cleanup_(survey_freep) struct survey *s = survey_all(f, &o);
	static const struct {
		const char *cluster, *name;
		uint32_t nodes, finished;
		bool complete;
	} expected[] = { { "ring", "wed", 1, 1, true },
			 { "other", "mon", 1, 1, true },
			 { "ring", "mon1", 1, 1, true },
			 { "ring", "mon", 3, 2, false } };

	cr_assert_eq(s->backup_count, ARRAY_SIZE(expected));
	cr_expect_eq(s->count, ARRAY_SIZE(made));
	cr_expect_eq(s->live, 6);
	for (size_t i = 0; i < s->backup_count; i++) {
		const struct survey_backup *b = &s->backups[i];
		const struct survey_entry *x = &s->entries[b->first];

		cr_expect_str_eq(survey_node(s, x)->cluster, expected[i].cluster, "%zu", i);
		cr_expect_str_eq(survey_name(s, x), expected[i].name, "%zu", i);
		cr_expect_eq(b->nodes, expected[i].nodes, "%zu", i);
		cr_expect_eq(b->finished, expected[i].finished, "%zu", i);
		cr_expect_eq(survey_is_complete(b), expected[i].complete, "%zu", i);
	}
}

Test(survey, a_node_or_cluster_is_meant_by_its_whole_name)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	static const struct {
		struct survey_options o;
		size_t count;
	} rows[] = { { { .cluster = "ring" }, 7 },
		     { { .cluster = "ring", .node = "n1" }, 3 },
		     { { .node = "n1" }, 4 },
		     { { .cluster = "rin" }, 0 },
		     { { .node = "n" }, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(survey_freep) struct survey *s = survey_all(f, &rows[i].o);

		cr_expect_eq(s->count, rows[i].count, "row %zu: %zu", i, s->count);
	}
}

Test(survey, a_damaged_record_is_told_and_the_others_are_read)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	const struct survey_options o = { .cluster = "ring" };
	_cleanup_(survey_freep) struct survey *s = NULL;
	char key[KEY_BYTES];

	fixture_key(f, "/n2/records/mon/", 0, key);
	fixture_flip(f, key, 20);
	s = survey_all(f, &o);
	cr_assert_eq(s->damaged_count, 1);
	cr_expect_str_eq(s->damaged[0].key, key);
	cr_expect_str_eq(s->damaged[0].backup, "mon");
	cr_expect_str_eq(s->nodes[s->damaged[0].node].node, "n2");
	cr_expect_eq(s->count, 6);
}

Test(survey, what_is_kept_is_read_again_and_stands_for_what_did_not_change)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	_cleanup_(tmpdir_deinit) struct tmpdir tmp = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/new/survey", tmp.path);
	const struct survey_options o = { .path = path },
				    part = { .cluster = "other", .path = path };
	_cleanup_(survey_freep) struct survey *first = survey_all(f, &o), *again = NULL,
					      *loaded = NULL, *other = NULL;
	struct err e = ERR_INIT;
	int64_t as_of;

	cr_expect_eq(first->fetched, ARRAY_SIZE(made));
	again = survey_all(f, &o);
	cr_expect_eq(again->fetched, 0);
	cr_assert_eq(again->count, first->count);
	for (size_t i = 0; i < first->count; i++) {
		cr_expect_str_eq(survey_name(first, &first->entries[i]),
				 survey_name(again, &again->entries[i]));
		cr_expect_eq(first->entries[i].state, again->entries[i].state);
		cr_expect_eq(first->entries[i].store_time_ns, again->entries[i].store_time_ns);
	}
	other = survey_all(f, &part);
	cr_expect_eq(other->fetched, 0);
	cr_assert_eq(survey_load(path, NULL, &loaded, &as_of, &e), 0, "%s", e.message);
	cr_expect_eq(loaded->live, first->live);
	cr_expect_eq(loaded->backup_count, first->backup_count);
}

static off_t bytes_of(const char *path)
{
	struct stat st;

	cr_assert_eq(stat(path, &st), 0);
	return st.st_size;
}

Test(survey, surveys_of_a_part_do_not_make_the_file_grow)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	_cleanup_(tmpdir_deinit) struct tmpdir tmp = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/survey", tmp.path);
	const struct survey_options all = { .path = path },
				    ring = { .cluster = "ring", .path = path },
				    other = { .cluster = "other", .path = path };
	_cleanup_(survey_freep) struct survey *first = survey_all(f, &all), *loaded = NULL;
	off_t before, grown;
	struct err e = ERR_INIT;
	char name[8];
	int64_t as_of;

	for (int i = 0; i < 9; i++) {
		_cleanup_(survey_freep) struct survey *part = NULL;

		before = bytes_of(path);
		snprintf(name, sizeof(name), "more%d", i);
		record_free(fixture_backup_of(f, i % 2 ? "other" : "ring", "n1", name,
					      RECORD_COMMITTED, &file, 1, OBJECT_COMPRESS_NONE));
		part = survey_all(f, i % 2 ? &other : &ring);
		cr_expect_eq(part->fetched, 1);
		grown = bytes_of(path) - before;
		cr_expect_eq(grown, (off_t)(sizeof(struct survey_entry) + strlen(name) + 1),
			     "%d: %lld", i, (long long)grown);
	}
	cr_assert_eq(survey_load(path, NULL, &loaded, &as_of, &e), 0, "%s", e.message);
	cr_expect_eq(loaded->live, first->live + 9);
	cr_expect_eq(loaded->node_count, first->node_count);
	for (size_t i = 0; i < loaded->live; i++)
		if (strcmp(survey_name(loaded, &loaded->entries[i]), "more3") == 0)
			cr_expect_str_eq(survey_node(loaded, &loaded->entries[i])->cluster,
					 "other");
}

Test(survey, a_store_that_fails_fails_the_survey)
{
	_cleanup_(fixture_freep) struct fixture *f = sample_new();
	const struct survey_options bad = { .node = "a/b" };
	struct cancel c = { 0 };
	struct survey *s = NULL;
	struct err e = ERR_INIT;

	cr_expect_eq(survey_read(f->meta, f->repo, &bad, &s, NULL, &e), -EINVAL);
	cancel_set(&c, 1);
	cr_expect_lt(survey_read(f->meta, f->repo, &(struct survey_options){ 0 }, &s, &c, &e), 0);
	cr_expect_null(s);
}
