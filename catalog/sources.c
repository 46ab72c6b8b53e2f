/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/sources.h"

#include <errno.h>
#include <string.h>

#include "catalog/parallel.h"

/* What is kept of a record. */
struct candidate {
	struct record_key key;
	bool committed;
	bool passed_over; /* it may be a root, and cannot be read */
	struct place root;
	int64_t store_time_ns;
	char *host_id, *cluster_original; /* "" = not known */
};

struct load {
	const struct sources_options *o;
	const struct cancel *cancel;
	struct known *known;
	struct candidate *records;
	size_t count, cap;
};

/* ---- records ---- */

static int on_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct load *l = ctx;

	if (util_grow(&l->records, &l->cap, l->count + 1, sizeof(*l->records)) < 0)
		return err_nomem(e);
	l->records[l->count++] = (struct candidate){ .key = *key };
	return 0;
}

/* 0: the damage is noted, and what it concerns is no source. Any other failure is forwarded. */
static int pass_over(const struct load *l, const char *backup, int r, const struct err *e)
{
	char text[1200];

	if (e->kind != ERR_CORRUPT)
		return r;
	log_write(
		l->o->log, LOG_LEVEL_WARNING, "damaged-backup",
		"backup %s of node %s is damaged, nothing of it is reused (sstablefs verify tells more): %s",
		backup, l->o->own->where.node, err_describe(e, text, sizeof(text)));
	return 0;
}

static int read_record(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct load *l = ctx;
	struct candidate *to = &l->records[i];
	_cleanup_(record_freep) struct record *record = NULL;
	int r = meta_record(l->o->meta, &l->o->own->where, &to->key, &record, l->cancel, e);

	to->passed_over = r < 0;
	if (r > 0 || r == -ENOTSUP)
		return 0;
	if (r < 0)
		return pass_over(l, to->key.backup, r, e);
	to->committed = record->state == RECORD_COMMITTED;
	to->root = record->root;
	to->store_time_ns = record->store_time_ns;
	to->host_id = steal_pointer(&record->host_id);
	to->cluster_original = steal_pointer(&record->cluster_original);
	return 0;
}

/* Newest first. */
static int compare_age(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;

	if (a->store_time_ns != b->store_time_ns)
		return a->store_time_ns > b->store_time_ns ? -1 : 1;
	return memcmp(b->key.writer.b, a->key.writer.b, sizeof(a->key.writer.b));
}

static int read_records(struct load *l, struct err *e)
{
	int r = repo_list_records(l->o->repo, &l->o->own->where, NULL, on_record, l, l->cancel, e);

	if (r == 0 && l->count > FORMAT_LISTED - FORMAT_LISTED_SPARE)
		return err_set(e, ERR_CONFLICT, -EFBIG,
			       "node %s has %zu records of backups, and a mount reads at most %d: "
			       "remove old backups first, or choose another node name",
			       l->o->own->where.node, l->count, FORMAT_LISTED);
	if (r == 0)
		r = parallel_run("records", l->o->connections, l->count, read_record, l, e);
	if (r == 0 && l->count)
		qsort(l->records, l->count, sizeof(*l->records), compare_age);
	return r;
}

/* ---- whose backups they are ---- */

static int refuse(const struct load *l, const struct candidate *other, const char *what,
		  const char *theirs, const char *ours, struct err *e)
{
	const struct record *own = l->o->own;

	return err_set(
		e, ERR_USAGE, -EPERM,
		"the backups of node %s of cluster %s belong to another host: its %s is %s in "
		"backup %s, and %s here; choose another node name, or continue its backups "
		"with --takeover",
		own->where.node, own->where.cluster, what, theirs, other->key.backup, ours);
}

static int check_owner(const struct load *l, struct err *e)
{
	const struct record *own = l->o->own;
	bool host_seen = !own->host_id[0], cluster_seen = !own->cluster_original[0];

	for (size_t i = 0; i < l->count && !l->o->takeover; i++) {
		const struct candidate *c = &l->records[i];

		if (!c->committed)
			continue;
		if (!cluster_seen && c->cluster_original[0]) {
			bool same = strcmp(c->cluster_original, own->cluster_original) == 0;

			if (!same && !keys_is_alias(c->cluster_original, own->where.cluster))
				return refuse(l, c, "cluster", c->cluster_original,
					      own->cluster_original, e);
			cluster_seen = same;
		}
		if (!host_seen && c->host_id[0]) {
			if (strcmp(c->host_id, own->host_id) != 0)
				return refuse(l, c, "host id", c->host_id, own->host_id, e);
			host_seen = true;
		}
	}
	return 0;
}

/* ---- trees ---- */

static bool reaches_condemned(const struct load *l, const struct extent *extents, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (condemned_has(l->o->condemned, KEY_OBJECT_DATA, &extents[i].object))
			return true;
	return false;
}

