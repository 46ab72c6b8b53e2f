/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/explore/sched.h"
#include "tests/explore/trace.h"

struct step_store {
	struct store store;
	struct world *world;
	struct actor *actor;
};

/* A put or delete that is still on its way. */
struct late {
	struct store_put put;
	struct iovec body;
	char *key, *etag;
	char **keys;
	size_t key_count;
	struct request shown;
	struct late *next;
};

static struct step_store *of(struct store *s)
{
	return (struct step_store *)s;
}

/* ---- what a request is to the protocol ---- */

static bool has(const char *key, const char *part)
{
	return strstr(key, part) != NULL;
}

static bool body_says(const struct store_put *put, const char *word)
{
	for (int i = 0; put && i < put->body_count; i++)
		if (memmem(put->body[i].iov_base, put->body[i].iov_len, word, strlen(word)))
			return true;
	return false;
}

static enum step step_of_backup(struct actor *a, const struct request *q,
				const struct store_put *put)
{
	const char *key = q->keys[0];

	if (has(key, "/records/") && q->op == OP_PUT) {
		/* The first write is W1, or takes over a record. */
		if (a->phase == 0 || q->cond == STORE_IF_ABSENT) {
			a->phase = MAX_OF(a->phase, 1u);
			return STEP_W1;
		}
		if (body_says(put, "\"COMMITTED\""))
			return STEP_W5;
		return body_says(put, "\"ABORTED\"") ? STEP_WX : STEP_W4;
	}
	if (has(key, "/condemned/")) {
		a->phase = 2;
		return q->op == OP_LIST ? STEP_W2_LIST : STEP_W2_GET;
	}
	if (has(key, "/records/")) {
		if (a->phase == 0)
			return STEP_W0_FIND;
		return q->op == OP_LIST ? a->phase == 1 ? STEP_W1_LIST : STEP_W2B_LIST
		       : a->phase == 1	? STEP_W1_GET
					: STEP_W2B_GET;
	}
	if (q->op == OP_PUT || q->op == OP_HEAD)
		return STEP_W3;
	return has(key, "/trees/") ? STEP_W2B_TREE : STEP_OTHER;
}

static enum step step_of_list(const struct request *q, unsigned phase)
{
	bool waits = has(q->keys[0], ".waits");

	if (q->op == OP_PUT)
		return waits ? STEP_C3_WAITS : STEP_C2;
	if (q->op == OP_DELETE)
		return waits ? STEP_C4_WAITS : STEP_C4_LIST;
	return phase > 2 && !waits && q->op != OP_LIST ? STEP_C4_AGAIN : STEP_C_LISTS;
}

/* A run of a collector lists the records for C1, then for C3, and for each C4. */
static enum step step_of_collector(struct actor *a, const struct request *q)
{
	const char *key = q->keys[0];
	bool records = has(key, "/records/"), pins = has(key, "/pins/"),
	     lists = records && q->op == OP_LIST;

	a->phase += lists && !a->was_listing;
	a->was_listing = lists;
	if (has(key, "/condemned/"))
		return step_of_list(q, a->phase);
	if (q->op == OP_PUT && (pins || records))
		return STEP_C_FENCE;
	if (q->op == OP_DELETE)
		return pins || records ? STEP_C_END : STEP_C4_DELETE;
	if (records)
		return a->phase < 2    ? STEP_C1_RECORDS
		       : a->phase == 2 ? STEP_C3_RECORDS
				       : STEP_C4_RECORDS;
	if (pins)
		return a->phase < 2 ? STEP_C1_PINS : STEP_C4_PINS;
	if (q->op == OP_LIST)
		return STEP_C1_KEYS;
	return has(key, "/trees/") ? STEP_C_TREE : STEP_OTHER;
}

static enum step step_of_reader(const struct request *q)
{
	if (has(q->keys[0], "/pins/"))
		return q->op == OP_DELETE	    ? STEP_R_END
		       : q->cond == STORE_IF_ABSENT ? STEP_R_PIN
						    : STEP_R_RENEW;
	return has(q->keys[0], "/records/") ? STEP_R_CHECK : STEP_R_READ;
}

static enum step step_of(struct request *q, const struct store_put *put)
{
	switch (q->actor->role) {
	case ROLE_BACKUP:
		return step_of_backup(q->actor, q, put);
	case ROLE_COLLECT:
		return step_of_collector(q->actor, q);
	case ROLE_READ:
		return step_of_reader(q);
	default:
		return q->op == OP_PUT ? STEP_D_WRITE : STEP_D_READ;
	}
}

/* ---- waiting for the scheduler ---- */

static bool is_write(const struct request *q)
{
	return q->op == OP_PUT || q->op == OP_DELETE;
}

