/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/repo.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/docget.h"

#define REPO_ID_BYTES 16
#define NODES_PREFIX "nodes/"
#define INIT_ATTEMPTS 3 /* of the one write */

static_assert(REPO_READ == (int)DOC_READ && REPO_WRITE == (int)DOC_WRITE &&
		      REPO_COLLECT == (int)DOC_COLLECT,
	      "kinds of access are bits of the same meaning");

struct repo {
	struct store *store;
	const struct clock *clock;
	char id[2 * REPO_ID_BYTES + 1];
	enum object_compression compression;
};

/* ---- init ---- */

static int describe(enum object_compression compression, const struct clock *clock, char **ret,
		    size_t *ret_len, struct err *e)
{
	_cleanup_json_ json_t *o = doc_new("repository");
	uint8_t id[REPO_ID_BYTES];
	bool failed = false;

	if (!o)
		return err_nomem(e);
	clock_random(clock, id, sizeof(id));
	doc_put_hex(o, "id", id, sizeof(id), &failed);
	doc_put_time(o, "created", clock_wall_ns(clock), &failed);
	doc_put(o, "compression",
		json_string(compression == OBJECT_COMPRESS_ZSTD ? "zstd" : "none"), &failed);
	doc_put(o, "encryption", json_string("none"), &failed);
	return failed ? err_nomem(e) : json_seal(o, ret, ret_len, e);
}

static int refuse_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	int r;

	if (strcmp(entry->key, KEY_REPOSITORY) == 0)
		return err_set(e, ERR_CONFLICT, -EEXIST,
			       "there is a repository already; nothing was changed");
	r = err_set(e, ERR_CONFLICT, -EEXIST,
		    "it is not empty: it holds %.200s; nothing was changed; use an empty prefix or "
		    "directory",
		    entry->key);
	err_key(e, entry->key);
	return r;
}

/* Whether what lies there is what we wrote: 0, > 0 another or nothing, < 0. */
static int is_ours(struct store *store, const char *text, size_t len, bool *ret_absent,
		   struct err *e)
{
	_cleanup_free_ char *there = NULL;
	size_t there_len;
	int r = store_get_alloc(store, KEY_REPOSITORY, FORMAT_REPOSITORY_BYTES, &there, &there_len,
				NULL, NULL, e);

	*ret_absent = r == STORE_NOT_FOUND;
	if (r)
		return r;
	return there_len == len && memcmp(there, text, len) == 0 ? 0 : 1;
}

/*
 * A write whose answer was lost, and one that finds the key taken (by the lost one, it may be), is
 * decided by what lies there: the id in it is random. Where nothing does, it is written again.
 */
static int write_description(struct store *store, const char *text, size_t len, struct err *e)
{
	struct err mine = ERR_INIT;
	bool absent = true;
	int r = -EIO;

	for (int i = 0; i < INIT_ATTEMPTS && absent; i++) {
		mine = ERR_INIT;
		r = store_put_bytes(store, KEY_REPOSITORY, text, len, STORE_IF_ABSENT, NULL, NULL,
				    NULL, &mine);
		if (r == 0)
			return 0;
		if (r < 0 && !mine.outcome_unknown)
			break;
		r = is_ours(store, text, len, &absent, e);
		if (!absent)
			return r > 0 ? err_set(e, ERR_CONFLICT, -EEXIST,
					       "somebody else made a repository at the same moment")
				     : r;
		r = err_wrap(&mine, -EIO, "the store did not carry out the write");
	}
	if (e)
		*e = mine;
	return r;
}

int repo_init(struct store *store, enum object_compression compression, const struct clock *clock,
	      struct err *e)
{
	struct store_list list = { .prefix = "", .entry = refuse_entry };
	_cleanup_free_ char *text = NULL;
	struct store_meta meta;
	size_t len;
	int r = store_head(store, KEY_REPOSITORY, &meta, NULL, e);

	if (r == 0)
		return err_set(e, ERR_CONFLICT, -EEXIST,
			       "there is a repository already; nothing was changed");
	if (r < 0)
		return r;
	r = store_list(store, &list, NULL, e);
	if (r < 0)
		return r;
	r = describe(compression, clock, &text, &len, e);
	if (r < 0)
		return r;
	return write_description(store, text, len, e);
}

