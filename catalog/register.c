/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/register.h"

#include <errno.h>
#include <string.h>

#define NONCE_BYTES 16
#define ATTEMPTS 5 /* of one write: answers 409, and writes that were not carried out after all */

void reg_init(struct reg *g, struct repo *repo, const struct reg_kind *kind,
	      const struct reg_doc *d)
{
	uint8_t nonce[NONCE_BYTES];

	*g = (struct reg){ .repo = repo, .kind = kind, .d = *d };
	clock_random(repo_clock(repo), nonce, sizeof(nonce));
	util_hex(d->nonce, nonce, sizeof(nonce));
}

/* ---- records ---- */

static void record_key(const void *doc, char *out)
{
	const struct record *r = doc;

	keys_record(out, &r->where, r->backup, &r->writer);
}

static int record_text(const void *doc, char **ret_text, size_t *ret_len, struct err *e)
{
	return record_encode(doc, ret_text, ret_len, e);
}

static int record_there(struct repo *repo, const void *doc, struct reg_seen *ret,
			const struct cancel *c, struct err *e)
{
	_cleanup_(record_freep) struct record *there = NULL;
	const struct record *mine = doc;
	int r = repo_get_record(repo, &mine->where, mine->backup, &mine->writer, &there, ret->etag,
				c, e);

	if (r != 0)
		return r;
	ret->sequence = there->sequence;
	memcpy(ret->nonce, there->nonce, sizeof(ret->nonce));
	ret->open = there->state == RECORD_OPEN;
	ret->store_time_ns = there->store_time_ns;
	return 0;
}

void reg_init_record(struct reg *g, struct repo *repo, struct record *record)
{
	static const struct reg_kind kind = { "the backup's record", record_key, record_text,
					      record_there };

	reg_init(g, repo, &kind,
		 &(struct reg_doc){ record, &record->sequence, record->nonce,
				    &record->store_time_ns, &record->renewed_ns });
}

/* ---- the machinery ---- */

/* One PUT of the document as it is. As store_put. */
static int put_document(struct reg *g, enum store_cond cond, struct store_meta *ret,
			const struct cancel *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	char key[KEY_BYTES];
	size_t len;
	int r = g->kind->encode(g->d.doc, &text, &len, e);

	if (r < 0)
		return r;
	g->kind->key(g->d.doc, key);
	return store_put_bytes(repo_store(g->repo), key, text, len, cond,
			       cond == STORE_IF_MATCH ? g->etag : NULL, ret, c, e);
}

/* What lies under the key, as seen from what we tried to write. */
enum seen {
	SEEN_OURS = 1, /* the very write: nonce and number */
	SEEN_EARLIER, /* what this write was to replace: an earlier one of this register, still OPEN, or what it was begun with */
	SEEN_OTHER,
	SEEN_NOTHING,
};

/* enum seen, or < 0. For SEEN_OURS and SEEN_EARLIER the ETag is taken over. */
static int look(struct reg *g, int64_t *ret_store_time_ns, const struct cancel *c, struct err *e)
{
	struct reg_seen there;
	int r = g->kind->read(g->repo, g->d.doc, &there, c, e);

	if (r > 0)
		return SEEN_NOTHING;
	if (r < 0)
		return r;
	if (g->etag[0] && strcmp(there.etag, g->etag) == 0)
		return SEEN_EARLIER; /* somebody else's, who is to be fenced or taken over */
	if (strcmp(there.nonce, g->d.nonce) != 0 || there.sequence > *g->d.sequence)
		return SEEN_OTHER;
	if (there.sequence < *g->d.sequence && !there.open)
		return SEEN_OTHER;
	memcpy(g->etag, there.etag, sizeof(g->etag));
	*ret_store_time_ns = there.store_time_ns;
	return there.sequence == *g->d.sequence ? SEEN_OURS : SEEN_EARLIER;
}

/*
 * A write whose condition failed, or whose outcome is unknown, is decided by what lies under the key. Where that is still an earlier write of
 * ours (or, for the first one, nothing), the same bytes are sent again under the same condition: should the lost request arrive late after all, one of
 * the two fails its condition, and the next look finds our nonce and number.
 */
static int decide(int seen, enum store_cond cond, bool unknown)
{
	switch (seen) {
	case SEEN_OURS:
		return 0;
	case SEEN_EARLIER:
		return cond == STORE_IF_MATCH ? -EAGAIN : REG_LOST;
	case SEEN_NOTHING:
		return cond == STORE_IF_ABSENT && unknown ? -EAGAIN : REG_LOST;
	default:
		return REG_LOST;
	}
}

static void note_success(struct reg *g, int64_t started, int64_t store_time_ns)
{
	g->written_elapsed_ns = started;
	if (*g->d.store_time_ns == 0)
		*g->d.store_time_ns = store_time_ns;
}

static int write_record(struct reg *g, enum store_cond cond, const struct cancel *c, struct err *e)
{
	bool unknown = false;

	for (int i = 0; i < ATTEMPTS; i++) {
		int64_t started = clock_elapsed_ns(repo_clock(g->repo)), store_time_ns = 0;
		struct store_meta meta;
		int r;

		*e = ERR_INIT;
		r = put_document(g, cond, &meta, c, e);
		if (r == 0) {
			memcpy(g->etag, meta.etag, sizeof(meta.etag));
			note_success(g, started, meta.date_ns);
			return 0;
		}
		if (r == STORE_CONFLICT)
			continue;
		unknown = unknown || (r < 0 && e->outcome_unknown);
		if (r < 0 && !e->outcome_unknown) {
			e->outcome_unknown = unknown;
			return r;
		}
		r = look(g, &store_time_ns, c, e);
		if (r < 0) {
			e->outcome_unknown = unknown;
			return r;
		}
		r = decide(r, cond, unknown);
		if (r == 0)
			note_success(g, started, store_time_ns);
		if (r >= 0)
			return r;
	}
	err_set(e, ERR_STORE, -EIO,
		"the store did not carry out a conditional write in %d attempts", ATTEMPTS);
	e->outcome_unknown = unknown;
	return -EIO;
}

/* write_record with somewhere to note errors in any case, and no traces of attempts that do not matter any more. */
static int write_noting(struct reg *g, enum store_cond cond, const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = write_record(g, cond, c, &mine);

	if (r < 0 && e)
		*e = mine;
	return r;
}

int reg_create(struct reg *g, const struct cancel *c, struct err *e)
{
	*g->d.sequence = 1;
	*g->d.store_time_ns = 0;
	return write_noting(g, STORE_IF_ABSENT, c, e);
}

int reg_adopt(struct reg *g, const struct cancel *c, struct err *e)
{
	int64_t started = clock_elapsed_ns(repo_clock(g->repo)), store_time_ns = 0;
	int r = look(g, &store_time_ns, c, e);

	if (r < 0)
		return r;
	if (r != SEEN_OURS)
		return REG_LOST;
	note_success(g, started, store_time_ns);
	return 0;
}

int reg_write(struct reg *g, const struct cancel *c, struct err *e)
{
	++*g->d.sequence;
	return write_noting(g, STORE_IF_MATCH, c, e);
}

int reg_fence(struct repo *repo, struct record *record, const char *etag, const struct cancel *c,
	      struct err *e)
{
	struct reg g;

	reg_init_record(&g, repo, record);
	memcpy(g.etag, etag, sizeof(g.etag));
	record->state = RECORD_ABORTED;
	return reg_write(&g, c, e);
}
