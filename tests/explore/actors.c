/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/actors.h"

#include <stdio.h>
#include <string.h>

#include "catalog/backup.h"
#include "catalog/collect.h"
#include "catalog/hold.h"
#include "catalog/remove.h"
#include "tests/explore/memkv.h"

const struct node_name actors_node = { "c1", "n1" };

/* Its world; an actor lies in it. */
static struct world *world_of(struct actor *a)
{
	return (struct world *)(void *)((char *)(a - a->group) - offsetof(struct world, actors));
}

static bool begin(struct actor *a, struct err *e)
{
	int r = repo_open(a->store, REPO_READ | REPO_WRITE | REPO_COLLECT, &a->clock, NULL,
			  &a->repo, e);

	if (r == 0)
		a->kv = memkv_new(&a->crashed, a->warm);
	return r == 0;
}

static void end(struct actor *a)
{
	memkv_free(a->kv);
	repo_free(a->repo);
}

/* A failure that nothing that was done to the actor explains. */
static void unexpected(struct actor *a, int r, const struct err *e)
{
	if (!a->crashed && a->faults == 0)
		world_fail(world_of(a), "%s failed: %d %s (%s)", a->name, r, e->message, e->key);
}

static char *copy(const char *text)
{
	char *c = strdup(text);

	if (!c)
		abort();
	return c;
}

/* ---- backups ---- */

static struct record *new_record(const struct actor *a)
{
	struct record *r = record_new();

	if (!r)
		abort();
	free(r->backup);
	free(r->address);
	r->backup = copy(a->backup);
	r->address = copy(a->files->name); /* tells whoever checks what must come back */
	r->where = actors_node;
	return r;
}

static void run_backup(struct actor *a)
{
	_cleanup_(record_freep) struct record *record = new_record(a);
	struct backup_result result = { 0 };
	struct err e = ERR_INIT;
	struct backup_options o = { .record = record,
				    .snapshot = a->files->snapshot,
				    .jobs = 1,
				    .connections = 1,
				    .memory_bytes = 64 * MIB };
	int r;

	if (!begin(a, &e))
		return;
	o.repo = a->repo;
	o.kv = a->kv;
	o.dry_run = a->dry;
	r = backup_run(&o, &result, &e);
	a->writer = record->writer;
	memcpy(a->nonce, record->nonce, sizeof(a->nonce));
	a->succeeded = r == 0;
	a->unknown = r < 0 && e.outcome_unknown;
	if (r < 0 && e.kind != ERR_CONFLICT)
		unexpected(a, r, &e);
	record_free(result.record);
	if (a->dry)
		memkv_remember(a->kv);
	end(a);
}

struct actor *actors_backup(struct world *w, const char *who, const char *backup,
			    const struct files *f)
{
	struct actor *a = world_actor(w, ROLE_BACKUP, who, run_backup);

	a->files = f;
	snprintf(a->backup, sizeof(a->backup), "%s", backup);
	return a;
}

/* ---- readers ---- */

static int on_committed(void *ctx, const struct record_key *key, struct err *e)
{
	*(struct record_key *)ctx = *key;
	return 1;
}

/* The record of a backup, whatever its state; NULL: none. */
static struct record *find(struct actor *a, char *ret_etag, int *ret, struct err *e)
{
	struct record_key key = { 0 };
	struct record *record = NULL;

	*ret = repo_list_records(a->repo, &actors_node, a->backup, on_committed, &key, NULL, e);
	if (*ret == 0 && key.backup[0])
		*ret = repo_get_record(a->repo, &actors_node, a->backup, &key.writer, &record,
				       ret_etag, NULL, e);
	return record;
}