/* The scheduler has decided when this returns. */
static void await(struct request *q, const struct store_put *put)
{
	struct actor *a = q->actor;

	q->step = step_of(q, put);
	q->outcome = "";
	q->thread = green_self();
	if (a->crashed) {
		q->verdict = VERDICT_CRASHED;
		return;
	}
	*a->last = q;
	a->last = &q->next;
	green_park();
}

static int lost(const struct request *q, struct err *e)
{
	bool write = is_write(q);
	int r = cancel_is_set(q->cancel) ? -ECANCELED : -EIO;

	err_set(e, ERR_STORE, r, "the answer was lost");
	if (e) {
		e->retryable = true;
		e->outcome_unknown = write;
	}
	return r;
}

static bool carries_out(const struct request *q)
{
	return q->verdict == VERDICT_DO || q->verdict == VERDICT_LOST_DONE;
}

/* What the caller gets where the request was carried out with result r, or was not. */
static int answer(struct step_store *s, struct request *q, int r, struct err *e)
{
	static const char *const outcomes[] = { "ok", "not found", "precondition", "conflict" };

	q->changed = carries_out(q) && q->changed;
	switch (q->verdict) {
	case VERDICT_DO:
		q->outcome = r < 0 ? "failed" : outcomes[r];
		break;
	case VERDICT_LOST_DONE:
		q->outcome = "carried out, answer lost";
		break;
	case VERDICT_LOST:
		q->outcome = "lost";
		break;
	case VERDICT_LATE:
		q->outcome = "lost, will arrive late";
		break;
	default:
		q->outcome = "not sent";
	}
	if (q->verdict != VERDICT_CRASHED && q->verdict != VERDICT_GIVEN_UP)
		trace_add(s->world->trace, q);
	if (q->actor->crashed || q->verdict == VERDICT_CRASHED)
		return err_set(e, ERR_IO, -EIO, "this process crashed");
	if (q->verdict == VERDICT_GIVEN_UP)
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	return q->verdict == VERDICT_DO ? r : lost(q, e);
}

static struct request request_of(struct store *s, enum op op, const char *const *keys,
				 size_t key_count, const struct cancel *c)
{
	return (struct request){
		.actor = of(s)->actor, .op = op, .keys = keys, .key_count = key_count, .cancel = c
	};
}

/* ---- what arrives late ---- */

static char *copy(const char *text)
{
	char *c = strdup(text);

	if (!c)
		abort();
	return c;
}

static struct late *late_new(struct actor *a, const struct request *q)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->shown = *q;
	l->next = a->late;
	a->late = l;
	return l;
}

static void put_late(struct actor *a, const struct request *q, const struct store_put *put)
{
	struct late *l = late_new(a, q);
	size_t len = 0;
	uint8_t *at;

	for (int i = 0; i < put->body_count; i++)
		len += put->body[i].iov_len;
	l->body = (struct iovec){ malloc(len + 1), len };
	at = l->body.iov_base;
	for (int i = 0; i < put->body_count; i++) {
		memcpy(at, put->body[i].iov_base, put->body[i].iov_len);
		at += put->body[i].iov_len;
	}
	l->key = copy(put->key);
	l->etag = put->etag ? copy(put->etag) : NULL;
	l->put = (struct store_put){ l->key, &l->body, 1, put->cond, l->etag };
}

static void delete_late(struct actor *a, const struct request *q)
{
	struct late *l = late_new(a, q);

	l->keys = calloc(q->key_count, sizeof(*l->keys));
	for (; l->key_count < q->key_count; l->key_count++)
		l->keys[l->key_count] = copy(q->keys[l->key_count]);
}

static void late_free_one(struct late *l)
{
	for (size_t i = 0; i < l->key_count; i++)
		free(l->keys[i]);
	free(l->keys);
	free(l->key);
	free(l->etag);
	free(l->body.iov_base);
	free(l);
}

void late_free(struct late *l)
{
	while (l) {
		struct late *next = l->next;

		late_free_one(l);
		l = next;
	}
}

void late_arrive(struct world *w, struct actor *a)
{
	struct late *l = a->late;
	struct store_delete_error errors[8];
	struct store_meta meta;
	size_t count;

	a->late = l->next;
	l->shown.keys = l->key ? (const char *const *)&l->key : (const char *const *)l->keys;
	l->shown.verdict = VERDICT_LATE;
	if (l->key)
		l->shown.changed = w->store->ops->put(w->store, &l->put, &meta, NULL, NULL) == 0;
	else
		l->shown.changed = w->store->ops->delete_many(w->store, l->shown.keys, l->key_count,
							      errors, &count, NULL, NULL) == 0;
	l->shown.outcome = l->shown.changed ? "arrives late, carried out" : "arrives late, refused";
	trace_add(w->trace, &l->shown);
	late_free_one(l);
}

/* ---- the store ---- */

