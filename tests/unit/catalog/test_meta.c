/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/meta.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

#define TABLE "data/ks/t-0123456789abcdef0123456789abcdef"

static const struct fixture_file files[] = {
	{ .path = TABLE "/nb-1-big-Data.db", .data = "one", .len_bytes = 3 },
	{ .path = TABLE "/nb-1-big-TOC.txt", .data = "toc", .len_bytes = 3 },
	{ .path = TABLE "/nb-10-big-Data.db", .data = "ten", .len_bytes = 3 },
	{ .path = TABLE "/nb-2-big-Data.db", .data = "two", .len_bytes = 3 },
	{ .path = TABLE "/.idx/nb-1-big-Data.db", .data = "", .len_bytes = 0 },
	{ .path = TABLE "/manifest", .data = "{}", .len_bytes = 2 },
	{ .path = "data/ks/empty-0123456789abcdef0123456789abcdee/" },
	{ .path = "snapshot/ks/t/manifest.json", .data = "[]", .len_bytes = 2 },
	{ .path = "schema.cql", .data = "create", .len_bytes = 6 },
};

struct sample {
	struct fixture *f;
	struct record *record;
};

static struct sample sample_new(void)
{
	struct sample s = { .f = fixture_new(OBJECT_VERIFY_XXH3) };

	s.record = fixture_backup(s.f, "b1", files, ARRAY_SIZE(files), OBJECT_COMPRESS_ZSTD);
	s.f->wire->gets = 0;
	return s;
}

static void sample_deinit(struct sample *s)
{
	record_free(s->record);
	fixture_free(s->f);
}
#define _cleanup_sample_ _cleanup_(sample_deinit)

/* ---- walking ---- */

struct trail {
	char text[4096];
	const char *leave_out, *skip_run;
	unsigned damaged;
};

static void say(struct trail *t, char what, const char *path, const char *name)
{
	size_t len = strlen(t->text);

	snprintf(t->text + len, sizeof(t->text) - len, "%c%s%s%s\n", what, path,
		 *path && *name ? "/" : "", name);
}

static int on_enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	struct trail *t = ctx;

	return t->leave_out && strcmp(t->leave_out, path) == 0;
}

static int on_directory(void *ctx, const char *path, const struct child *self,
			const struct tree *tree, struct err *e)
{
	cr_expect_eq(self == NULL, *path == '\0');
	say(ctx, 'd', path, "");
	return 0;
}

static int on_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	struct trail *t = ctx;

	return t->skip_run && strcmp(t->skip_run, ref->first) == 0;
}

static int on_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	say(ctx, 'f', path, entry->name);
	return 0;
}

static int on_damaged(void *ctx, const char *path, const struct run_ref *ref, int r, struct err *e)
{
	struct trail *t = ctx;

	cr_expect(strstr(e->key, "/trees/"), "%s", e->key);
	t->damaged++;
	say(t, r == -ENOENT ? '-' : '!', path, ref ? ref->first : "");
	return 0;
}

static int walk(struct sample *s, struct trail *t, bool tolerant, struct err *e)
{
	const struct meta_walk w = { .enter = on_enter,
				     .directory = on_directory,
				     .run = on_run,
				     .entry = on_entry,
				     .damaged = tolerant ? on_damaged : NULL,
				     .ctx = t };

	return meta_walk(s->f->meta, &s->record->where, &s->record->root, &w, NULL, e);
}

static const char everything[] = "d\n"
				 "fschema.cql\n"
				 "ddata\n"
				 "ddata/ks\n"
				 "ddata/ks/empty-0123456789abcdef0123456789abcdee\n"
				 "d" TABLE "\n"
				 "f" TABLE "/manifest\n"
				 "f" TABLE "/nb-1-big-Data.db\n"
				 "f" TABLE "/nb-1-big-TOC.txt\n"
				 "f" TABLE "/nb-10-big-Data.db\n"
				 "f" TABLE "/nb-2-big-Data.db\n"
				 "d" TABLE "/.idx\n"
				 "f" TABLE "/.idx/nb-1-big-Data.db\n"
				 "dsnapshot\n"
				 "dsnapshot/ks\n"
				 "dsnapshot/ks/t\n"
				 "fsnapshot/ks/t/manifest.json\n";

Test(meta, a_walk_names_everything_in_order_and_fetches_each_object_once)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct trail t = { .text = "" };
	struct err e = ERR_INIT;

	cr_assert_eq(walk(&s, &t, false, &e), 0, "%s", e.message);
	cr_expect_str_eq(t.text, everything);
	cr_expect_eq(s.f->wire->gets, fixture_count(s.f, "/trees/"));
	t.text[0] = '\0';
	s.f->wire->gets = 0;
	cr_assert_eq(walk(&s, &t, false, &e), 0);
	cr_expect_eq(s.f->wire->gets, 0, "what was read is kept in memory");
}

