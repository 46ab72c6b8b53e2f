/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/meta.h"

#include <errno.h>
#include <string.h>
#include "base/budget.h"
#include "catalog/blobkeep.h"
#include "catalog/docget.h"
#include "catalog/keep.h"

#define MEMORY_BYTES (32 * MIB)
#define RECORD_SHARE \
	8 /* one part in so many of the memory is for records, where no kv keeps them */

/* A record that is being read takes some times the memory of its text: fetched, as JSON, and parsed. */
#define RECORD_MEMORY 8
#define RECORDS_UNDER_WAY_BYTES (RECORD_MEMORY * FORMAT_RECORD_BYTES)
#define RECORD_GROWTH_BYTES (64 * KIB) /* an OPEN record becomes longer after it was listed */

struct meta {
	struct repo *repo;
	struct source *source;
	struct kv *kv;
	struct blobkeep *blobs;	  /* in the kv; NULL: there is none */
	struct keep *objects;	  /* plain content of metadata objects, verified */
	struct budget *under_way; /* of records that are being read */
	struct keep *records; /* text, by writer and SHA-256 of the ETag; used where there is no kv */
};

struct meta *meta_new(const struct meta_options *o)
{
	uint64_t memory = o->memory_bytes ? o->memory_bytes : MEMORY_BYTES;
	struct meta *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->repo = o->repo;
	m->source = o->source;
	m->kv = o->kv;
	m->objects = keep_new(memory - memory / RECORD_SHARE, free);
	m->records = keep_new(memory / RECORD_SHARE, free);
	m->under_way = budget_new(RECORDS_UNDER_WAY_BYTES);
	m->blobs = o->kv ? blobkeep_new(o->kv) : NULL;
	if (!m->objects || !m->records || !m->under_way || (o->kv && !m->blobs)) {
		meta_free(m);
		return NULL;
	}
	return m;
}

void meta_free(struct meta *m)
{
	if (!m)
		return;
	blobkeep_free(m->blobs);
	keep_free(m->objects);
	keep_free(m->records);
	budget_free(m->under_way);
	free(m);
}

/* ---- blobs ---- */

/* The verified bytes of a tree or run: a part of a held object, or a copy of our own. */
struct blob {
	const void *data;
	size_t len_bytes;
	struct keep *keep;
	struct keep_item *item;
	void *own;
};

static void blob_deinit(struct blob *b)
{
	if (b->item)
		keep_release(b->keep, b->item);
	free(b->own);
}

static bool fits(const void *data, size_t len_bytes, const struct id256 *digest)
{
	struct id256 actual = content_id(data, len_bytes);

	return memcmp(&actual, digest, sizeof(actual)) == 0;
}

/* From the local store; whatever is wrong there, it is as if absent. */
static bool blob_from_kv(struct meta *m, const struct place *p, struct blob *b)
{
	_cleanup_free_ void *data = NULL;
	size_t len;

	if (!m->blobs || !blobkeep_get(m->blobs, &p->digest, &data, &len))
		return false;
	if (len != p->extent.len_bytes || !fits(data, len, &p->digest)) {
		blobkeep_drop(m->blobs, &p->digest);
		return false;
	}
	b->data = b->own = steal_pointer(&data);
	b->len_bytes = len;
	return true;
}

static int fetch_object(struct meta *m, const struct node_name *n, const struct object_ref *ref,
			void **ret, const struct cancel *c, struct err *e)
{
	_cleanup_free_ uint8_t *buffer = NULL;
	void *smaller;
	int r;

	if (ref->plain_bytes > FORMAT_OBJECT_BYTES)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "the size in a reference to a metadata object is out of range");
	buffer = malloc(SOURCE_HEADROOM + ref->plain_bytes);
	if (!buffer)
		return err_nomem(e);
	r = source_fetch(m->source, n, KEY_OBJECT_META, ref, buffer + SOURCE_HEADROOM, NULL, NULL,
			 c, e);
	if (r < 0)
		return r;
	memmove(buffer, buffer + SOURCE_HEADROOM, ref->plain_bytes);
	smaller = realloc(buffer, ref->plain_bytes);
	if (smaller)
		buffer = smaller;
	*ret = steal_pointer(&buffer);
	return 0;
}

/* The object, held: fetched once however many threads want something in it. */
static int hold_object(struct meta *m, const struct node_name *n, const struct object_ref *ref,
		       struct keep_item **ret, const struct cancel *c, struct err *e)
{
	struct keep_key key = { .writer = ref->writer, .id = ref->id };
	struct err mine = ERR_INIT;
	struct keep_item *item;
	void *data = NULL;
	int r;

