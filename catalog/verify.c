/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/verify_docs.h"
#include "catalog/verify_objects.h"

#define MEMORY_BYTES (192 * MIB)
#define PLAN_SHARE 8
#define FULL_PATH_BYTES (2 * FORMAT_PATH_BYTES + 4 * FORMAT_NAME_BYTES)

struct verify {
	const struct verify_options *o;
	struct verify_find *find;
	struct verify_objects objects;
	struct plan plan;
	struct seen places;	     /* trees and runs of the node that were walked */
	struct seen metadata;	     /* the objects that they lie in */
	uint64_t metadata_objects;   /* likewise, of the nodes before */
	uint64_t metadata_bytes;     /* of all */
	struct verify_result docs;   /* what verify_docs fills */
	size_t gone;		     /* records that are COMMITTED no more */
	bool new_damage;	     /* the second walk met something that the first did not */
	const struct record *record; /* whose tree is being walked */
	char path[FULL_PATH_BYTES];
};

/* ---- the first walk: metadata, and the plan of what is to be read ---- */

/* > 0: it was walked before. Identical trees of many backups are read once. */
static int meet_place(struct verify *v, const struct place *p, struct err *e)
{
	int r = seen_add_place(&v->places, p);

	if (r == 0)
		return 1;
	if (r > 0)
		r = seen_add_object(&v->metadata, &p->extent.object);
	if (r < 0)
		return err_nomem(e);
	if (r == SEEN_NEW)
		v->metadata_bytes += p->extent.object.plain_bytes;
	return 0;
}

static int enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	return meet_place(ctx, &self->place, e);
}

static int meet_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	return meet_place(ctx, &ref->place, e);
}

static int work_off(struct verify *v, struct err *e)
{
	int r = verify_objects_run(&v->objects, &v->plan, e);

	plan_reset(&v->plan);
	return r;
}

/* An object that two entries describe in two ways. */
static int disagreement(struct verify *v, const struct entry *entry, struct err *e)
{
	const struct object_ref *ref = &entry->extents[0].object;
	char key[KEY_BYTES];

	keys_object(key, &v->record->where, KEY_OBJECT_DATA, &ref->writer, &ref->id);
	return verify_find_content(v->find, key, &entry->content, e) < 0 ? err_nomem(e) : 0;
}

static int plan_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct verify *v = ctx;
	int r;

	if (plan_memory(&v->plan) > v->o->memory_bytes / PLAN_SHARE) {
		r = work_off(v, e);
		if (r < 0)
			return r;
	}
	if (v->o->progress)
		v->o->progress->files_total++;
	r = plan_add(&v->plan, &v->record->where, "", entry, e);
	return r == -EBADMSG ? disagreement(v, entry, e) : r;
}

static int find_damage(void *ctx, const char *path, const struct run_ref *ref, int r, struct err *e)
{
	struct verify *v = ctx;

	return verify_find_key(v->find, e->key, r, e) < 0 ? err_nomem(e) : 0;
}

static int plan_record(struct verify *v, const struct record *record, struct err *e)
{
	const struct meta_walk walk = { .enter = enter,
					.run = meet_run,
					.entry = plan_entry,
					.damaged = find_damage,
					.ctx = v };
	int r = meet_place(v, &record->root, e);

	v->record = record;
	if (r == 0)
		r = meta_walk(v->o->meta, &record->where, &record->root, &walk, v->o->cancel, e);
	return MIN_OF(r, 0);
}

/* What lies under one node is reached from no other: what was met of it need not be known any more. */
static int leave_node(struct verify *v, struct err *e)
{
	int r = work_off(v, e);

	v->metadata_objects += v->metadata.count;
	seen_deinit(&v->places);
	seen_deinit(&v->metadata);
	seen_deinit(&v->objects.met);
	return r;
}

static int plan_all(struct verify *v, struct err *e)
{
	struct record *const *records = v->o->records;
	int r = 0;

	for (size_t i = 0; i < v->o->record_count && r == 0; i++) {
		if (i > 0 && !keys_node_equal(&records[i - 1]->where, &records[i]->where))
			r = leave_node(v, e);
		if (r == 0 && records[i]->has_root)
			r = plan_record(v, records[i], e);
	}
	return r == 0 ? leave_node(v, e) : r;
}

/* ---- the second walk, where something was found: whose files are concerned ---- */

static const char *full_path(struct verify *v, const char *path, const char *name)
{
	const struct record *r = v->record;

	snprintf(v->path, sizeof(v->path), "%s/nodes/%s/%s/%s%s%s", r->where.cluster, r->where.node,
		 r->backup, path, *path ? "/" : "", name);
	return v->path;
}

static int note_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct verify *v = ctx;

	if (verify_find_note_entry(v->find, full_path(v, path, entry->name), entry) < 0)
		return err_nomem(e);
	return 0;
}

static int note_damage(void *ctx, const char *path, const struct run_ref *ref, int r, struct err *e)
{
	struct verify *v = ctx;
	char key[sizeof(e->key)];

	memcpy(key, e->key, sizeof(key));
	v->new_damage |= !verify_find_has_key(v->find, key);
	if (verify_find_note_key(v->find, key, full_path(v, path, ref ? ref->first : ""),
				 ref ? ref->entry_count - 1 : 0) < 0)
		return err_nomem(e);
	return 0;
}

