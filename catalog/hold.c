/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/hold.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/renew.h"
#include "catalog/watch.h"

#define END_LIMIT_MS 10000
#define NS_PER_S INT64_C(1000000000)

struct hold {
	struct pin pin, first; /* the renewing thread's; as it was written first */
	struct reg reg;	       /* the renewing thread's */
	struct work work;      /* failed: the pin is lost */
	struct renew_options renewal;
	struct renew *renew;
};

/* ---- the end ---- */

static int delete_pin(struct hold *h, const struct cancel *c, struct err *e)
{
	struct store_delete_error error;
	size_t errors = 0;
	char key[KEY_BYTES];
	const char *keys[] = { keys_pin(key, &h->pin.where, &h->pin.id) };
	int r = store_delete_many(repo_store(h->reg.repo), keys, 1, &error, &errors, c, e);

	if (r == 0 && errors > 0)
		r = err_set(e, ERR_STORE, -EACCES, "%s: %s", error.code, error.message);
	return r;
}

static int mark_ended(struct hold *h, const struct cancel *c, struct err *e)
{
	int r = h->reg.etag[0] ? 0 : reg_adopt(&h->reg, c, e);

	h->pin.state = PIN_ENDED;
	if (r == 0)
		r = reg_write(&h->reg, c, e);
	return MIN_OF(r, 0); /* one that is gone, or that somebody else ended, is ended */
}

/* Deletes it; credentials without DeleteObject mark it ENDED, and a collector deletes it. */
static void remove_until(struct hold *h, const struct cancel *enough)
{
	struct err e = ERR_INIT;
	char text[1200];
	int r = delete_pin(h, enough, &e);

	if (r < 0 && !cancel_is_set(enough)) {
		e = ERR_INIT;
		r = mark_ended(h, enough, &e);
	}
	if (r < 0)
		log_write(h->renewal.log, LOG_LEVEL_WARNING, "pin-stays",
			  "the pin of %s stays until it is old enough to be ended by gc: %s",
			  h->pin.backup, err_describe(&e, text, sizeof(text)));
}

static void remove_pin(struct hold *h)
{
	struct cancel enough = { 0 };
	const struct watch_options limit = { .clock = repo_clock(h->reg.repo),
					     .limit_ms = END_LIMIT_MS,
					     .fire = watch_set_cancel,
					     .ctx = &enough };
	_cleanup_(watch_stopp) struct watch *watch = NULL;

	if (watch_start(&limit, &watch, NULL) < 0)
		cancel_set(&enough, 1); /* no end without a limit */
	remove_until(h, &enough);
}

static void hold_free(struct hold *h)
{
	renew_stop(h->renew);
	work_deinit(&h->work);
	free(h);
}
DEFINE_CLEANUP(struct hold *, hold_free);

void hold_end(struct hold *h)
{
	if (!h)
		return;
	renew_stop(h->renew);
	h->renew = NULL;
	remove_pin(h);
	hold_free(h);
}

void hold_end_until(struct hold *h, const struct cancel *c)
{
	renew_stop(h->renew);
	h->renew = NULL;
	remove_until(h, c);
	hold_free(h);
}

void hold_abandon(struct hold *h)
{
	hold_free(h);
}

/* ---- the begin ---- */

static void fill_pin(struct pin *p, const struct hold_options *o)
{
	const struct clock *clock = repo_clock(o->repo);

	*p = (struct pin){ .state = PIN_HELD,
			   .id = ulid_new(clock),
			   .where = o->record->where,
			   .writer = o->record->writer,
			   .root = o->record->root,
			   .pid = (uint32_t)getpid(),
			   .started_ns = clock_wall_ns(clock),
			   .renewed_ns = clock_wall_ns(clock) };
	snprintf(p->backup, sizeof(p->backup), "%s", o->record->backup);
	snprintf(p->purpose, sizeof(p->purpose), "%s", o->purpose);
	if (gethostname(p->host, sizeof(p->host) - 1) < 0)
		p->host[0] = '\0';
}

/* Whether a write was refused for good, by rights and not by accident. */
static bool is_read_only(int r, const struct err *e)
{
	return r < 0 && !e->outcome_unknown &&
	       (r == -EROFS || r == -EACCES || r == -EPERM || e->kind == ERR_CREDENTIALS);
}

