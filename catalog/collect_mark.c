/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_mark.h"

#include <errno.h>
#include <string.h>

#include "catalog/seen.h"

#define SEEN_BYTES 48 /* of one thing in the set, at worst while it grows */

struct marking {
	struct collect *c;
	struct collect_keys *k;
	struct seen
		seen; /* digests of trees and runs that were gone through: what is in them is marked */
	size_t seen_max;
};

static void mark(struct marking *m, enum key_object kind, const struct object_ref *ref)
{
	size_t count;
	struct collect_key *key = collect_keys_find(m->k, kind, ref, &count);

	for (size_t i = 0; key && i < count; i++)
		key[i].reached = true;
}

/* > 0: it was gone through before. Each place is marked, also where the same bytes were met at another one. */
static int meet(struct marking *m, const struct place *p, struct err *e)
{
	int r;

	mark(m, KEY_OBJECT_META, &p->extent.object);
	if (seen_has(&m->seen, p->digest.b, sizeof(p->digest.b)))
		return 1;
	/* Beyond the memory for it things are gone through again. */
	if (m->seen.count >= m->seen_max)
		return 0;
	r = seen_add(&m->seen, p->digest.b, sizeof(p->digest.b));
	return r < 0 ? err_nomem(e) : 0;
}

static int on_enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	return meet(ctx, &self->place, e);
}

static int on_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	return meet(ctx, &ref->place, e);
}

static int on_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	for (uint32_t i = 0; i < entry->extent_count; i++)
		mark(ctx, KEY_OBJECT_DATA, &entry->extents[i].object);
	return 0;
}

/* After something was not found: > 0 where the record is no longer COMMITTED, so that this is no root. */
static int is_withdrawn(struct marking *m, const char *backup, const struct ulid *writer,
			struct err *e)
{
	_cleanup_(record_freep) struct record *record = NULL;
	int r = repo_get_record(m->c->o->repo, m->c->o->where, backup, writer, &record, NULL,
				m->c->o->cancel, e);

	if (r != 0)
		return r;
	return record->state != RECORD_COMMITTED;
}

/* What was begun is not known to be gone through whole. */
static void forget(struct marking *m)
{
	seen_deinit(&m->seen);
	m->seen = (struct seen){ 0 };
}

static int walk_root(struct marking *m, const struct place *root, const char *backup,
		     const struct ulid *writer, const char *key, struct err *e)
{
	const struct meta_walk walk = {
		.enter = on_enter, .run = on_run, .entry = on_entry, .ctx = m
	};
	struct err failed = ERR_INIT, again = ERR_INIT;
	int r = meet(m, root, &failed);

	if (r > 0)
		return 0;
	if (r == 0)
		r = meta_walk(m->c->o->meta, m->c->o->where, root, &walk, m->c->o->cancel, &failed);
	if (r == 0)
		return 0;
	forget(m);
	if (!collect_is_unreadable(r, &failed)) {
		*e = failed;
		return err_wrap(e, r, "cannot read what backup %s reaches", backup);
	}
	r = r == -ENOENT ? is_withdrawn(m, backup, writer, &again) : 0;
	if (r > 0)
		return 0;
	if (r < 0 && !collect_is_unreadable(r, &again)) {
		*e = again;
		return r;
	}
	if (*failed.key && strcmp(failed.key, key) != 0)
		return collect_note_unreadable(m->c, failed.key, true, &failed, e);
	return collect_note_unreadable(m->c, key, true, &failed, e);
}

static int walk_records(struct marking *m, const struct collect_view *v, struct err *e)
{
	char key[KEY_BYTES];
	int r = 0;

	for (size_t i = 0; i < v->record_count && r == 0; i++) {
		const struct collect_record *x = &v->records[i];

		if (x->there && x->state == RECORD_COMMITTED)
			r = walk_root(
				m, &x->root, x->key.backup, &x->key.writer,
				keys_record(key, m->c->o->where, x->key.backup, &x->key.writer), e);
	}
	return r;
}

static int walk_pins(struct marking *m, const struct collect_view *v, struct err *e)
{
	char key[KEY_BYTES];
	int r = 0;

	for (size_t i = 0; i < v->pin_count && r == 0; i++) {
		const struct collect_pin *x = &v->pins[i];

		if (x->there && x->pin.state == PIN_HELD)
			r = walk_root(m, &x->pin.root, x->pin.backup, &x->pin.writer,
				      keys_pin(key, m->c->o->where, &x->item.id), e);
	}
	return r;
}

int collect_mark(struct collect *c, const struct collect_view *v, struct collect_keys *k,
		 struct err *e)
{
	struct marking m = { .c = c, .k = k, .seen_max = c->memory_bytes / 4 / SEEN_BYTES };
	int r = walk_records(&m, v, e);

	if (r == 0)
		r = walk_pins(&m, v, e);
	seen_deinit(&m.seen);
	return r;
}
