/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/check.h"

#include <stdio.h>
#include <string.h>

#include "catalog/pin.h"
#include "tests/explore/actors.h"

#define RECORDS_MAX 32
#define KEYS_MAX 128

struct look {
	struct world *w;
	const struct files *files;
	struct repo *repo;
	struct source *source;
	struct meta *meta;
	struct record *records[RECORDS_MAX];
	unsigned count;
	char keys[KEYS_MAX][KEY_BYTES]; /* below the node: that are reached */
	unsigned key_count;
};

static int on_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct look *l = ctx;
	int r;

	if (l->count == RECORDS_MAX)
		abort();
	r = repo_get_record(l->repo, &actors_node, key->backup, &key->writer, &l->records[l->count],
			    NULL, NULL, e);
	l->count += r == 0;
	return MIN_OF(r, 0);
}

/* Straight from the memory: nobody else runs. */
static void open_look(struct look *l, struct world *w)
{
	const struct meta_options mo = { .repo = NULL };
	struct meta_options o = mo;
	struct err e = ERR_INIT;

	*l = (struct look){ .w = w };
	if (repo_open(w->store, REPO_READ, &w->clock, NULL, &l->repo, &e) < 0)
		abort();
	l->source = source_new(w->store, OBJECT_VERIFY_SHA256, NULL);
	o.repo = l->repo;
	o.source = l->source;
	l->meta = meta_new(&o);
	if (repo_list_records(l->repo, &actors_node, NULL, on_record, l, NULL, &e) < 0)
		world_fail(w, "the records cannot be read: %s", e.message);
}

static void close_look(struct look *l)
{
	for (unsigned i = 0; i < l->count; i++)
		record_free(l->records[i]);
	meta_free(l->meta);
	source_free(l->source);
	repo_free(l->repo);
}

static const struct files *files_of(const struct look *l, const struct record *r)
{
	for (int i = 0; i < FILES_KINDS; i++)
		if (strcmp(l->files[i].name, r->address) == 0)
			return &l->files[i];
	abort();
}

static void check_root(struct look *l, const struct record *r, const struct place *root,
		       const char *what)
{
	struct err e = ERR_INIT;
	int n = files_compare(files_of(l, r), l->meta, l->source, &actors_node, root, &e);

	if (n < 0)
		world_fail(l->w, "%s %s: %s (%s)", what, r->backup, e.message, e.key);
}

static void check_records(struct look *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		const struct record *r = l->records[i];

		if (r->state != RECORD_COMMITTED)
			continue;
		check_root(l, r, &r->root, "COMMITTED backup");
		for (unsigned k = 0; k < i; k++)
			if (l->records[k]->state == RECORD_COMMITTED &&
			    strcmp(l->records[k]->backup, r->backup) == 0)
				world_fail(l->w, "backup %s is COMMITTED twice", r->backup);
	}
}

static const struct record *record_of(const struct look *l, const char *backup,
				      const struct ulid *writer)
{
	for (unsigned i = 0; i < l->count; i++)
		if (memcmp(&l->records[i]->writer, writer, sizeof(*writer)) == 0 &&
		    strcmp(l->records[i]->backup, backup) == 0)
			return l->records[i];
	return NULL;
}

static void check_actor(struct look *l, const struct actor *a)
{
	const struct record *r = a->role == ROLE_BACKUP ? record_of(l, a->backup, &a->writer)
							: NULL;

	if (a->role == ROLE_DELETE && a->succeeded)
		for (unsigned i = 0; i < l->count; i++)
			if (memcmp(&l->records[i]->writer, &a->writer, sizeof(a->writer)) == 0 &&
			    strcmp(l->records[i]->backup, a->backup) == 0 &&
			    l->records[i]->state != RECORD_DELETED)
				world_fail(l->w, "%s said that it had deleted %s", a->name,
					   a->backup);
	if (a->role != ROLE_BACKUP || a->crashed)
		return;
	if (a->succeeded && (!r || (r->state != RECORD_COMMITTED && r->state != RECORD_DELETED)))
		world_fail(l->w, "%s said that backup %s was committed: it is %s", a->name,
			   a->backup, r ? record_state_name(r->state) : "gone");
	if (!a->succeeded && !a->unknown && r && r->state == RECORD_COMMITTED &&
	    strcmp(r->nonce, a->nonce) == 0)
		world_fail(l->w, "%s said that backup %s had failed: it is COMMITTED", a->name,
			   a->backup);
}

