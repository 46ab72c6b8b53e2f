/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect.h"

#include <errno.h>
#include <string.h>

#include "catalog/collect_delete.h"
#include "catalog/collect_list.h"
#include "catalog/collect_mark.h"
#include "catalog/collect_scan.h"
#include "catalog/probe.h"

#define NS_PER_MS 1000000
#define MEMORY_BYTES (192 * MIB)
#define LIST_KEYS 100000 /* some 100 bytes each */
#define SLICE_BITS \
	16 /* more slices than this are never needed: 65,536 times the keys that the memory allows */

/* ---- before anything ---- */

static int check_store(struct collect *c, struct err *e)
{
	const struct probe_memory memory = { c->o->repo, c->o->where, c->o->kv, c->o->server };
	struct probe_result p;
	int r = probe_once(&memory, true, &p, c->o->cancel, e);

	if (r < 0)
		return err_wrap(e, r, "cannot find out whether the store is fit for deletion");
	if (!probe_passed(&p))
		return err_set(
			e, ERR_STORE, -ENOTSUP,
			"the store does not honour conditional writes, without which nothing is deleted safely: %s succeeds (sstablefs doctor tells more); backups, mounts and restores go on",
			!p.if_absent	    ? "If-None-Match on an existing key"
			: !p.if_match_stale ? "a stale If-Match"
					    : "If-Match on a missing key");
	if (!p.may_delete)
		return err_set(
			e, ERR_CREDENTIALS, -EACCES,
			"the credentials may not delete objects, which gc needs (DeleteObject); backups go on without it");
	return 0;
}

/* The store's time, taken once and before everything else: whatever is judged by it is a little older than it seems. */
static int ask_time(struct collect *c, struct err *e)
{
	struct store_meta meta;
	int r = store_head(repo_store(c->o->repo), KEY_REPOSITORY, &meta, c->o->cancel, e);

	if (r > 0)
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "the repository is gone");
	if (r == 0)
		c->now_ns = meta.date_ns;
	return r;
}

/* ---- C1 and C2 ---- */

/* What C1 learns beside the keys. */
struct survey {
	struct collect_view view;
	struct collect_keys writers; /* those of which there are keys; no keys in it */
	const struct condemned *listed;
};

static void survey_deinit(struct survey *s)
{
	collect_view_deinit(&s->view);
	collect_keys_deinit(&s->writers);
}

/* Records to the end, then pins; what is dead ends here. */
static int look(struct collect *c, struct collect_view *v, bool fence, struct err *e)
{
	int r = collect_view_records(c, v, e);

	if (r == 0 && fence)
		r = collect_view_fence_records(c, v, e);
	if (r == 0)
		r = collect_view_pins(c, v, e);
	return r == 0 && fence ? collect_view_fence_pins(c, v, e) : r;
}

static void leave_out_open(const struct collect_view *v, struct collect_keys *k)
{
	for (size_t i = 0; i < v->record_count; i++)
		if (v->records[i].there && v->records[i].state == RECORD_OPEN)
			collect_keys_leave_out(k, &v->records[i].key.writer);
}

static int remember_writers(struct survey *s, const struct collect_keys *k, struct err *e)
{
	for (size_t i = 0; i < k->writer_count; i++)
		if (collect_keys_writer(&s->writers, &k->writers[i]) < 0)
			return err_nomem(e);
	return 0;
}

/* A node with objects and without a single record has lost them, or is a copy of a part: records are the last that goes. */
static int check_records(struct collect *c, const struct collect_view *v,
			 const struct collect_keys *k, struct err *e)
{
	struct err why = ERR_INIT;
	char prefix[KEY_BYTES];

	if (k->writer_count == 0 || v->record_count > 0)
		return 0;
	err_set(&why, ERR_CORRUPT, -ENOENT,
		"the node has objects and not a single record: were its records lost, or not copied? Where its backups are really gone, remove the node's objects by hand");
	return collect_note_unreadable(c, keys_records_prefix(prefix, c->o->where, NULL), true,
				       &why, e);
}

/* All keys are listed before the records: a writer's record was there before its keys. */
static int find_candidates(struct collect *c, struct survey *s, struct collect_keys *k,
			   struct err *e)
{
	int r = c->o->full ? collect_scan_all(c, k, e) : 0;

	collect_view_deinit(&s->view);
	if (r == 0)
		r = look(c, &s->view, !c->o->dry_run, e);
	if (r == 0)
		r = check_records(c, &s->view, k, e);
	if (r == 0 && !c->o->full)
		r = collect_scan_dead(c, &s->view, k, e);
	if (r == 0)
		r = remember_writers(s, k, e);
	if (r == 0) {
		leave_out_open(&s->view, k);
		collect_keys_sort(k);
	}
	return r;
}