/* ---- open ---- */

static int read_compression(const json_t *o, struct repo *repo, unsigned access, struct err *e)
{
	const char *text = NULL;
	int r = doc_need_text(o, "compression", FORMAT_TEXT_BYTES, &text, e);

	if (r < 0)
		return r;
	repo->compression = OBJECT_COMPRESS_NONE;
	if (strcmp(text, "zstd") == 0)
		repo->compression = OBJECT_COMPRESS_ZSTD;
	else if (strcmp(text, "none") != 0 && (access & REPO_WRITE))
		return err_set(
			e, ERR_USAGE, -ENOTSUP,
			"the repository is to be written with the compression \"%.64s\", which this "
			"program does not know: use a newer sstablefs",
			text);
	return 0;
}

static int read_encryption(const json_t *o, struct err *e)
{
	const char *text = NULL;
	int r = doc_need_text(o, "encryption", FORMAT_TEXT_BYTES, &text, e);

	if (r == 0 && strcmp(text, "none") != 0)
		return err_set(
			e, ERR_USAGE, -ENOTSUP,
			"the repository is encrypted (\"%.64s\"), which this program cannot read: "
			"use a newer sstablefs",
			text);
	return r;
}

struct opening {
	struct repo *repo;
	unsigned access;
};

/* As docget_fn. */
static int read_document(void *ctx, const char *text, size_t len, const struct store_meta *meta,
			 struct err *e)
{
	struct opening *o = ctx;
	_cleanup_json_ json_t *doc = NULL;
	uint8_t id[REPO_ID_BYTES];
	unsigned refused;
	int r = doc_open(KEY_REPOSITORY, "repository", text, len, FORMAT_REPOSITORY_BYTES, &doc,
			 &refused, e);

	if (r < 0)
		return r;
	if (refused & o->access)
		return doc_refuse("the repository", doc, o->access, e);
	r = read_encryption(doc, e);
	if (r == 0)
		r = read_compression(doc, o->repo, o->access, e);
	if (r == 0)
		r = doc_need_hex(doc, "id", id, sizeof(id), e);
	if (r == -EBADMSG)
		return err_wrap(e, r, KEY_REPOSITORY " is damaged");
	if (r == 0)
		util_hex(o->repo->id, id, sizeof(id));
	return r;
}

int repo_open(struct store *store, unsigned access, const struct clock *clock,
	      const struct cancel *c, struct repo **ret, struct err *e)
{
	_cleanup_(repo_freep) struct repo *repo = calloc(1, sizeof(*repo));
	struct opening o = { .repo = repo, .access = access };
	int r;

	if (!repo)
		return err_nomem(e);
	repo->store = store;
	repo->clock = clock;
	r = docget(store, KEY_REPOSITORY, FORMAT_REPOSITORY_BYTES, read_document, &o, c, e);
	if (r > 0)
		return err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "it is not a repository (sstablefs init makes one)");
	if (r < 0) {
		err_key(e, KEY_REPOSITORY);
		return r;
	}
	*ret = steal_pointer(&repo);
	return 0;
}

void repo_free(struct repo *r)
{
	free(r);
}

struct store *repo_store(struct repo *r)
{
	return r->store;
}

const struct clock *repo_clock(const struct repo *r)
{
	return r->clock;
}

const char *repo_id(const struct repo *r)
{
	return r->id;
}

enum object_compression repo_compression(const struct repo *r)
{
	return r->compression;
}

/* ---- listings ---- */

/*
 * What a listing gave, kept and sorted before anybody is called: the order of keys is not the order of names ('-' and '.' sort before '/'),
 * and no connection waits for the callbacks.
 */
