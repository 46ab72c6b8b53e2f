/* SPDX-License-Identifier: Apache-2.0 */
/* tests/data/golden was written once and is never made again: format 1 stays readable. golden.json says what was put in. */
#include <criterion/criterion.h>
#include <string.h>
#include "base/json.h"
#include "catalog/meta.h"
#include "store/dir.h"

struct golden {
	struct store *store;
	struct repo *repo;
	struct source *source;
	struct meta *meta;
	json_t *expected; /* files of the backup that is walked: path -> what it was; removed as they are seen */
	size_t backups;
};

static const struct node_name node = { "golden", "n1" };

static const char *golden_path(const char *name)
{
	const char *root = getenv("SSTABLEFS_SOURCE_DIR");
	static char path[4096];

	cr_assert(root, "SSTABLEFS_SOURCE_DIR names the source tree (ctest sets it)");
	snprintf(path, sizeof(path), "%s/tests/data/%s", root, name);
	return path;
}

static void golden_open(struct golden *g)
{
	struct dir_store_options options = { .path = golden_path("golden"),
					     .clock = clock_system() };
	struct err e = ERR_INIT;

	*g = (struct golden){ 0 };
	cr_assert_eq(dir_store_new(&options, &g->store, &e), 0, "%s", e.message);
	cr_assert_eq(repo_open(g->store, REPO_READ, clock_system(), NULL, &g->repo, &e), 0, "%s",
		     e.message);
	g->source = source_new(g->store, OBJECT_VERIFY_SHA256, NULL);
	cr_assert(g->source);
	g->meta = meta_new(&(struct meta_options){ .repo = g->repo, .source = g->source });
	cr_assert(g->meta);
}

static void golden_close(struct golden *g)
{
	json_decref(g->expected);
	meta_free(g->meta);
	source_free(g->source);
	repo_free(g->repo);
	store_free(g->store);
}

/* The content of a file, a new buffer. */
static uint8_t *content_of(struct golden *g, const struct entry *f)
{
	uint8_t *data = malloc(f->size_bytes + 1), *object;
	uint64_t done = 0;
	struct err e = ERR_INIT;

	cr_assert(data);
	if (f->inline_data)
		memcpy(data, f->inline_data, f->size_bytes);
	for (uint32_t i = 0; i < f->extent_count; i++) {
		const struct extent *x = &f->extents[i];

		object = malloc(SOURCE_HEADROOM + x->object.plain_bytes);
		cr_assert(object);
		cr_assert_eq(source_fetch(g->source, &node, KEY_OBJECT_DATA, &x->object,
					  object + SOURCE_HEADROOM, NULL, NULL, NULL, &e),
			     0, "%s: %s", f->name, e.message);
		memcpy(data + done, object + SOURCE_HEADROOM + x->offset, x->len_bytes);
		done += x->len_bytes;
		free(object);
	}
	return data;
}

static json_int_t number(const json_t *o, const char *key)
{
	const json_t *value = json_object_get(o, key);

	return json_is_null(value) ? FORMAT_NO_DATA_DIR : json_integer_value(value);
}

static int check_entry(void *ctx, const char *path, const struct entry *f, struct err *e)
{
	struct golden *g = ctx;
	_cleanup_free_ char *full = util_printf("%s%s%s", path, *path ? "/" : "", f->name);
	_cleanup_free_ uint8_t *data = content_of(g, f);
	const json_t *o = json_object_get(g->expected, full);
	struct id256 sha256 = digest_sha256(data, f->size_bytes);
	char hex[SHA256_HEX];

	cr_assert(o, "%s was not put in, or is there twice", full);
	util_hex(hex, sha256.b, sizeof(sha256.b));
	cr_expect_str_eq(hex, json_string_value(json_object_get(o, "sha256")), "%s", full);
	cr_expect_eq((json_int_t)f->size_bytes, number(o, "size"), "%s", full);
	cr_expect_eq(f->attr.mode, number(o, "mode"), "%s", full);
	cr_expect_eq(f->attr.uid, number(o, "uid"), "%s", full);
	cr_expect_eq(f->attr.gid, number(o, "gid"), "%s", full);
	cr_expect_eq(f->attr.mtime_ns, number(o, "mtime_ns"), "%s", full);
	cr_expect_eq(f->data_dir, number(o, "data_dir"), "%s", full);
	json_object_del(g->expected, full);
	return 0;
}

static int check_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct golden *g = ctx;
	struct meta_walk walk = { .entry = check_entry, .ctx = g };
	_cleanup_(record_freep) struct record *record = NULL;
	json_t *all = json_load_file(golden_path("golden.json"), 0, NULL);

	cr_assert(all);
	json_decref(g->expected);
	g->expected = json_incref(json_object_get(all, key->backup));
	json_decref(all);
	cr_assert(json_object_size(g->expected) > 10, "%s", key->backup);
	cr_assert_eq(repo_get_record(g->repo, &node, key->backup, &key->writer, &record, NULL, NULL,
				     e),
		     0, "%s", e->message);
	cr_assert_eq(record->state, RECORD_COMMITTED);
	cr_expect_eq(record->file_count, json_object_size(g->expected));
	cr_assert_eq(meta_walk(g->meta, &node, &record->root, &walk, NULL, e), 0, "%s", e->message);
	cr_expect_eq(json_object_size(g->expected), 0, "%s lacks files", key->backup);
	g->backups++;
	return 0;
}

Test(golden, the_first_repository_of_format_1_is_read_whole)
{
	struct golden g;
	struct err e = ERR_INIT;

	golden_open(&g);
	cr_expect_eq(repo_list_records(g.repo, &node, NULL, check_record, &g, NULL, &e), 0, "%s",
		     e.message);
	cr_expect_eq(g.backups, 2);
	golden_close(&g);
}
