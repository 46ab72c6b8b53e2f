/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/pin.h"

#include <errno.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/docget.h"
#include "catalog/docplace.h"

#define TYPE "pin"

const char *pin_state_name(enum pin_state s)
{
	static const char *const names[] = { [PIN_HELD] = "HELD", [PIN_ENDED] = "ENDED" };

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : NULL;
}

/* ---- writing ---- */

/* NULL, or what must not be in a pin that is to be written. */
static const char *check(const struct pin *p)
{
	if (!pin_state_name(p->state) || p->sequence < 1)
		return "state or sequence number";
	if (strlen(p->nonce) != sizeof(p->nonce) - 1)
		return "nonce";
	if (keys_check_name("backup", p->backup, NULL) < 0 ||
	    keys_check_name("cluster", p->where.cluster, NULL) < 0 ||
	    keys_check_name("node", p->where.node, NULL) < 0)
		return "names";
	return docplace_is_fine(&p->root) ? NULL : "root tree";
}

static void put_all(json_t *o, const struct pin *p, bool *failed)
{
	json_t *reader = json_object(), *times = json_object();

	doc_put(o, "state", json_string(pin_state_name(p->state)), failed);
	doc_put_u64(o, "sequence", p->sequence, failed);
	doc_put(o, "nonce", json_string(p->nonce), failed);
	docplace_put_ulid(o, "id", &p->id, failed);
	doc_put(o, "cluster", json_string(p->where.cluster), failed);
	doc_put(o, "node", json_string(p->where.node), failed);
	doc_put(o, "backup", json_string(p->backup), failed);
	docplace_put_ulid(o, "writer", &p->writer, failed);
	docplace_put(o, "root", &p->root, failed);
	doc_put_text(reader, "purpose", p->purpose, failed);
	doc_put_text(reader, "host", p->host, failed);
	doc_put_u64(reader, "pid", p->pid, failed);
	doc_put(o, "reader", reader, failed);
	doc_put_time(times, "started", p->started_ns, failed);
	doc_put_time(times, "renewed", p->renewed_ns, failed);
	doc_put_time(times, "store", p->store_time_ns, failed);
	doc_put(o, "times", times, failed);
}

int pin_encode(const struct pin *p, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	const char *wrong = check(p);
	bool failed = false;

	if (wrong)
		return err_set(e, ERR_IO, -EINVAL, "cannot write a pin of \"%s\": %s", p->backup,
			       wrong);
	if (p->refused)
		return err_set(e, ERR_USAGE, -ENOTSUP,
			       "a pin of \"%s\" has features that this program does not know: use "
			       "a newer sstablefs to change it",
			       p->backup);
	o = doc_new(TYPE);
	if (o)
		put_all(o, p, &failed);
	if (!o || failed)
		return err_nomem(e);
	return json_seal(o, ret_text, ret_len, e);
}

/* ---- reading ---- */

static int damaged(struct err *e, const char *key, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" %s", key, why);
}

static int read_state(const json_t *o, struct pin *p, struct err *e)
{
	uint8_t nonce[(sizeof(p->nonce) - 1) / 2];
	const char *text = NULL;
	unsigned s = 0;
	int r = doc_need_text(o, "state", FORMAT_TEXT_BYTES, &text, e);

	if (r < 0)
		return r;
	while (pin_state_name(s) && strcmp(pin_state_name(s), text) != 0)
		s++;
	if (!pin_state_name(s))
		return damaged(e, "state", "is not known");
	p->state = s;
	r = doc_need_u64(o, "sequence", INT64_MAX, &p->sequence, e);
	if (r == 0 && p->sequence == 0)
		return damaged(e, "sequence", "is 0");
	if (r == 0)
		r = doc_need_hex(o, "nonce", nonce, sizeof(nonce), e);
	if (r == 0)
		util_hex(p->nonce, nonce, sizeof(nonce));
	return r;
}

static int read_names(const json_t *o, struct pin *p, struct err *e)
{
	int r = docplace_need_ulid(o, "id", &p->id, e);

	if (r == 0)
		r = docplace_need_name(o, "cluster", p->where.cluster, e);
	if (r == 0)
		r = docplace_need_name(o, "node", p->where.node, e);
	if (r == 0)
		r = docplace_need_name(o, "backup", p->backup, e);
	if (r == 0)
		r = docplace_need_ulid(o, "writer", &p->writer, e);
	return r == 0 ? docplace_need(o, "root", &p->root, e) : r;
}

