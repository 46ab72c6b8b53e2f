/* SPDX-License-Identifier: Apache-2.0 */
/* A rig with collectors: deletes of backups, runs, and a look at what must be left. */
#ifndef SSTABLEFS_TESTS_COLLECT_HELP_H
#define SSTABLEFS_TESTS_COLLECT_HELP_H

#include <criterion/criterion.h>
#include "catalog/collect.h"
#include "catalog/register.h"
#include "catalog/seen.h"
#include "tests/unit/catalog/rig.h"

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define DAY_NS (24 * HOUR_NS)

static const struct node_name collect_where = { "c1", "n1" };

static inline struct collect_options collect_help_options(struct rig *rig, struct rig_view *v)
{
	return (struct collect_options){
		.repo = rig->repo, .meta = v->meta, .where = &collect_where, .connections = 2
	};
}

/* One run with these options; repo, meta and where are filled in. *ret is to be freed. */
static inline int collect_help_try(struct rig *rig, const struct collect_options *given,
				   struct collect_result **ret, struct err *e)
{
	struct rig_view v = rig_open_view(rig);
	struct collect_options o = *given;
	int r;

	o.repo = rig->repo;
	o.meta = v.meta;
	o.where = &collect_where;
	o.connections = MAX_OF(o.connections, 1u); /* one: requests in one order */
	*e = ERR_INIT;
	*ret = NULL;
	r = collect_run(&o, ret, e);
	rig_close_view(&v);
	return r;
}

static inline struct collect_result *collect_help_run(struct rig *rig,
						      const struct collect_options *given)
{
	struct collect_result *result;
	struct err e;

	cr_assert_eq(collect_help_try(rig, given, &result, &e), 0, "%s", e.message);
	return result;
}

/* A run of C1 to C4 whose result is not looked at. */
static inline void collect_help_gc(struct rig *rig)
{
	collect_result_free(collect_help_run(rig, &(struct collect_options){ .full = false }));
}

/* What `delete` does: COMMITTED -> DELETED. */
static inline void collect_help_set_state(struct rig *rig, const char *backup,
					  enum record_state state)
{
	_cleanup_(record_freep) struct record *found = rig_read_record(rig, backup);
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e = ERR_INIT;
	struct reg g;
	char etag[STORE_ETAG_MAX];

	cr_assert_eq(repo_get_record(rig->repo, &collect_where, backup, &found->writer, &record,
				     etag, NULL, &e),
		     0, "%s", e.message);
	reg_init_record(&g, rig->repo, record);
	memcpy(g.etag, etag, sizeof(etag));
	record->state = state;
	cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
}

static inline void collect_help_delete(struct rig *rig, const char *backup)
{
	collect_help_set_state(rig, backup, RECORD_DELETED);
}

/* An OPEN record as a backup that has just begun leaves it. To be freed. */
static inline struct record *collect_help_open(struct rig *rig, const char *backup)
{
	struct record *record = rig_record(rig, backup);
	struct err e = ERR_INIT;
	struct reg g;

	record->writer = ulid_new(&rig->clock);
	record->started_ns = record->renewed_ns = rig->wall_ns;
	reg_init_record(&g, rig->repo, record);
	cr_assert_eq(reg_create(&g, NULL, &e), 0, "%s", e.message);
	return record;
}

/* Writes an OPEN record of ours anew: W5 with somebody's root, or a renewal (root NULL). */
static inline int collect_help_write(struct rig *rig, const struct record *open,
				     const struct place *root)
{
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e = ERR_INIT;
	struct reg g;
	char etag[STORE_ETAG_MAX];

	cr_assert_eq(repo_get_record(rig->repo, &collect_where, open->backup, &open->writer,
				     &record, etag, NULL, &e),
		     0, "%s", e.message);
	if (record->state != RECORD_OPEN)
		return REG_LOST;
	reg_init_record(&g, rig->repo, record);
	memcpy(g.etag, etag, sizeof(etag));
	if (root) {
		record->state = RECORD_COMMITTED;
		record->root = *root;
		record->has_root = true;
		record->file_count = 1;
	}
	return reg_write(&g, NULL, &e);
}

/* ---- keys and documents ---- */

/* b1, deleted, and b2, which shares one file with it. */
static inline void collect_help_begin(struct rig *rig)
{
	rig_init(rig, OBJECT_COMPRESS_NONE);
	rig_put_random(rig, "nb-1-big-Data.db", 1, MIB + 1000);
	rig_put_random(rig, "nb-2-big-Data.db", 2, 30000);
	record_free(rig_commit(rig, "b1"));
	rig_remove(rig, "nb-2-big-Data.db");
	record_free(rig_commit(rig, "b2"));
	collect_help_delete(rig, "b1");
}

static inline char *collect_help_key(char out[KEY_BYTES], const char *below)
{
	snprintf(out, KEY_BYTES, "nodes/c1/n1/%s", below);
	return out;
}

static inline void collect_help_put(struct rig *rig, const char *below, const char *text,
				    size_t len)
{
	char key[KEY_BYTES];
	struct err e = ERR_INIT;

	cr_assert_eq(store_put_bytes(rig->store, collect_help_key(key, below), text, len,
				     STORE_ALWAYS, NULL, NULL, NULL, &e),
		     0, "%s", e.message);
}

static inline bool collect_help_has(struct rig *rig, const char *below)
{
	char key[KEY_BYTES];

	return store_head(rig->store, collect_help_key(key, below), NULL, NULL, NULL) == 0;
}