Test(meta, what_a_walk_leaves_out_is_not_read)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct trail t = { .leave_out = "data", .skip_run = "schema.cql" };

	cr_assert_eq(walk(&s, &t, false, NULL), 0);
	cr_expect_str_eq(t.text, "d\ndsnapshot\ndsnapshot/ks\ndsnapshot/ks/t\n"
				 "fsnapshot/ks/t/manifest.json\n");
	cr_expect_eq(s.f->wire->gets, 5, "%u", s.f->wire->gets);
}

Test(meta, an_error_of_a_callback_ends_the_walk)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct trail t = { .text = "" };
	struct err e = ERR_INIT;

	s.f->wire->fail = -EIO;
	cr_expect_eq(walk(&s, &t, true, &e), -EIO, "a failing store is no damage");
	cr_expect_eq(t.damaged, 0);
	cr_expect_eq(e.kind, ERR_STORE);
}

Test(meta, every_damaged_or_missing_metadata_object_is_told_and_named)
{
	size_t objects;

	{
		_cleanup_sample_ struct sample s = sample_new();

		objects = fixture_count(s.f, "/trees/");
	}
	for (size_t i = 0; i < objects; i++)
		for (int missing = 0; missing < 2; missing++) {
			_cleanup_sample_ struct sample s = sample_new();
			struct trail t = { .text = "" }, whole = { .text = "" };
			char key[KEY_BYTES];
			struct err e = ERR_INIT;

			fixture_key(s.f, "/trees/", i, key);
			if (missing)
				fixture_delete(s.f, key);
			else
				fixture_flip(s.f, key, -1);
			cr_expect_eq(walk(&s, &whole, false, &e), missing ? -ENOENT : -EBADMSG);
			cr_expect_str_eq(e.key, key);
			cr_assert_eq(walk(&s, &t, true, NULL), 0);
			cr_expect(t.damaged >= 1);
			cr_expect(strlen(t.text) < sizeof(everything) + 100);
			cr_expect(strchr(t.text, missing ? '-' : '!'));
		}
}

/* ---- what refers to something else than it says ---- */

Test(meta, a_place_that_names_another_blob_or_no_blob_is_refused)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct place place = s.record->root;
	struct tree *t = NULL;
	struct run *run = NULL;
	struct err e = ERR_INIT;

	place.digest.b[0] ^= 1;
	cr_expect_eq(meta_tree(s.f->meta, &s.record->where, &place, &t, NULL, &e), -EBADMSG);
	cr_expect(strstr(e.key, "/trees/"));
	place = s.record->root;
	place.extent.len_bytes++;
	cr_expect_eq(meta_tree(s.f->meta, &s.record->where, &place, &t, NULL, NULL), -EBADMSG);
	place = s.record->root;
	place.extent.offset = UINT32_MAX;
	cr_expect_eq(meta_tree(s.f->meta, &s.record->where, &place, &t, NULL, NULL), -EBADMSG);
	e = ERR_INIT;
	cr_expect_eq(meta_run(s.f->meta, &s.record->where, &s.record->root, &run, NULL, &e),
		     -EBADMSG, "a tree is no run");
	cr_expect(strstr(e.key, "/trees/"));
	place = s.record->root;
	place.extent.object.plain_bytes = UINT32_MAX;
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
	cr_expect_eq(meta_tree(s.f->meta, &s.record->where, &place, &t, NULL, NULL), -EBADMSG);
}

/* ---- the local store ---- */

struct local {
	struct tmpdir dir;
	struct kv *kv;
};

static struct local local_new(void)
{
	struct local l = { .dir = tmpdir_new() };

	cr_assert_eq(kv_open(l.dir.path, 16 * MIB, &l.kv, NULL), 0);
	return l;
}

static void local_deinit(struct local *l)
{
	kv_close(l->kv);
	tmpdir_deinit(&l->dir);
}
#define _cleanup_local_ _cleanup_(local_deinit)

Test(meta, what_the_local_store_holds_is_not_fetched_again)
{
	_cleanup_local_ struct local l = local_new();
	_cleanup_sample_ struct sample s = sample_new();
	struct trail t = { .text = "" };

	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv);
	cr_assert_eq(walk(&s, &t, false, NULL), 0);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv);
	s.f->wire->gets = 0;
	t.text[0] = '\0';
	cr_assert_eq(walk(&s, &t, false, NULL), 0);
	cr_expect_str_eq(t.text, everything);
	cr_expect_eq(s.f->wire->gets, 0);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
}