	r = keep_claim(m->objects, &key, &item, c, &mine);
	if (r == KEEP_CLAIMED) {
		r = fetch_object(m, n, ref, &data, c, &mine);
		if (r < 0)
			keep_fail(m->objects, item, r, &mine);
		else
			keep_fill(m->objects, item, data, ref->plain_bytes);
	}
	if (r < 0 && e)
		*e = mine;
	if (r == 0)
		*ret = item;
	return r;
}

static int misplaced(const struct node_name *n, const struct place *p, const char *why,
		     struct err *e)
{
	char key[KEY_BYTES];

	err_set(e, ERR_CORRUPT, -EBADMSG, "the object is damaged: %s", why);
	err_key(e, keys_object(key, n, KEY_OBJECT_META, &p->extent.object.writer,
			       &p->extent.object.id));
	return -EBADMSG;
}

/* A part of an object that is held in b. */
static int blob_from_object(const struct node_name *n, const struct place *p, struct blob *b,
			    struct err *e)
{
	const uint8_t *content = keep_value(b->item);
	const struct extent *x = &p->extent;
	size_t size = keep_value_bytes(b->item);

	if (x->offset > size || x->len_bytes > size - x->offset)
		return misplaced(n, p, "a tree or run is said to lie beyond its end", e);
	if (!fits(content + x->offset, x->len_bytes, &p->digest))
		return misplaced(n, p, "a tree or run in it is not what refers to it says", e);
	b->data = content + x->offset;
	b->len_bytes = x->len_bytes;
	return 0;
}

static int blob_get(struct meta *m, const struct node_name *n, const struct place *p, bool keep,
		    struct blob *b, const struct cancel *c, struct err *e)
{
	const struct object_ref *ref = &p->extent.object;
	struct keep_key key = { .writer = ref->writer, .id = ref->id };
	int r;

	b->keep = m->objects;
	b->item = keep_find(m->objects, &key);
	if (!b->item && blob_from_kv(m, p, b))
		return 0;
	if (!b->item) {
		r = hold_object(m, n, ref, &b->item, c, e);
		if (r < 0)
			return r;
	}
	r = blob_from_object(n, p, b, e);
	if (r == 0 && m->blobs && keep)
		blobkeep_put(m->blobs, &p->digest, b->data, b->len_bytes);
	return r;
}

/* A blob that fits its digest but cannot be parsed: which object it lies in. */
static int parsed(const struct node_name *n, const struct place *p, int r, struct err *e)
{
	char key[KEY_BYTES];

	if (r < 0)
		err_key(e, keys_object(key, n, KEY_OBJECT_META, &p->extent.object.writer,
				       &p->extent.object.id));
	return r;
}

static int get_tree(struct meta *m, const struct node_name *n, const struct place *p, bool keep,
		    struct tree **ret, const struct cancel *c, struct err *e)
{
	_cleanup_(blob_deinit) struct blob b = { 0 };
	int r = blob_get(m, n, p, keep, &b, c, e);

	return r < 0 ? r : parsed(n, p, tree_parse(b.data, b.len_bytes, ret, e), e);
}

int meta_tree(struct meta *m, const struct node_name *n, const struct place *p, struct tree **ret,
	      const struct cancel *c, struct err *e)
{
	return get_tree(m, n, p, true, ret, c, e);
}

int meta_tree_once(struct meta *m, const struct node_name *n, const struct place *p,
		   struct tree **ret, const struct cancel *c, struct err *e)
{
	return get_tree(m, n, p, false, ret, c, e);
}

static int get_run(struct meta *m, const struct node_name *n, const struct place *p, bool keep,
		   struct run **ret, const struct cancel *c, struct err *e)
{
	_cleanup_(blob_deinit) struct blob b = { 0 };
	int r = blob_get(m, n, p, keep, &b, c, e);

	return r < 0 ? r : parsed(n, p, run_parse(b.data, b.len_bytes, ret, e), e);
}

int meta_run(struct meta *m, const struct node_name *n, const struct place *p, struct run **ret,
	     const struct cancel *c, struct err *e)
{
	return get_run(m, n, p, true, ret, c, e);
}

int meta_run_once(struct meta *m, const struct node_name *n, const struct place *p,
		  struct run **ret, const struct cancel *c, struct err *e)
{
	return get_run(m, n, p, false, ret, c, e);
}

/* ---- records ---- */

struct record_text {
	char key[KEY_BYTES];
	struct keep_key kept;
	char *text;
	size_t len_bytes;
	char etag[STORE_ETAG_MAX];
};

/* ETag, NUL, text: as it lies in the local store. */
static char *record_pack_text(const struct record_text *t, size_t *ret_len)
{
	size_t etag_bytes = strlen(t->etag) + 1;
	char *packed = malloc(etag_bytes + t->len_bytes + 1);

	if (!packed)
		return NULL;
	memcpy(packed, t->etag, etag_bytes);
	memcpy(packed + etag_bytes, t->text, t->len_bytes);
	packed[etag_bytes + t->len_bytes] = '\0';
	*ret_len = etag_bytes + t->len_bytes;
	return packed;
}