/*
 * A tree or run is taken in where its own object is not condemned. What it reaches needs no look here: it is reused only where the backup's own encoding gives
 * the same bytes, so where everything that it names is reused too, at the same places, and each of these was looked at for itself.
 */
static int take_place(struct load *l, const struct place *p, struct err *e)
{
	if (l->o->decay && decay_count(l->o->decay, &p->extent) < 0)
		return err_nomem(e);
	if (known_is_full(l->known) || known_find_place(l->known, &p->digest) ||
	    condemned_has(l->o->condemned, KEY_OBJECT_META, &p->extent.object))
		return 0;
	return known_add_place(l->known, p) ? 0 : err_nomem(e);
}

/* A directory whose tree was seen holds nothing new. */
static int on_enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	struct load *l = ctx;

	bool seen = known_find_place(l->known, &self->place.digest) != NULL;
	int r = take_place(l, &self->place, e);

	return r < 0 ? r : seen;
}

static int on_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	struct load *l = ctx;

	bool seen = known_find_place(l->known, &ref->place.digest) != NULL;
	int r = take_place(l, &ref->place, e);

	return r < 0 ? r : seen;
}

static int on_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct load *l = ctx;
	_cleanup_(content_unrefp) struct content *c = NULL;

	if (l->o->decay && entry->extent_count &&
	    decay_count(l->o->decay, &entry->extents[entry->extent_count - 1]) < 0)
		return err_nomem(e);
	if (entry->size_bytes <= FORMAT_INLINE_BYTES || known_is_full(l->known) ||
	    known_find(l->known, &entry->content) ||
	    reaches_condemned(l, entry->extents, entry->extent_count))
		return 0;
	c = content_new(entry->size_bytes, entry->extent_count);
	if (!c)
		return err_nomem(e);
	c->id = entry->content;
	memcpy(c->extents, entry->extents, entry->extent_count * sizeof(c->extents[0]));
	return known_add(l->known, c) < 0 ? err_nomem(e) : 0;
}

/* After a tree was not found: > 0 where the record is no longer COMMITTED, so that this is no loss. */
static int is_withdrawn(struct load *l, const struct candidate *c, struct err *e)
{
	_cleanup_(record_freep) struct record *record = NULL;
	int r = repo_get_record(l->o->repo, &l->o->own->where, c->key.backup, &c->key.writer,
				&record, NULL, l->cancel, e);

	if (r != 0)
		return r;
	return record->state != RECORD_COMMITTED;
}

/* Nothing of a backup that cannot be walked to its end is a source, and what is live is not known. */
static int forget(struct load *l, struct known_mark mark, struct err *e)
{
	if (l->o->decay)
		decay_give_up(l->o->decay);
	return known_rollback(l->known, mark) < 0 ? err_nomem(e) : 0;
}

static int walk_backup(struct load *l, const struct candidate *c, struct err *e)
{
	const struct meta_walk walk = {
		.enter = on_enter, .run = on_run, .entry = on_entry, .ctx = l
	};
	struct known_mark mark = known_mark(l->known);
	struct err missing = ERR_INIT;
	bool seen = known_find_place(l->known, &c->root.digest) != NULL;
	int r = take_place(l, &c->root, e), withdrawn;

	if (r < 0 || seen)
		return r;
	r = meta_walk(l->o->meta, &l->o->own->where, &c->root, &walk, l->cancel, &missing);
	if (r == 0)
		return 0;
	if (r == -ENOENT) {
		withdrawn = is_withdrawn(l, c, e);
		if (withdrawn < 0)
			return withdrawn;
		if (withdrawn > 0)
			return forget(l, mark, e);
	}
	if (pass_over(l, c->key.backup, r, &missing) == 0)
		return forget(l, mark, e);
	if (e)
		*e = missing;
	return err_wrap(e, r, "cannot read what backup %s holds", c->key.backup);
}

/* What was not walked may be live. */
static bool is_complete(const struct load *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->records[i].passed_over)
			return false;
	return !known_is_full(l->known);
}

int sources_load(const struct sources_options *o, struct known *k, const struct cancel *c,
		 struct err *e)
{
	struct load l = { .o = o, .cancel = c, .known = k };
	int r = read_records(&l, e);

	if (r == 0)
		r = check_owner(&l, e);
	for (size_t i = 0; i < l.count && r == 0 && !known_is_full(k); i++)
		if (l.records[i].committed)
			r = walk_backup(&l, &l.records[i], e);
	if (o->decay && !is_complete(&l))
		decay_give_up(o->decay);
	for (size_t i = 0; i < l.count; i++) {
		free(l.records[i].host_id);
		free(l.records[i].cluster_original);
	}
	free(l.records);
	return r;
}