static int condemn_slice(struct collect *c, struct survey *s, unsigned bits, uint32_t value,
			 struct err *e)
{
	struct collect_keys k = { .bits = bits,
				  .value = value,
				  .max = c->memory_bytes / 2 / sizeof(struct collect_key) };
	int r = find_candidates(c, s, &k, e);

	if (r == 0 && k.count > 0 && c->blocking == 0)
		r = collect_mark(c, &s->view, &k, e);
	if (r == 0 && c->blocking == 0)
		r = collect_list_condemn(c, &k, s->listed, e);
	collect_keys_deinit(&k);
	return r;
}

/* As much of the ids as the memory allows at a time. */
static int condemn(struct collect *c, struct survey *s, unsigned bits, uint32_t value,
		   struct err *e)
{
	int r = condemn_slice(c, s, bits, value, e);

	if (r != COLLECT_KEYS_FULL)
		return r;
	if (bits == SLICE_BITS)
		return err_set(e, ERR_IO, -ENOMEM, "there are too many keys for the memory");
	for (uint32_t half = 0; half < 2; half++) {
		r = condemn(c, s, bits + 1, value << 1 | half, e);
		if (r < 0 || c->blocking > 0)
			return r;
	}
	return 0;
}

/* ---- C4 ---- */

struct group { /* lists that are worked through together */
	struct ulid ids[COLLECT_KEYS_LISTS];
	size_t keys_of[COLLECT_KEYS_LISTS];
	unsigned count;
	struct collect_keys keys;
};

/* Takes due lists from *at on, as many as the memory allows; one at least, in several slices if need be. */
static int fill_group(struct collect *c, const struct collect_lists *l, size_t *at, struct group *g,
		      struct err *e)
{
	for (; *at < l->count && g->count < COLLECT_KEYS_LISTS; ++*at) {
		const struct collect_list *list = &l->lists[*at];
		int r;

		if (!list->due)
			continue;
		g->keys_of[g->count] = SIZE_MAX;
		r = collect_list_read(c, &list->id, &g->keys, g->count, &g->keys_of[g->count], e);
		if (r == STORE_NOT_FOUND)
			continue; /* finished by another collector */
		if (r < 0 && collect_is_unreadable(r, e))
			r = collect_note_unreadable(c, e->key, false, e, e);
		if (r < 0)
			return r;
		if (r == 0 && g->keys_of[g->count] == SIZE_MAX)
			continue;
		if (r == COLLECT_KEYS_FULL && g->count > 0)
			return 0;
		if (r == COLLECT_KEYS_FULL)
			return err_set(e, ERR_IO, -ENOMEM,
				       "a list of condemned keys needs more memory: give gc more "
				       "(--memory)");
		g->ids[g->count++] = list->id;
	}
	return 0;
}

/* After the last of the reads: which lists nobody finished meanwhile. */
static int check_lists(struct collect *c, const struct group *g, uint32_t *ret_there, struct err *e)
{
	*ret_there = 0;
	for (unsigned i = 0; i < g->count; i++) {
		int r = collect_list_check(c, &g->ids[i], e);

		if (r < 0)
			return r;
		if (r == 0)
			*ret_there |= UINT32_C(1) << i;
	}
	return 0;
}

static int finish_lists(struct collect *c, const struct group *g, uint32_t lists, struct err *e)
{
	for (unsigned i = 0; i < g->count; i++) {
		int r;

		if (!(lists & UINT32_C(1) << i))
			continue;
		r = collect_list_remove(c, &g->ids[i], e);
		if (r < 0)
			return r;
		c->result->awaiting_objects -=
			MIN_OF(c->result->awaiting_objects, (uint64_t)g->keys_of[i]);
	}
	return 0;
}

static int collect_group(struct collect *c, struct group *g, struct err *e)
{
	struct collect_view v = { .records = NULL };
	uint32_t there = 0, failed = 0;
	int r;

	collect_keys_sort(&g->keys);
	r = collect_scan_present(c, &g->keys, e);
	if (r == 0)
		r = look(c, &v, false, e);
	if (r == 0 && c->blocking == 0)
		r = collect_mark(c, &v, &g->keys, e);
	if (r == 0 && c->blocking == 0)
		r = check_lists(c, g, &there, e);
	if (r == 0 && there)
		r = collect_delete_objects(c, &g->keys, there, &failed, e);
	if (r == 0)
		r = finish_lists(c, g, there & ~failed, e);
	collect_view_deinit(&v);
	return r;
}

static int collect_due(struct collect *c, const struct collect_lists *l, struct err *e)
{
	size_t at = 0;
	int r = 0;

	while (at < l->count && r == 0 && c->blocking == 0) {
		struct group g = { .keys.max = c->memory_bytes / 2 / sizeof(struct collect_key) };

		r = fill_group(c, l, &at, &g, e);
		if (r == 0 && g.count > 0)
			r = collect_group(c, &g, e);
		collect_keys_deinit(&g.keys);
	}
	return r;
}