/* The record, read from the store after the pin is there: 0, STORE_NOT_FOUND where it is not COMMITTED, or < 0. */
static int read_record(const struct hold_options *o, const struct cancel *c, struct err *e)
{
	_cleanup_(record_freep) struct record *now = NULL;
	const struct record *was = o->record;
	int r = repo_get_record(o->repo, &was->where, was->backup, &was->writer, &now, NULL, c, e);

	if (r != 0)
		return r;
	return now->state == RECORD_COMMITTED && memcmp(&now->root.digest, &was->root.digest,
							sizeof(now->root.digest)) == 0
		       ? 0
		       : STORE_NOT_FOUND;
}

static int write_pin(struct hold *h, const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = reg_create(&h->reg, c, &mine);

	if (r == REG_LOST)
		r = err_set(&mine, ERR_CONFLICT, -ESTALE,
			    "another process changed the pin that was just written");
	if (is_read_only(r, &mine))
		r = HOLD_READ_ONLY;
	else if (r < 0 && mine.outcome_unknown)
		remove_pin(h);
	if (r != 0 && e)
		*e = mine;
	return r;
}

/* A bucket that is not there says nothing of the backup: -ENOENT is for a record that was read. */
static int not_gone(int r, struct err *e)
{
	if (r == -ENOENT && e) {
		e->kind = ERR_STORE;
		e->code = -EIO;
	}
	return r == -ENOENT ? -EIO : r;
}

static int begin_to_renew(struct hold *h, bool by_hand, struct err *e)
{
	if (!by_hand)
		return renew_start(&h->renewal, &h->renew, e);
	h->renew = renew_new(&h->renewal);
	return h->renew ? 0 : err_nomem(e);
}

int hold_begin(const struct hold_options *o, struct hold **ret, const struct cancel *c,
	       struct err *e)
{
	_cleanup_(hold_freep) struct hold *h = calloc(1, sizeof(*h));
	int r;

	*ret = NULL;
	if (!h)
		return err_nomem(e);
	work_init(&h->work);
	h->renewal = (struct renew_options){
		.reg = &h->reg,
		.work = &h->work,
		.renew_ms = o->renew_ms ? o->renew_ms : RENEW_MS,
		.limit_ms = o->limit_ms ? o->limit_ms : RENEW_LIMIT_MS,
		.log = o->log,
	};
	fill_pin(&h->pin, o);
	pin_register(&h->reg, o->repo, &h->pin);
	r = not_gone(write_pin(h, c, e), e);
	if (r != 0)
		return r;
	h->first = h->pin;
	r = not_gone(read_record(o, c, e), e);
	if (r > 0)
		r = err_set(e, ERR_NOT_FOUND, -ENOENT,
			    "there is no backup %s of node %s any more: it was deleted",
			    o->record->backup, o->record->where.node);
	if (r == 0)
		r = begin_to_renew(h, o->by_hand, e);
	if (r < 0) {
		remove_pin(h);
		return r;
	}
	*ret = steal_pointer(&h);
	return 0;
}

/* ---- while it is held ---- */

int hold_check(struct hold *h, struct err *e)
{
	struct err why = ERR_INIT;
	int r;

	if (!h)
		return 0;
	/* The renewing thread looks too, but may just now be waiting for the store. */
	r = renew_check(&h->renewal, 0, &why);
	if (r < 0)
		work_fail(&h->work, r, &why);
	if (work_failed(&h->work, &why) == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, -EIO,
		       "backup %s is not read any more, because its pin was lost: %s",
		       h->first.backup, why.message);
}

bool hold_is_due(const struct hold *h)
{
	return clock_elapsed_ns(repo_clock(h->reg.repo)) - h->reg.written_elapsed_ns >=
	       h->renewal.renew_ms * 1000000;
}

void hold_tick(struct hold *h)
{
	renew_tick(h->renew);
}

void hold_stop(struct hold *h)
{
	cancel_set(&h->work.stop, 1);
}

int64_t hold_age_s(struct hold *h)
{
	return (clock_elapsed_ns(repo_clock(h->reg.repo)) - h->reg.written_elapsed_ns) / NS_PER_S;
}

const struct cancel *hold_lost(const struct hold *h)
{
	return &h->work.stop;
}

const struct pin *hold_pin(const struct hold *h)
{
	return &h->first;
}