struct found_names {
	size_t prefix_bytes;
	size_t met; /* with those that are passed over */
	char (*names)[FORMAT_NAME_BYTES + 1];
	size_t count, cap;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* A listing need not have an end. */
static int endless(const char *key, struct err *e)
{
	err_set(e, ERR_CORRUPT, -EFBIG,
		"more than %d names are listed in one place: that is no repository", FORMAT_LISTED);
	err_key(e, key);
	return -EFBIG;
}

static int keep_name(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct found_names *f = ctx;
	const char *name = entry->key + f->prefix_bytes;
	size_t len = strlen(name);

	if (++f->met > FORMAT_LISTED)
		return endless(entry->key, e);
	if (!entry->is_prefix || len < 2 || len - 1 > FORMAT_NAME_BYTES)
		return 0;
	if (util_grow(&f->names, &f->cap, f->count + 1, sizeof(f->names[0])) < 0)
		return err_nomem(e);
	memcpy(f->names[f->count], name, len - 1);
	f->names[f->count][len - 1] = '\0';
	if (keys_check_name("node", f->names[f->count], NULL) == 0)
		f->count++;
	return 0;
}

static int list_names(struct repo *r, const char *prefix, repo_name_fn *fn, void *ctx,
		      const struct cancel *c, struct err *e)
{
	struct found_names f = { .prefix_bytes = strlen(prefix) };
	struct store_list list = {
		.prefix = prefix, .delimiter = true, .entry = keep_name, .ctx = &f
	};
	int n = store_list(r->store, &list, c, e);

	if (f.count > 0)
		qsort(f.names, f.count, sizeof(f.names[0]), compare_names);
	for (size_t i = 0; n == 0 && i < f.count; i++)
		n = fn(ctx, f.names[i], e);
	free(f.names);
	return n < 0 ? n : 0;
}

int repo_list_clusters(struct repo *r, repo_name_fn *fn, void *ctx, const struct cancel *c,
		       struct err *e)
{
	return list_names(r, NODES_PREFIX, fn, ctx, c, e);
}

int repo_list_nodes(struct repo *r, const char *cluster, repo_name_fn *fn, void *ctx,
		    const struct cancel *c, struct err *e)
{
	_cleanup_free_ char *prefix = NULL;
	int n = keys_check_name("cluster", cluster, e);

	if (n < 0)
		return n;
	prefix = util_printf(NODES_PREFIX "%s/", cluster);
	return prefix ? list_names(r, prefix, fn, ctx, c, e) : err_nomem(e);
}

struct foreign {
	size_t prefix_bytes; /* 0: at the top */
	repo_name_fn *fn;
	void *ctx;
};

/* "nodes/" at the top; below it groups whose names are such as clusters and nodes have. */
static bool is_of_format(const struct foreign *f, const struct store_entry *entry)
{
	char name[FORMAT_NAME_BYTES + 1];
	size_t len = strlen(entry->key) - f->prefix_bytes;

	if (f->prefix_bytes == 0)
		return strcmp(entry->key, entry->is_prefix ? NODES_PREFIX : KEY_REPOSITORY) == 0;
	if (!entry->is_prefix || len - 1 > FORMAT_NAME_BYTES)
		return false;
	memcpy(name, entry->key + f->prefix_bytes, len - 1);
	name[len - 1] = '\0';
	return keys_check_name("node", name, NULL) == 0;
}

static int on_any_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct foreign *f = ctx;

	return is_of_format(f, entry) ? 0 : f->fn(f->ctx, entry->key, e);
}

static int list_foreign(struct repo *r, const char *prefix, struct foreign f,
			const struct cancel *c, struct err *e)
{
	const struct store_list list = {
		.prefix = prefix, .delimiter = true, .entry = on_any_entry, .ctx = &f
	};
	int n;

	f.prefix_bytes = strlen(prefix);
	n = store_list(r->store, &list, c, e);
	return MIN_OF(n, 0);
}

int repo_list_foreign(struct repo *r, const char *cluster, repo_name_fn *fn, void *ctx,
		      const struct cancel *c, struct err *e)
{
	const struct foreign f = { .fn = fn, .ctx = ctx };
	_cleanup_free_ char *prefix =
		util_printf(NODES_PREFIX "%s%s", cluster ? cluster : "", cluster ? "/" : "");
	int n = prefix ? 0 : err_nomem(e);

	if (n == 0 && !cluster)
		n = list_foreign(r, "", f, c, e);
	return n < 0 ? n : list_foreign(r, prefix, f, c, e);
}