static int record_parse(const struct record_text *t, const struct node_name *n,
			const struct record_key *key, int64_t modified_ns, struct record **ret,
			struct err *e)
{
	int r = record_decode(t->key, t->text, t->len_bytes, n, key->backup, &key->writer, ret, e);

	if (r < 0)
		err_key(e, t->key);
	else if ((*ret)->store_time_ns == 0)
		(*ret)->store_time_ns = modified_ns;
	return r;
}

/* What was kept of the record, if it is of this ETag. True: *ret is set. */
static bool record_recall(struct meta *m, const struct node_name *n, const struct record_key *key,
			  struct record_text *t, struct record **ret)
{
	_cleanup_free_ void *packed = NULL;
	struct keep_item *item = NULL;
	const char *data = NULL, *end;
	size_t len = 0;
	bool found;

	if (!*key->etag)
		return false;
	if (m->kv) {
		if (kv_get(m->kv, KV_RECORDS, t->key, strlen(t->key), &packed, &len, NULL) == 0)
			data = packed;
	} else if ((item = keep_find(m->records, &t->kept))) {
		data = keep_value(item);
		len = keep_value_bytes(item);
	}
	end = data ? memchr(data, '\0', len) : NULL;
	found = end && strcmp(data, key->etag) == 0;
	if (found) {
		struct record_text kept = *t;

		kept.len_bytes = len - (size_t)(end + 1 - data);
		kept.text = (char *)(uintptr_t)(end + 1);
		found = record_parse(&kept, n, key, key->modified_ns, ret, NULL) == 0;
	}
	keep_release(m->records, item);
	return found;
}

static void record_remember(struct meta *m, const struct record_text *t)
{
	size_t len;
	char *packed = *t->etag ? record_pack_text(t, &len) : NULL;

	if (!packed)
		return;
	if (!m->kv) {
		keep_add(m->records, &t->kept, packed, len);
		return;
	}
	kv_put(m->kv, KV_RECORDS, t->key, strlen(t->key), packed, len, NULL);
	free(packed);
}

struct wanted_record {
	struct meta *meta;
	const struct node_name *node;
	const struct record_key *key;
	struct record_text *text;
	struct record *record;
};

/* As docget_fn: remembers what is whole. */
static int read_record(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		       struct err *e)
{
	struct wanted_record *w = ctx;
	int r;

	w->text->text = (char *)(uintptr_t)text;
	w->text->len_bytes = len;
	memcpy(w->text->etag, meta->etag, sizeof(meta->etag));
	w->text->kept.id = digest_sha256(meta->etag, strlen(meta->etag));
	r = record_parse(w->text, w->node, w->key, meta->modified_ns, &w->record, e);
	if (r == 0)
		record_remember(w->meta, w->text);
	return r;
}

static int record_read(struct meta *m, const struct node_name *n, const struct record_key *key,
		       size_t max_bytes, struct record **ret, const struct cancel *c, struct err *e)
{
	struct record_text t = { .kept.writer = key->writer };
	struct wanted_record w = { .meta = m, .node = n, .key = key, .text = &t };
	int r;

	keys_record(t.key, n, key->backup, &key->writer);
	t.kept.id = digest_sha256(key->etag, strlen(key->etag));
	if (record_recall(m, n, key, &t, ret))
		return 0;
	r = docget(repo_store(m->repo), t.key, max_bytes, read_record, &w, c, e);
	if (r == 0)
		*ret = w.record;
	return r;
}

/* Within the memory for records: as large as the listing said, and once more, where it is larger than that by now. */
int meta_record(struct meta *m, const struct node_name *n, const struct record_key *key,
		struct record **ret, const struct cancel *c, struct err *e)
{
	size_t max_bytes = MIN_OF(key->size_bytes, FORMAT_RECORD_BYTES) + RECORD_GROWTH_BYTES;
	int r;

	for (;;) {
		max_bytes = MIN_OF(max_bytes, FORMAT_RECORD_BYTES);
		r = budget_take(m->under_way, max_bytes * RECORD_MEMORY, c);
		if (r < 0)
			return err_set(e, ERR_IO, r, "interrupted");
		r = record_read(m, n, key, max_bytes, ret, c, e);
		budget_give(m->under_way, max_bytes * RECORD_MEMORY);
		if (r != -EFBIG || max_bytes == FORMAT_RECORD_BYTES)
			return r;
		max_bytes = FORMAT_RECORD_BYTES;
	}
}
