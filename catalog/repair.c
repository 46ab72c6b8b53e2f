/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/repair.h"

#include <errno.h>
#include <string.h>
#include "catalog/condemned.h"
#include "catalog/fetchbuf.h"
#include "catalog/find.h"
#include "catalog/hold.h"
#include "catalog/repair_build.h"

#define ROUND_OBJECTS \
	256 /* repaired in one walk of the trees and of the local files: bounds memory */

struct repair {
	const struct repair_options *o;
	struct repair_build *build;
	struct fetchbuf *buffer; /* for what lies under a key, and to read back */
	/* of a round */
	const struct node_name *where;
	struct verify_finding *findings;
	size_t count;
	struct seen objects; /* of the findings */
	struct seen places;
	struct plan plan; /* files that need them; tag: index of a record that reaches them */
	struct found *records;
	uint32_t record;
	struct repair_local *local;
	/* of the record that is pinned */
	struct hold *hold;
	uint32_t held;
	struct condemned *condemned;
};

static int cannot(struct verify_finding *f, const char *why)
{
	free(f->unrepaired);
	f->unrepaired = strdup(why);
	return f->unrepaired ? 0 : -ENOMEM;
}

/* ---- who needs them ---- */

static int enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	struct repair *r = ctx;
	int q = seen_add_place(&r->places, &self->place);

	return q < 0 ? err_nomem(e) : q == 0;
}

static int meet_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	struct repair *r = ctx;
	int q = seen_add_place(&r->places, &ref->place);

	return q < 0 ? err_nomem(e) : q == 0;
}

static int take_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct repair *r = ctx;
	bool wanted = false;
	int q;

	for (uint32_t i = 0; i < entry->extent_count && !wanted; i++)
		wanted = seen_has_object(&r->objects, &entry->extents[i].object);
	if (!wanted)
		return 0;
	q = plan_add(&r->plan, r->where, "", entry, e);
	if (q == 0)
		r->plan.files[r->plan.file_count - 1].tag = r->record;
	return q == -EBADMSG ? 0 : q;
}

static int pass_over(void *ctx, const char *path, const struct run_ref *ref, int r, struct err *e)
{
	return 0;
}

/* All backups of the node, whatever was verified: each may know parts of a pack that the others do not. */
static int find_users(struct repair *r, struct err *e)
{
	const struct find_options fo = { .cluster = r->where->cluster,
					 .node = r->where->node,
					 .keep_damaged = true,
					 .roots_only = true };
	const struct meta_walk walk = {
		.enter = enter, .run = meet_run, .entry = take_entry, .damaged = pass_over, .ctx = r
	};
	int q = find_records(r->o->meta, r->o->repo, &fo, &r->records, r->o->cancel, e);

	for (size_t i = 0; q == 0 && i < r->records->count; i++) {
		const struct record *record = r->records->records[i];

		if (record->state != RECORD_COMMITTED || !record->has_root)
			continue;
		r->record = (uint32_t)i;
		q = meta_walk(r->o->meta, &record->where, &record->root, &walk, r->o->cancel, e);
	}
	return q;
}

/* ---- the protocol ---- */

static void let_go(struct repair *r)
{
	if (r->hold)
		hold_end(r->hold);
	if (r->condemned)
		condemned_free(r->condemned);
	r->hold = NULL;
	r->condemned = NULL;
}

/* Pins a backup that needs the object, then reads the condemned lists. REPAIR_IMPOSSIBLE: *e says why. */
static int hold_user(struct repair *r, uint32_t record, struct err *e)
{
	const struct hold_options ho = { .repo = r->o->repo,
					 .record = r->records->records[record],
					 .purpose = "repair",
					 .log = r->o->log };
	int q;

	if (r->hold && r->held == record)
		return 0;
	let_go(r);
	q = hold_begin(&ho, &r->hold, r->o->cancel, e);
	if (q == HOLD_READ_ONLY || q == -ENOENT || (q < 0 && e->kind == ERR_CREDENTIALS))
		return REPAIR_IMPOSSIBLE;
	if (q == 0)
		q = condemned_load(r->o->repo, r->where, &r->condemned, r->o->cancel, e);
	if (q < 0)
		let_go(r);
	r->held = record;
	return q < 0 && (e->kind == ERR_CORRUPT || q == -ENOTSUP) ? REPAIR_IMPOSSIBLE : q;
}

static int is_allowed(struct repair *r, const struct plan_object *x, struct err *e)
{
	const struct plan_piece *piece = &r->plan.pieces[x->first_piece];
	int q = hold_user(r, r->plan.files[piece->file].tag, e);

	if (q != 0)
		return q;
	if (condemned_has(r->condemned, KEY_OBJECT_DATA, &x->ref)) {
		err_set(e, ERR_CONFLICT, -EBUSY,
			"a list of keys that await deletion names it (gc will say more)");
		return REPAIR_IMPOSSIBLE;
	}
	return hold_check(r->hold, e) < 0 ? REPAIR_IMPOSSIBLE : 0;
}

static int read_back(struct repair *r, const struct plan_object *x, struct err *e)
{
	return source_fetch(r->o->source, r->where, KEY_OBJECT_DATA, &x->ref,
			    fetchbuf_get(r->buffer, 0), NULL, NULL, r->o->cancel, e);
}

