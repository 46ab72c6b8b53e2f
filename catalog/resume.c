/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/resume.h"

#include <errno.h>
#include <string.h>

#include "catalog/claim.h"

#define NS_PER_MS 1000000

struct find {
	const struct resume_options *o;
	const struct cancel *cancel;
	struct record_key *keys;
	size_t count, cap;
	int64_t newest_ns; /* Last-Modified */
	struct resume_found best;
};

void resume_deinit(struct resume_found *f)
{
	record_free(f->record);
	alive_leave(f->alive);
	*f = (struct resume_found){ 0 };
}

static int on_key(void *ctx, const struct record_key *key, struct err *e)
{
	struct find *f = ctx;

	if (util_grow(&f->keys, &f->cap, f->count + 1, sizeof(*f->keys)) < 0)
		return err_nomem(e);
	f->keys[f->count++] = *key;
	f->newest_ns = MAX_OF(f->newest_ns, key->modified_ns);
	return 0;
}

/* What is older than the newest record by so much was begun too long ago: it is not asked for. */
static bool may_be_young(const struct find *f, const struct record_key *key)
{
	return f->newest_ns - key->modified_ns <= f->o->young_ms * NS_PER_MS;
}

static bool is_own(const struct find *f, const struct record *r)
{
	const struct record *own = f->o->own;

	return r->state == RECORD_OPEN && r->refused == 0 &&
	       strcmp(r->host_id, own->host_id) == 0 &&
	       (strcmp(r->cluster_original, own->cluster_original) == 0 ||
		keys_is_alias(r->cluster_original, own->where.cluster));
}

static bool is_young(const struct find *f, const struct record *r, int64_t now_ns)
{
	return now_ns != 0 && r->store_time_ns != 0 &&
	       now_ns - r->store_time_ns <= f->o->young_ms * NS_PER_MS;
}

static bool is_stale(const struct find *f, const struct store_meta *meta)
{
	return meta->date_ns != 0 && meta->modified_ns != 0 &&
	       meta->date_ns - meta->modified_ns > f->o->dead_ms * NS_PER_MS;
}

/* Takes the record where it is a better one to continue. */
static int consider(struct find *f, struct record **record, const struct store_meta *meta,
		    struct err *e)
{
	enum alive_state alive = alive_look(f->o->alive_dir, &(*record)->writer);
	struct resume_found *best = &f->best;

	if (!is_own(f, *record))
		return 0;
	if (alive == ALIVE_RUNS)
		return f->o->any_name ? 0 : claim_busy(*record, e);
	if (!is_young(f, *record, meta->date_ns) || (alive != ALIVE_ENDED && !is_stale(f, meta)) ||
	    (best->record && record_compare_age(*record, best->record) < 0))
		return 0;
	record_free(best->record);
	best->record = steal_pointer(record);
	best->now_ns = meta->date_ns;
	memcpy(best->etag, meta->etag, sizeof(best->etag));
	return 0;
}

/* One that cannot be read is not continued. */
static int look_at(struct find *f, const struct record_key *key, struct err *e)
{
	_cleanup_(record_freep) struct record *record = NULL;
	struct err mine = ERR_INIT;
	struct store_meta meta;
	int r = repo_get_record_meta(f->o->repo, &f->o->own->where, key->backup, &key->writer,
				     &record, &meta, f->cancel, &mine);

	if (r > 0 || r == -ENOTSUP || mine.kind == ERR_CORRUPT)
		return 0;
	if (r == 0)
		return consider(f, &record, &meta, e);
	*e = mine;
	return r;
}

static int find_all(struct find *f, struct err *e)
{
	const char *name = f->o->any_name ? NULL : f->o->own->backup;
	int r = repo_list_records(f->o->repo, &f->o->own->where, name, on_key, f, f->cancel, e);

	for (size_t i = 0; i < f->count && r == 0; i++)
		if (may_be_young(f, &f->keys[i]))
			r = look_at(f, &f->keys[i], e);
	return r;
}

int resume_find(const struct resume_options *o, struct resume_found *ret, const struct cancel *c,
		struct err *e)
{
	struct find f = { .o = o, .cancel = c };
	struct resume_found *best = &f.best;
	int r = find_all(&f, e);

	free(f.keys);
	/* Of two processes of this machine that want it, one gets the lock. */
	if (r == 0 && best->record &&
	    alive_take(o->alive_dir, &best->record->writer, repo_clock(o->repo), &best->alive) ==
		    ALIVE_RUNS)
		r = o->any_name ? 0 : claim_busy(best->record, e);
	else if (r == 0 && best->record)
		r = RESUME_FOUND;
	if (r == RESUME_FOUND)
		*ret = *best;
	else
		resume_deinit(best);
	return r;
}

int resume_take_over(const struct resume_found *f, struct record *own, struct reg *g,
		     const struct cancel *c, struct err *e)
{
	char *name = strdup(f->record->backup);

	if (!name)
		return err_nomem(e);
	free(own->backup);
	own->backup = name;
	own->writer = f->record->writer;
	own->started_ns = f->record->started_ns;
	own->store_time_ns = f->record->store_time_ns;
	own->sequence = f->record->sequence;
	reg_init_record(g, g->repo, own);
	memcpy(g->etag, f->etag, sizeof(g->etag));
	return reg_write(g, c, e);
}
