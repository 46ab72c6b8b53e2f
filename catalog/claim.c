/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/claim.h"

#include <errno.h>
#include <string.h>

#include "catalog/alive.h"
#include "catalog/register.h"

#define NS_PER_MS 1000000

struct claim {
	const struct claim_options *o;
	const struct cancel *cancel;
};

static bool is_dead(const struct claim_options *o, const struct record_key *key)
{
	if (alive_look(o->alive_dir, &key->writer) == ALIVE_ENDED)
		return true;
	if (o->now_ns == 0 || key->modified_ns == 0)
		return false;
	return o->now_ns - key->modified_ns > o->dead_ms * NS_PER_MS;
}

static int exists(const struct record *r, struct err *e)
{
	return err_set(e, ERR_CONFLICT, -EEXIST, "backup %s of node %s exists already", r->backup,
		       r->where.node);
}

int claim_busy(const struct record *r, struct err *e)
{
	char since[CLOCK_RFC3339_BYTES];

	return err_set(e, ERR_CONFLICT, -EBUSY,
		       "backup %s of node %s is being written by another process since %s",
		       r->backup, r->where.node, clock_rfc3339(since, r->started_ns, 0));
}

static int fence(struct claim *c, struct record *other, const char *etag, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = reg_fence(c->o->repo, other, etag, c->cancel, &mine);

	if (r == REG_LOST)
		return claim_busy(other, e);
	if (r < 0 && e)
		*e = mine;
	return r < 0 ? err_wrap(e, r, "cannot end the dead backup %s", other->backup) : 0;
}

static int on_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct claim *c = ctx;
	_cleanup_(record_freep) struct record *other = NULL;
	char etag[STORE_ETAG_MAX];
	int r;

	if (memcmp(&key->writer, &c->o->own->writer, sizeof(key->writer)) == 0)
		return 0;
	r = repo_get_record(c->o->repo, &c->o->own->where, key->backup, &key->writer, &other, etag,
			    c->cancel, e);
	if (r != 0)
		return MIN_OF(r, 0);
	if (other->state == RECORD_COMMITTED)
		return exists(other, e);
	if (other->state != RECORD_OPEN || c->o->look_only)
		return 0;
	/* Its last renewal is that of the listing only while the ETag is. */
	if (!is_dead(c->o, key) || strcmp(etag, key->etag) != 0)
		return claim_busy(other, e);
	return fence(c, other, etag, e);
}

int claim_name(const struct claim_options *o, const struct cancel *c, struct err *e)
{
	struct claim claim = { .o = o, .cancel = c };

	return repo_list_records(o->repo, &o->own->where, o->own->backup, on_record, &claim, c, e);
}

/* ---- whether it is there ---- */

struct look {
	struct repo *repo;
	const struct node_name *where;
	const struct cancel *cancel;
	bool found;
};

static int is_committed(void *ctx, const struct record_key *key, struct err *e)
{
	struct look *l = ctx;
	_cleanup_(record_freep) struct record *record = NULL;
	int r = repo_get_record(l->repo, l->where, key->backup, &key->writer, &record, NULL,
				l->cancel, e);

	if (r != 0)
		return MIN_OF(r, 0);
	l->found = l->found || record->state == RECORD_COMMITTED;
	return l->found;
}

int claim_exists(struct repo *repo, const struct node_name *where, const char *backup,
		 const struct cancel *c, struct err *e)
{
	struct look look = { repo, where, c, false };
	int r = repo_list_records(repo, where, backup, is_committed, &look, c, e);

	return r == 0 && look.found ? CLAIM_EXISTS : r;
}