static int publish(struct repair *r, const struct plan_object *x, const char *key, const char *etag,
		   const void *data, size_t len, struct err *e)
{
	enum store_cond cond = etag ? STORE_IF_MATCH : STORE_IF_ABSENT;
	int q = is_allowed(r, x, e);

	if (q != 0)
		return q;
	q = store_put_bytes(repo_store(r->o->repo), key, data, len, cond, etag, NULL, r->o->cancel,
			    e);
	/* Where somebody else was first, or the answer was lost, what is there decides. */
	if (q < 0 && !e->outcome_unknown)
		return e->kind == ERR_CREDENTIALS ? REPAIR_IMPOSSIBLE : q;
	q = read_back(r, x, e);
	if (q == -EBADMSG || q == -ENOENT) {
		err_wrap(e, q, "after it was written");
		return REPAIR_IMPOSSIBLE;
	}
	return q;
}

/* ---- one object ---- */

/* What lies under the key: 0 bytes where nothing does. */
static int read_left(struct repair *r, const char *key, char **ret, size_t *ret_len,
		     struct store_meta *meta, struct err *e)
{
	int q = store_get_alloc(repo_store(r->o->repo), key, STORE_OBJECT_MAX, ret, ret_len, meta,
				r->o->cancel, e);

	if (q == STORE_NOT_FOUND)
		*ret_len = 0;
	return q;
}

static int rebuild(struct repair *r, const struct plan_object *x, const char *key, struct err *e)
{
	_cleanup_free_ char *left = NULL;
	struct store_meta meta;
	const void *data = NULL;
	size_t left_bytes = 0, len = 0;
	int there = read_left(r, key, &left, &left_bytes, &meta, e), q;

	if (there < 0)
		return there;
	if (there == 0 && read_back(r, x, e) == 0)
		return 0; /* it was damaged on the way here only, or repaired meanwhile */
	q = repair_build_object(r->build, &r->plan, x, r->local, left, left_bytes, &data, &len,
				r->o->cancel, e);
	if (q != 0)
		return q;
	return publish(r, x, key, there == 0 ? meta.etag : NULL, data, len, e);
}

static int repair_object(struct repair *r, struct verify_finding *f, struct err *e)
{
	uint32_t i = plan_find(&r->plan, &f->ref.writer, &f->ref.id);
	char text[1200];
	int q;

	*e = ERR_INIT; /* what failed before is told, and says nothing of this one */
	if (i == PLAN_NONE)
		return cannot(f, "no backup needs it any more") < 0 ? err_nomem(e) : 0;
	q = rebuild(r, &r->plan.objects[i], f->key, e);
	if (q < 0)
		return q;
	f->repaired = q == 0;
	if (q == REPAIR_IMPOSSIBLE && cannot(f, err_describe(e, text, sizeof(text))) < 0)
		return err_nomem(e);
	return 0;
}

/* ---- rounds ---- */

static void round_deinit(struct repair *r)
{
	let_go(r);
	seen_deinit(&r->objects);
	seen_deinit(&r->places);
	plan_deinit(&r->plan);
	if (r->records)
		found_free(r->records);
	repair_local_free(r->local);
	r->records = NULL;
	r->local = NULL;
}

static int run_round(struct repair *r, struct err *e)
{
	int q = 0;

	plan_init(&r->plan);
	for (size_t i = 0; i < r->count && q >= 0; i++)
		q = r->findings[i].is_object ? seen_add_object(&r->objects, &r->findings[i].ref)
					     : 0;
	q = q < 0 ? err_nomem(e) : find_users(r, e);
	if (q == 0)
		q = repair_local_find(r->o->data_dirs, r->o->data_dir_count, &r->plan,
				      repair_build_buffer(r->build), r->o->cancel, &r->local, e);
	for (size_t i = 0; q == 0 && i < r->count; i++)
		if (r->findings[i].is_object)
			q = repair_object(r, &r->findings[i], e);
	round_deinit(r);
	return q;
}

/* The findings, which are in order of keys, node by node. */
static int run_rounds(struct repair *r, struct verify_result *found, struct err *e)
{
	int q = 0;

	for (size_t i = 0; q == 0 && i < found->finding_count; i += r->count) {
		r->findings = &found->findings[i];
		r->count = 1;
		if (!r->findings->is_object) {
			if (cannot(r->findings,
				   "only data objects can be repaired from local files: run a new backup") <
			    0)
				q = err_nomem(e);
			continue;
		}
		while (i + r->count < found->finding_count && r->count < ROUND_OBJECTS &&
		       r->findings[r->count].is_object &&
		       keys_node_equal(&r->findings[r->count].where, &r->findings->where))
			r->count++;
		r->where = &r->findings->where;
		q = run_round(r, e);
	}
	return q;
}

int repair_run(const struct repair_options *o, struct verify_result *found, struct err *e)
{
	struct repair r = { .o = o };
	struct err mine = ERR_INIT;
	int q;

	r.build = repair_build_new(repo_compression(o->repo));
	r.buffer = fetchbuf_new(1);
	q = r.build && r.buffer && fetchbuf_get(r.buffer, 0) ? run_rounds(&r, found, &mine)
							     : err_nomem(&mine);
	repair_build_free(r.build);
	fetchbuf_free(r.buffer);
	if (q < 0 && e)
		*e = mine;
	return MIN_OF(q, 0);
}