/* What is missing of a backup that was deleted meanwhile, and maybe collected, is no damage. > 0: it was. */
static int check_still_there(struct verify *v, struct err *e)
{
	const struct record *r = v->record;
	_cleanup_(record_freep) struct record *now = NULL;
	int q = repo_get_record(v->o->repo, &r->where, r->backup, &r->writer, &now, NULL,
				v->o->cancel, e);

	if (q < 0 && e->kind != ERR_CORRUPT)
		return q;
	return q == STORE_NOT_FOUND || (q == 0 && now->state != RECORD_COMMITTED);
}

static int note_files(struct verify *v, struct err *e)
{
	const struct meta_walk walk = { .entry = note_entry, .damaged = note_damage, .ctx = v };
	int r = 0;

	verify_find_seal(v->find);
	for (size_t i = 0; i < v->o->record_count && r == 0; i++) {
		v->record = v->o->records[i];
		r = check_still_there(v, e);
		if (r > 0) {
			v->gone++;
			r = 0;
			continue;
		}
		if (r == 0 && v->record->has_root)
			r = meta_walk(v->o->meta, &v->record->where, &v->record->root, &walk,
				      v->o->cancel, e);
	}
	if (r == 0 && v->gone > 0 && !v->new_damage)
		verify_find_drop_unused(v->find);
	return r;
}

/* ---- all of it ---- */

/* "nodes/<cluster>/<node>/records/<backup>/<writer>.json" -> "<cluster>/nodes/<node>/<backup>/": all of it is lost. */
static const char *backup_of_key(struct verify *v, const char *key)
{
	char cluster[FORMAT_NAME_BYTES + 1], node[FORMAT_NAME_BYTES + 1],
		backup[FORMAT_NAME_BYTES + 1];

	if (sscanf(key, "nodes/%128[^/]/%128[^/]/records/%128[^/]/", cluster, node, backup) != 3)
		return NULL;
	snprintf(v->path, sizeof(v->path), "%s/nodes/%s/%s/", cluster, node, backup);
	return v->path;
}

static int add_damaged_records(struct verify *v, struct err *e)
{
	for (size_t i = 0; i < v->o->damaged_record_count; i++) {
		const struct find_damage *d = &v->o->damaged_records[i];
		struct err reason = ERR_INIT;

		err_set(&reason, ERR_CORRUPT, -EBADMSG, "the record cannot be read: %s", d->reason);
		if (verify_find_document(v->find, d->key, backup_of_key(v, d->key), &reason) < 0)
			return err_nomem(e);
	}
	return 0;
}

static int run(struct verify *v, struct err *e)
{
	int r = add_damaged_records(v, e);

	if (r == 0)
		r = plan_all(v, e);
	if (r == 0)
		r = verify_docs_run(v->o, v->find, &v->docs, e);
	if (r == 0 && verify_find_count(v->find) > 0)
		r = note_files(v, e);
	if (r == 0 && verify_find_remember(v->find, v->o->state) < 0)
		r = err_nomem(e);
	return r;
}

static struct verify_result *collect(struct verify *v)
{
	_cleanup_(verify_result_freep) struct verify_result *result = calloc(1, sizeof(*result));

	if (!result)
		return NULL;
	*result = v->docs;
	result->objects_checked = v->objects.objects_checked + v->metadata_objects;
	result->bytes_checked = v->objects.bytes_checked + v->metadata_bytes;
	result->files_checked = v->objects.files_checked;
	result->objects_continued = v->objects.objects_continued;
	result->gone_count = v->gone;
	result->objects_known = v->objects.objects_known + v->metadata_objects;
	return verify_find_result(v->find, result) < 0 ? NULL : steal_pointer(&result);
}

static void verify_deinit(struct verify *v)
{
	if (!v)
		return;
	verify_find_free(v->find);
	fetchbuf_free(v->objects.buffers);
	seen_deinit(&v->objects.met);
	seen_deinit(&v->places);
	seen_deinit(&v->metadata);
	plan_deinit(&v->plan);
	free(v);
}

DEFINE_CLEANUP(struct verify *, verify_deinit);

int verify_run(const struct verify_options *options, struct verify_result **ret, struct err *e)
{
	_cleanup_(verify_deinitp) struct verify *v = calloc(1, sizeof(*v));
	struct verify_options o = *options;
	struct err mine = ERR_INIT;
	struct verify_result *result = NULL;
	int r;

	if (!v)
		return err_nomem(e);
	if (o.memory_bytes == 0)
		o.memory_bytes = MEMORY_BYTES;
	plan_init(&v->plan);
	v->o = &o;
	v->find = verify_find_new(o.memory_bytes / PLAN_SHARE);
	v->objects.o = &o;
	v->objects.find = v->find;
	v->objects.threads =
		fetchbuf_threads(o.memory_bytes - 2 * (o.memory_bytes / PLAN_SHARE), o.connections);
	v->objects.buffers = fetchbuf_new(v->objects.threads);
	r = v->find && v->objects.buffers ? run(v, &mine) : err_nomem(&mine);
	if (r == 0 && !(result = collect(v)))
		r = err_nomem(&mine);
	if (r < 0) {
		if (e)
			*e = mine;
		return r;
	}
	*ret = result;
	return 0;
}