/* Absent: "". */
static int get_word(const json_t *o, const char *key, char out[FORMAT_READER_BYTES + 1],
		    struct err *e)
{
	const char *text = "";
	int r = json_get_string(o, key, FORMAT_READER_BYTES, &text, e);

	if (r < 0 && r != -ENOENT)
		return r;
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int read_reader(const json_t *o, struct pin *p, struct err *e)
{
	const json_t *reader = NULL, *times = NULL;
	int r = doc_need_object(o, "reader", &reader, e);

	if (r == 0)
		r = get_word(reader, "purpose", p->purpose, e);
	if (r == 0)
		r = get_word(reader, "host", p->host, e);
	if (r == 0)
		r = docplace_need_u32(reader, "pid", UINT32_MAX, &p->pid, e);
	if (r == 0)
		r = doc_need_object(o, "times", &times, e);
	if (r == 0)
		r = doc_get_time(times, "started", &p->started_ns, e);
	if (r == 0)
		r = doc_get_time(times, "renewed", &p->renewed_ns, e);
	return r == 0 ? doc_get_time(times, "store", &p->store_time_ns, e) : r;
}

/* A pin lies under the key that its own fields give. */
static int check_key(const struct pin *p, const struct node_name *where, const struct ulid *id,
		     struct err *e)
{
	if (where && !keys_node_equal(where, &p->where))
		return damaged(e, "node", "is not that of its key");
	if (id && memcmp(id->b, p->id.b, ULID_BYTES) != 0)
		return damaged(e, "id", "is not that of its key");
	return 0;
}

int pin_decode(const char *text, size_t len_bytes, const struct node_name *where,
	       const struct ulid *id, struct pin *ret, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	struct pin p = { .state = PIN_HELD };
	int r = doc_open("the pin", TYPE, text, len_bytes, FORMAT_PIN_BYTES, &o, &p.refused, e);

	if (r == 0)
		r = doc_refuse("the pin", o, DOC_READ, e);
	if (r < 0)
		return r;
	r = read_state(o, &p, e);
	if (r == 0)
		r = read_names(o, &p, e);
	if (r == 0)
		r = read_reader(o, &p, e);
	if (r == 0)
		r = check_key(&p, where, id, e);
	if (r < 0)
		return err_wrap(e, r, "the pin is damaged");
	*ret = p;
	return 0;
}

struct wanted {
	const struct node_name *where;
	const struct ulid *id;
	struct pin *ret;
	char etag[STORE_ETAG_MAX];
};

/* As docget_fn. */
static int read_pin(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		    struct err *e)
{
	struct wanted *w = ctx;
	int r = pin_decode(text, len, w->where, w->id, w->ret, e);

	if (r == 0)
		memcpy(w->etag, meta->etag, sizeof(w->etag));
	return r;
}

int pin_get(struct repo *repo, const struct node_name *where, const struct ulid *id,
	    struct pin *ret, char *ret_etag, const struct cancel *c, struct err *e)
{
	struct wanted w = { .where = where, .id = id, .ret = ret };
	char key[KEY_BYTES];
	int r = docget(repo_store(repo), keys_pin(key, where, id), FORMAT_PIN_BYTES, read_pin, &w,
		       c, e);

	if (r < 0)
		err_key(e, key);
	if (r == 0 && ret_etag)
		memcpy(ret_etag, w.etag, sizeof(w.etag));
	return r;
}

/* ---- as a register ---- */

static void pin_key(const void *doc, char *out)
{
	const struct pin *p = doc;

	keys_pin(out, &p->where, &p->id);
}

static int pin_text(const void *doc, char **ret_text, size_t *ret_len, struct err *e)
{
	return pin_encode(doc, ret_text, ret_len, e);
}

static int pin_there(struct repo *repo, const void *doc, struct reg_seen *ret,
		     const struct cancel *c, struct err *e)
{
	const struct pin *mine = doc;
	struct pin there;
	int r = pin_get(repo, &mine->where, &mine->id, &there, ret->etag, c, e);

	if (r != 0)
		return r;
	ret->sequence = there.sequence;
	memcpy(ret->nonce, there.nonce, sizeof(ret->nonce));
	ret->open = there.state == PIN_HELD;
	ret->store_time_ns = there.store_time_ns;
	return 0;
}

void pin_register(struct reg *g, struct repo *repo, struct pin *p)
{
	static const struct reg_kind kind = { "the pin", pin_key, pin_text, pin_there };

	reg_init(g, repo, &kind,
		 &(struct reg_doc){ p, &p->sequence, p->nonce, &p->store_time_ns, &p->renewed_ns });
}