/* The pins of readers that crashed while they held them. */
static int on_pin(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct look *l = ctx;
	const char *name = strrchr(entry->key, '/') + 1;
	char text[ULID_TEXT] = "";
	const struct record *r;
	struct ulid id;
	struct pin pin;

	snprintf(text, sizeof(text), "%.26s", name);
	if (ulid_parse(&id, text) < 0 ||
	    pin_get(l->repo, &actors_node, &id, &pin, NULL, NULL, e) != 0)
		return 0;
	r = record_of(l, pin.backup, &pin.writer);
	if (pin.state == PIN_HELD && r)
		check_root(l, r, &pin.root, "pinned backup");
	return 0;
}

static void list(struct look *l, const char *below, store_list_fn *fn)
{
	char node[KEY_BYTES], prefix[KEY_BYTES + 32];
	const struct store_list o = { .prefix = prefix, .entry = fn, .ctx = l };
	struct err e = ERR_INIT;

	snprintf(prefix, sizeof(prefix), "%s%s", keys_node_prefix(node, &actors_node), below);
	if (store_list(l->w->store, &o, NULL, &e) < 0)
		abort();
}

static bool a_reader_held(const struct world *w)
{
	for (unsigned i = 0; i < w->actor_count; i++)
		if (w->actors[i].role == ROLE_READ && w->actors[i].crashed && w->actors[i].holds)
			return true;
	return false;
}

void check_world(struct world *w, const struct files *files)
{
	struct look l;

	open_look(&l, w);
	l.files = files;
	check_records(&l);
	for (unsigned i = 0; i < w->actor_count; i++)
		check_actor(&l, &w->actors[i]);
	if (a_reader_held(w))
		list(&l, "pins/", on_pin);
	close_look(&l);
}

/* ---- nothing but what is reachable ---- */

static void reach(struct look *l, enum key_object kind, const struct object_ref *ref)
{
	if (l->key_count == KEYS_MAX)
		abort();
	keys_object(l->keys[l->key_count++], &actors_node, kind, &ref->writer, &ref->id);
}

static int on_enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	reach(ctx, KEY_OBJECT_META, &self->place.extent.object);
	return 0;
}

static int on_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	reach(ctx, KEY_OBJECT_META, &ref->place.extent.object);
	return 0;
}

static int on_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	for (uint32_t i = 0; i < entry->extent_count; i++)
		reach(ctx, KEY_OBJECT_DATA, &entry->extents[i].object);
	return 0;
}

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct look *l = ctx;

	if (strstr(entry->key, "/records/"))
		return 0;
	for (unsigned i = 0; i < l->key_count; i++)
		if (strcmp(l->keys[i], entry->key) == 0)
			return 0;
	world_fail(l->w, "left behind: %s", entry->key);
	return 0;
}

void check_clean(struct world *w)
{
	const struct meta_walk walk = { .enter = on_enter, .run = on_run, .entry = on_entry };
	struct err e = ERR_INIT;
	struct look l;

	open_look(&l, w);
	for (unsigned i = 0; i < l.count; i++) {
		struct meta_walk mine = walk;

		if (l.records[i]->state != RECORD_COMMITTED)
			continue;
		mine.ctx = &l;
		reach(&l, KEY_OBJECT_META, &l.records[i]->root.extent.object);
		if (meta_walk(l.meta, &actors_node, &l.records[i]->root, &mine, NULL, &e) < 0)
			world_fail(w, "%s: %s", l.records[i]->backup, e.message);
	}
	list(&l, "", on_key);
	close_look(&l);
}