static inline void collect_help_remove(struct rig *rig, const char *key)
{
	struct store_delete_error error;
	size_t errors;

	cr_assert_eq(store_delete_many(rig->store, &key, 1, &error, &errors, NULL, NULL), 0);
}

/* ---- something that happens between two requests of a run ---- */

struct collect_event {
	const char *method, *part; /* just before such a request on a key that holds `part`… */
	int nth;		   /* …the nth of them, from 1 */
	void (*fire)(struct rig *rig);
	int met;
	bool fired;
};

static struct collect_event collect_event;

static inline enum fault collect_help_watch(struct rig *rig, const char *method, const char *key)
{
	struct collect_event *v = &collect_event;

	if (v->fired || strcmp(method, v->method) != 0 || !strstr(key, v->part) ||
	    ++v->met < v->nth)
		return FAULT_NONE;
	v->fired = true;
	v->fire(rig);
	return FAULT_NONE;
}

static inline void collect_help_at(struct rig *rig, const char *method, const char *part, int nth,
				   void (*fire)(struct rig *rig))
{
	collect_event = (struct collect_event){ method, part, nth, fire, 0, false };
	rig->fault = collect_help_watch;
}

/* ---- what must be there ---- */

struct collect_reach {
	struct seen objects[2]; /* by kind */
	struct rig *rig;
	size_t missing, spare;
	enum key_object kind;
};

static inline int collect_reach_enter(void *ctx, const char *path, const struct child *self,
				      struct err *e)
{
	seen_add_object(&((struct collect_reach *)ctx)->objects[KEY_OBJECT_META],
			&self->place.extent.object);
	return 0;
}

static inline int collect_reach_run(void *ctx, const char *path, const struct run_ref *ref,
				    struct err *e)
{
	seen_add_object(&((struct collect_reach *)ctx)->objects[KEY_OBJECT_META],
			&ref->place.extent.object);
	return 0;
}

static inline int collect_reach_entry(void *ctx, const char *path, const struct entry *entry,
				      struct err *e)
{
	struct collect_reach *r = ctx;

	for (uint32_t i = 0; i < entry->extent_count; i++)
		seen_add_object(&r->objects[KEY_OBJECT_DATA], &entry->extents[i].object);
	return 0;
}

static inline void collect_reach_place(struct collect_reach *r, const struct place *root)
{
	struct rig_view v = rig_open_view(r->rig);
	const struct meta_walk walk = { .enter = collect_reach_enter,
					.run = collect_reach_run,
					.entry = collect_reach_entry,
					.ctx = r };
	struct err e = ERR_INIT;

	seen_add_object(&r->objects[KEY_OBJECT_META], &root->extent.object);
	cr_assert_eq(meta_walk(v.meta, &collect_where, root, &walk, NULL, &e), 0, "%s", e.message);
	rig_close_view(&v);
}

static inline int collect_reach_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct collect_reach *r = ctx;
	_cleanup_(record_freep) struct record *record = NULL;

	cr_assert_eq(repo_get_record(r->rig->repo, &collect_where, key->backup, &key->writer,
				     &record, NULL, NULL, e),
		     0, "%s", e->message);
	if (record->state == RECORD_COMMITTED)
		collect_reach_place(r, &record->root);
	return 0;
}

static inline int collect_reach_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct collect_reach *r = ctx;
	const char *rest = strrchr(entry->key, '/') - (ULID_TEXT - 1);
	struct object_ref ref;
	char text[ULID_TEXT];

	snprintf(text, sizeof(text), "%s", rest);
	cr_assert_eq(ulid_parse(&ref.writer, text), 0, "%s", entry->key);
	cr_assert_eq(util_unhex(ref.id.b, sizeof(ref.id.b), rest + ULID_TEXT), 0, "%s", entry->key);
	r->missing -= seen_has_object(&r->objects[r->kind], &ref);
	r->spare += !seen_has_object(&r->objects[r->kind], &ref);
	return 0;
}

/* What the COMMITTED backups of the node (and a pinned root) reach, against what lies there. */
static inline void collect_help_compare(struct rig *rig, const struct place *pinned,
					size_t *ret_missing, size_t *ret_spare)
{
	static const char *const folders[] = { "nodes/c1/n1/objects/", "nodes/c1/n1/trees/" };
	struct collect_reach r = { .rig = rig };
	struct err e = ERR_INIT;

	cr_assert_eq(repo_list_records(rig->repo, &collect_where, NULL, collect_reach_record, &r,
				       NULL, &e),
		     0, "%s", e.message);
	if (pinned)
		collect_reach_place(&r, pinned);
	r.missing = r.objects[0].count + r.objects[1].count;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		struct store_list list = { .prefix = folders[i],
					   .entry = collect_reach_key,
					   .ctx = &r };

		r.kind = (enum key_object)i;
		cr_assert_eq(store_list(rig->store, &list, NULL, &e), 0, "%s", e.message);
		seen_deinit(&r.objects[i]);
	}
	*ret_missing = r.missing;
	*ret_spare = r.spare;
}

/* Exactly what is reachable is there. */
static inline void collect_help_expect_exact(struct rig *rig)
{
	size_t missing, spare;

	collect_help_compare(rig, NULL, &missing, &spare);
	cr_expect_eq(missing, 0, "%zu objects are missing", missing);
	cr_expect_eq(spare, 0, "%zu objects are left over", spare);
}

static inline void collect_help_expect_whole(struct rig *rig)
{
	size_t missing, spare;

	collect_help_compare(rig, NULL, &missing, &spare);
	cr_expect_eq(missing, 0, "%zu objects are missing", missing);
}

#endif