/* ---- what is left behind ---- */

/* DELETED and ABORTED records go after their objects; pins that ended go at once. */
static int remove_dead(struct collect *c, const struct survey *s, struct err *e)
{
	_cleanup_(collect_delete_deinit) struct collect_delete records = { .c = c },
							       pins = { .c = c };
	char key[KEY_BYTES];
	int r = 0;

	for (size_t i = 0; i < s->view.record_count && r == 0; i++) {
		const struct collect_record *x = &s->view.records[i];

		if (!x->there || (x->state != RECORD_DELETED && x->state != RECORD_ABORTED))
			continue;
		c->result->kept_records++;
		if (!c->o->dry_run && !collect_keys_has_writer(&s->writers, &x->key.writer) &&
		    collect_is_old(c, x->key.modified_ns, c->keep_record_ns))
			r = collect_delete_add(
				&records,
				keys_record(key, c->o->where, x->key.backup, &x->key.writer), e);
	}
	for (size_t i = 0; i < s->view.pin_count && r == 0 && !c->o->dry_run; i++)
		if (s->view.pins[i].there && s->view.pins[i].pin.state == PIN_ENDED)
			r = collect_delete_add(
				&pins, keys_pin(key, c->o->where, &s->view.pins[i].item.id), e);
	if (r == 0)
		r = collect_delete_run(&records, e);
	for (size_t i = 0; i < records.count && r == 0; i++) {
		c->result->removed_records += !records.failed[i];
		c->result->kept_records -= !records.failed[i];
	}
	return r == 0 ? collect_delete_run(&pins, e) : r;
}

/* ---- all of it ---- */

/* C3 and C4 for every list that there is, this run's included. */
static int finish(struct collect *c, struct err *e)
{
	struct collect_lists l = { .lists = NULL };
	struct collect_view v = { .records = NULL };
	int r = collect_list_load(c, &l, e);

	if (r == 0 && l.count > 0)
		r = collect_view_records(c, &v, e);
	if (r == 0 && c->blocking == 0)
		r = collect_list_settle(c, &l, &v, e);
	collect_view_deinit(&v);
	if (r == 0)
		r = collect_due(c, &l, e);
	collect_lists_deinit(&l);
	return r;
}

static int begin(struct collect *c, struct survey *s, struct condemned *listed, struct err *e)
{
	struct collect_lists l = { .lists = NULL };
	int r = collect_list_load(c, &l, e);

	if (r == 0)
		r = collect_list_keys(c, &l, listed, e);
	c->result->awaiting_objects = condemned_count(listed);
	collect_lists_deinit(&l);
	s->listed = listed;
	return r == 0 ? condemn(c, s, 0, 0, e) : r;
}

static int run(struct collect *c, struct survey *s, struct err *e)
{
	_cleanup_(condemned_freep) struct condemned *listed = condemned_new();
	int r = listed ? 0 : err_nomem(e);

	if (r == 0 && !c->o->dry_run)
		r = check_store(c, e);
	if (r == 0)
		r = ask_time(c, e);
	if (r == 0)
		r = begin(c, s, listed, e);
	if (r == 0 && !c->o->dry_run)
		c->result->awaiting_objects += c->result->condemned_objects;
	if (r == 0 && !c->o->dry_run && c->blocking == 0)
		r = finish(c, e);
	if (r == 0 && c->blocking == 0)
		r = remove_dead(c, s, e);
	if (r == 0)
		r = collect_scan_top(c, e);
	if (r == 0 && !c->o->dry_run)
		r = collect_scan_probes(c, e);
	return r;
}

/* Centuries of milliseconds are more nanoseconds than a number holds: such an age is as good as for ever. */
static int64_t age_ns(int64_t ms, int64_t otherwise_ms)
{
	return MIN_OF(ms ? ms : otherwise_ms, INT64_MAX / NS_PER_MS) * NS_PER_MS;
}

int collect_run(const struct collect_options *o, struct collect_result **ret, struct err *e)
{
	_cleanup_(collect_result_freep) struct collect_result *result = calloc(1, sizeof(*result));
	_cleanup_(survey_deinit) struct survey survey = { .listed = NULL };
	struct collect c = {
		.o = o,
		.result = result,
		.fence_ns = age_ns(o->fence_ms, COLLECT_FENCE_MS),
		.keep_record_ns = age_ns(o->keep_record_ms, COLLECT_KEEP_RECORD_MS),
		.memory_bytes = o->memory_bytes ? o->memory_bytes : MEMORY_BYTES,
		.list_keys = o->list_keys ? o->list_keys : LIST_KEYS,
	};
	struct err mine = ERR_INIT;
	int r = result ? run(&c, &survey, &mine) : err_nomem(&mine);

	if (r == 0)
		*ret = steal_pointer(&result);
	else if (e)
		*e = mine;
	return r;
}