static int on_any_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	*(bool *)ctx = true;
	return 1;
}

int repo_has_node(struct repo *r, const struct node_name *n, const struct cancel *c, struct err *e)
{
	char prefix[KEY_BYTES];
	bool found = false;
	const struct store_list list = { .prefix = keys_node_prefix(prefix, n),
					 .entry = on_any_key,
					 .ctx = &found };
	int m = store_list(r->store, &list, c, e);

	return m < 0 ? m : found ? REPO_THERE : 0;
}

struct found_records {
	size_t prefix_bytes;
	size_t met;
	struct record_key *keys;
	size_t count, cap;
};

static int compare_records(const void *a, const void *b)
{
	const struct record_key *x = a, *y = b;
	int r = strcmp(x->backup, y->backup);

	return r ? r : memcmp(x->writer.b, y->writer.b, ULID_BYTES);
}

static int keep_record(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct found_records *f = ctx;
	struct record_key *key;

	if (++f->met > FORMAT_LISTED)
		return endless(entry->key, e);
	if (util_grow(&f->keys, &f->cap, f->count + 1, sizeof(f->keys[0])) < 0)
		return err_nomem(e);
	key = &f->keys[f->count];
	if (keys_parse_record(entry->key + f->prefix_bytes, key->backup, &key->writer) < 0)
		return 0;
	strncpy(key->etag, entry->etag, sizeof(key->etag) - 1);
	key->etag[sizeof(key->etag) - 1] = '\0';
	key->size_bytes = entry->size_bytes;
	key->modified_ns = entry->modified_ns;
	f->count++;
	return 0;
}

int repo_list_records(struct repo *r, const struct node_name *n, const char *backup,
		      repo_record_fn *fn, void *ctx, const struct cancel *c, struct err *e)
{
	char all[KEY_BYTES], prefix[KEY_BYTES];
	struct found_records f = { .prefix_bytes = strlen(keys_records_prefix(all, n, NULL)) };
	struct store_list list = { .prefix = keys_records_prefix(prefix, n, backup),
				   .entry = keep_record,
				   .ctx = &f };
	int m = store_list(r->store, &list, c, e);

	if (f.count > 0)
		qsort(f.keys, f.count, sizeof(f.keys[0]), compare_records);
	for (size_t i = 0; m == 0 && i < f.count; i++)
		m = fn(ctx, &f.keys[i], e);
	free(f.keys);
	return m < 0 ? m : 0;
}

/* ---- records ---- */

struct wanted_record {
	const char *key, *backup;
	const struct node_name *node;
	const struct ulid *writer;
	struct record *record;
	struct store_meta meta;
};

/* As docget_fn. */
static int read_record(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		       struct err *e)
{
	struct wanted_record *w = ctx;

	w->meta = *meta;
	return record_decode(w->key, text, len, w->node, w->backup, w->writer, &w->record, e);
}

int repo_get_record_meta(struct repo *r, const struct node_name *n, const char *backup,
			 const struct ulid *writer, struct record **ret,
			 struct store_meta *ret_meta, const struct cancel *c, struct err *e)
{
	char key[KEY_BYTES];
	struct wanted_record w = { .key = key, .backup = backup, .node = n, .writer = writer };
	int m;

	keys_record(key, n, backup, writer);
	m = docget(r->store, key, FORMAT_RECORD_BYTES, read_record, &w, c, e);
	if (m != 0)
		return m;
	if (w.record->store_time_ns == 0)
		w.record->store_time_ns = w.meta.modified_ns;
	*ret_meta = w.meta;
	*ret = w.record;
	return 0;
}

int repo_get_record(struct repo *r, const struct node_name *n, const char *backup,
		    const struct ulid *writer, struct record **ret, char *ret_etag,
		    const struct cancel *c, struct err *e)
{
	struct store_meta meta;
	int m = repo_get_record_meta(r, n, backup, writer, ret, &meta, c, e);

	if (m == 0 && ret_etag)
		memcpy(ret_etag, meta.etag, sizeof(meta.etag));
	return m;
}