Test(meta, what_the_local_store_says_is_never_believed)
{
	_cleanup_local_ struct local l = local_new();
	_cleanup_sample_ struct sample s = sample_new();
	const struct place *root = &s.record->root;
	_cleanup_(tree_freep) struct tree *t = NULL;
	_cleanup_free_ void *kept = NULL;
	struct trail trail = { .text = "" };
	size_t len;

	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv);
	cr_assert_eq(walk(&s, &trail, false, NULL), 0);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv); /* what is to be kept is written then */
	cr_assert_eq(kv_get(l.kv, KV_BLOBS, &root->digest, sizeof(root->digest), &kept, &len, NULL),
		     0);
	((uint8_t *)kept)[len / 2] ^= 1;
	cr_assert_eq(kv_put(l.kv, KV_BLOBS, &root->digest, sizeof(root->digest), kept, len, NULL),
		     0);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv);
	s.f->wire->gets = 0;
	cr_assert_eq(meta_tree(s.f->meta, &s.record->where, root, &t, NULL, NULL), 0);
	cr_expect_eq(t->child_count, 2);
	cr_expect_eq(s.f->wire->gets, 1, "asked the store instead");
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
}

/* ---- records ---- */

static int only_key(void *ctx, const struct record_key *key, struct err *e)
{
	*(struct record_key *)ctx = *key;
	return 0;
}

static struct record_key key_of(struct sample *s)
{
	struct record_key key = { .backup = "" };

	cr_assert_eq(repo_list_records(s->f->repo, &s->record->where, NULL, only_key, &key, NULL,
				       NULL),
		     0);
	return key;
}

static void expect_record(struct sample *s, const struct record_key *key, unsigned gets)
{
	_cleanup_(record_freep) struct record *r = NULL;
	struct err e = ERR_INIT;

	s->f->wire->gets = 0;
	cr_assert_eq(meta_record(s->f->meta, &s->record->where, key, &r, NULL, &e), 0, "%s",
		     e.message);
	cr_expect_str_eq(r->backup, "b1");
	cr_expect_eq(r->store_time_ns, s->record->store_time_ns);
	cr_expect_eq(s->f->wire->gets, gets);
}

Test(meta, a_record_is_fetched_again_only_when_its_etag_changed)
{
	_cleanup_local_ struct local l = local_new();
	_cleanup_sample_ struct sample s = sample_new();
	struct record_key key = key_of(&s), other;
	char name[KEY_BYTES];

	for (int with_kv = 0; with_kv < 2; with_kv++) {
		fixture_restart(s.f, OBJECT_VERIFY_XXH3, with_kv ? l.kv : NULL);
		expect_record(&s, &key, 1);
		expect_record(&s, &key, 0);
		other = key;
		strcpy(other.etag, "another");
		expect_record(&s, &other, 1);
		expect_record(&s, &key, 0);
	}
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, l.kv);
	expect_record(&s, &key, 0);
	keys_record(name, &s.record->where, "b1", &s.record->writer);
	cr_assert_eq(kv_put(l.kv, KV_RECORDS, name, strlen(name), "nonsense", 8, NULL), 0);
	expect_record(&s, &key, 1);
	fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
}

Test(meta, a_damaged_record_is_refused_and_named_and_a_missing_one_is_an_outcome)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct record_key key = key_of(&s);
	struct record *r = NULL;
	struct err e = ERR_INIT;
	char name[KEY_BYTES];

	keys_record(name, &s.record->where, "b1", &s.record->writer);
	fixture_flip(s.f, name, 40);
	cr_expect_eq(meta_record(s.f->meta, &s.record->where, &key, &r, NULL, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect_str_eq(e.key, name);
	fixture_delete(s.f, name);
	cr_expect_eq(meta_record(s.f->meta, &s.record->where, &key, &r, NULL, NULL),
		     STORE_NOT_FOUND);
}

/* ---- memory ---- */

Test(meta, memory_is_bounded)
{
	_cleanup_sample_ struct sample s = sample_new();
	struct meta *small = meta_new(&(struct meta_options){
		.repo = s.f->repo, .source = s.f->source, .memory_bytes = 1 });

	cr_assert(small);
	for (int i = 0; i < 3; i++) {
		_cleanup_(tree_freep) struct tree *t = NULL;

		cr_assert_eq(meta_tree(small, &s.record->where, &s.record->root, &t, NULL, NULL),
			     0);
	}
	cr_expect_eq(s.f->wire->gets, 3, "nothing could be kept");
	meta_free(small);
}