static int step_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct store *below = of(s)->world->store;
	struct request q = request_of(s, OP_PUT, &req->key, 1, c);
	int r = 0;

	q.cond = req->cond;
	await(&q, req);
	if (carries_out(&q))
		r = below->ops->put(below, req, ret, NULL, e);
	q.changed = r == 0;
	if (q.verdict == VERDICT_LATE)
		put_late(q.actor, &q, req);
	return answer(of(s), &q, r, e);
}

static int step_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct store *below = of(s)->world->store;
	struct request q = request_of(s, OP_GET, &req->key, 1, c);
	int r = 0;

	await(&q, NULL);
	if (carries_out(&q))
		r = below->ops->get(below, req, ret, NULL, e);
	return answer(of(s), &q, r, e);
}

static int step_head(struct store *s, const char *key, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct store *below = of(s)->world->store;
	struct request q = request_of(s, OP_HEAD, &key, 1, c);
	int r = 0;

	await(&q, NULL);
	if (carries_out(&q))
		r = below->ops->head(below, key, ret, NULL, e);
	return answer(of(s), &q, r, e);
}

/* One page of a listing, copied: it is handed out afterwards, while others change the store. */
struct page {
	struct store_entry entries[512];
	size_t count, wanted;
};

static int on_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct page *p = ctx;
	struct store_entry *to = &p->entries[p->count];

	if (p->count == ARRAY_SIZE(p->entries))
		abort();
	*to = *entry;
	to->key = copy(entry->key);
	to->etag = copy(entry->etag);
	p->count++;
	return p->wanted > 0 && p->count == p->wanted;
}

static void page_deinit(struct page *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free((char *)(uintptr_t)p->entries[i].key);
		free((char *)(uintptr_t)p->entries[i].etag);
	}
}

static int hand_out(const struct page *p, const struct store_list *req, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < p->count && r == 0; i++)
		r = req->entry(req->ctx, &p->entries[i], e);
	return r;
}

static int step_list(struct store *s, const struct store_list *req, const struct cancel *c,
		     struct err *e)
{
	struct store *below = of(s)->world->store;
	_cleanup_free_ char *after = req->start_after ? copy(req->start_after) : NULL;

	for (;;) {
		_cleanup_(page_deinit) struct page page;
		struct store_list part = *req;
		struct request q = request_of(s, OP_LIST, &req->prefix, 1, c);
		int r;

		page.count = 0;
		page.wanted = req->delimiter ? 0 : of(s)->world->list_page;
		part.entry = on_entry;
		part.ctx = &page;
		part.start_after = after;
		await(&q, NULL);
		r = carries_out(&q) ? below->ops->list(below, &part, NULL, e) : 0;
		r = answer(of(s), &q, r, e);
		if (r == 0)
			r = hand_out(&page, req, e);
		if (r || page.wanted == 0 || page.count < page.wanted)
			return MIN_OF(r, 0);
		free(after);
		after = copy(page.entries[page.count - 1].key);
	}
}

static int delete_some(struct store *s, const char *const *keys, size_t count,
		       struct store_delete_error *errors, const struct cancel *c, struct err *e)
{
	struct store *below = of(s)->world->store;
	struct request q = request_of(s, OP_DELETE, keys, count, c);
	size_t none = 0;
	int r = 0;

	await(&q, NULL);
	if (carries_out(&q)) {
		for (size_t i = 0; i < count; i++) {
			struct store_meta meta;

			q.changed |= below->ops->head(below, keys[i], &meta, NULL, NULL) == 0;
		}
		r = below->ops->delete_many(below, keys, count, errors, &none, NULL, e);
	}
	if (q.verdict == VERDICT_LATE)
		delete_late(q.actor, &q);
	return answer(of(s), &q, r, e);
}

static int step_delete(struct store *s, const char *const *keys, size_t count,
		       struct store_delete_error *errors, size_t *ret_error_count,
		       const struct cancel *c, struct err *e)
{
	size_t each = of(s)->world->delete_singly ? 1 : count;
	int r = 0;

	*ret_error_count = 0;
	for (size_t i = 0; i < count && r == 0; i += each)
		r = delete_some(s, keys + i, MIN_OF(each, count - i), errors, c, e);
	return r;
}

static unsigned step_caps(struct store *s)
{
	return of(s)->world->store->ops->caps(of(s)->world->store);
}

static void step_free(struct store *s)
{
	free(of(s));
}

struct store *step_store_new(struct world *w, struct actor *a)
{
	static const struct store_ops ops = {
		.name = "step",
		.put = step_put,
		.get = step_get,
		.head = step_head,
		.list = step_list,
		.delete_many = step_delete,
		.caps = step_caps,
		.free = step_free,
	};
	struct step_store *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	*s = (struct step_store){ .store = { &ops }, .world = w, .actor = a };
	return &s->store;
}