/* What a reader that holds a pin reads is right, or its pin was lost. */
static void read_all(struct actor *a, struct hold *h, const struct record *record)
{
	_cleanup_(source_freep) struct source *source =
		source_new(a->store, OBJECT_VERIFY_XXH3, NULL);
	const struct meta_options mo = { .repo = a->repo, .source = source };
	_cleanup_(meta_freep) struct meta *meta = meta_new(&mo);
	struct err e = ERR_INIT;
	int r = files_compare(a->files, meta, source, &actors_node, &record->root, &e);

	if (r < 0 && !a->crashed && hold_check(h, NULL) == 0)
		world_fail(world_of(a), "%s holds backup %s, and: %s (%s)", a->name, a->backup,
			   e.message, e.key);
}

static void hold_and_read(struct actor *a, const struct record *record)
{
	const struct hold_options o = { .repo = a->repo, .record = record, .purpose = "mount" };
	struct hold *hold = NULL;
	struct err e = ERR_INIT;
	int r = hold_begin(&o, &hold, NULL, &e);

	if (r < 0 && e.kind != ERR_NOT_FOUND)
		unexpected(a, r, &e);
	if (!hold)
		return;
	a->holds = true;
	read_all(a, hold, record);
	a->holds = a->crashed && hold_check(hold, NULL) == 0;
	hold_end(hold);
}

static void run_read(struct actor *a)
{
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e = ERR_INIT;
	int r;

	if (!begin(a, &e))
		return;
	record = find(a, NULL, &r, &e);
	if (r < 0)
		unexpected(a, r, &e);
	if (record && record->state == RECORD_COMMITTED)
		hold_and_read(a, record);
	end(a);
}

struct actor *actors_read(struct world *w, const char *who, const char *backup,
			  const struct files *f)
{
	struct actor *a = world_actor(w, ROLE_READ, who, run_read);

	a->files = f;
	snprintf(a->backup, sizeof(a->backup), "%s", backup);
	return a;
}

/* ---- deletes ---- */

static void run_delete(struct actor *a)
{
	_cleanup_(record_freep) struct record *record = NULL;
	char etag[STORE_ETAG_MAX];
	struct err e = ERR_INIT;
	int r;

	if (!begin(a, &e))
		return;
	record = find(a, etag, &r, &e);
	if (record && record->state == RECORD_COMMITTED) {
		r = remove_backup(a->repo, record, etag, NULL, &e);
		a->succeeded = r == 0;
		a->writer = record->writer;
	}
	if (r < 0)
		unexpected(a, r, &e);
	end(a);
}

struct actor *actors_delete(struct world *w, const char *who, const char *backup)
{
	struct actor *a = world_actor(w, ROLE_DELETE, who, run_delete);

	snprintf(a->backup, sizeof(a->backup), "%s", backup);
	return a;
}

/* ---- collectors ---- */

static int collect_once(struct actor *a, struct err *e)
{
	_cleanup_(source_freep) struct source *source =
		source_new(a->store, OBJECT_VERIFY_SHA256, NULL);
	const struct meta_options mo = { .repo = a->repo, .source = source };
	_cleanup_(meta_freep) struct meta *meta = meta_new(&mo);
	struct collect_options o = { .repo = a->repo,
				     .kv = a->kv,
				     .meta = meta,
				     .where = &actors_node,
				     .full = a->full,
				     .connections = 1,
				     .memory_bytes = 16 * MIB };
	struct collect_result *result = NULL;
	int r = collect_run(&o, &result, e);

	if (r == 0 && result->unreadable_count > 0 && !a->crashed && a->faults == 0)
		world_fail(world_of(a), "%s finds %s damaged: %s", a->name,
			   result->unreadable[0].key, result->unreadable[0].reason);
	collect_result_free(result);
	return r;
}

static void run_collect(struct actor *a)
{
	struct err e = ERR_INIT;

	if (!begin(a, &e))
		return;
	for (unsigned i = 0; i < a->times; i++) {
		int r;

		a->phase = 0;
		e = ERR_INIT;
		r = collect_once(a, &e);
		if (r < 0)
			unexpected(a, r, &e);
	}
	end(a);
}

struct actor *actors_collect(struct world *w, const char *who, unsigned times, bool full)
{
	struct actor *a = world_actor(w, ROLE_COLLECT, who, run_collect);

	a->times = times;
	a->full = full;
	return a;
}
