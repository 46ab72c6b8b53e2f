/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/condemned.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/docget.h"

struct condemned {
	uint64_t *hashes;
	size_t count, cap;
};

struct condemned *condemned_new(void)
{
	return calloc(1, sizeof(struct condemned));
}

void condemned_free(struct condemned *c)
{
	if (!c)
		return;
	free(c->hashes);
	free(c);
}

/* A key as lists name it: below the node's prefix. Uses key[KEY_BYTES]. */
static const char *below_node(char *key, enum key_object kind, const struct ulid *writer,
			      const struct id256 *id)
{
	static const struct node_name any = { .cluster = "", .node = "" };
	char prefix[KEY_BYTES];

	return keys_object(key, &any, kind, writer, id) + strlen(keys_node_prefix(prefix, &any));
}

/* ---- text ---- */

static const struct sealtext form = { "condemned", "the list of condemned keys", STORE_OBJECT_MAX,
				      SIZE_MAX };

int condemned_parse(const char *text, size_t len_bytes, sealtext_line_fn *key, void *ctx,
		    struct err *e)
{
	return sealtext_read(&form, text, len_bytes, key, ctx, e);
}

void condemned_write_begin(struct wbuf *out)
{
	sealtext_begin(&form, out);
}

void condemned_write_key(struct wbuf *out, enum key_object kind, const struct ulid *writer,
			 const struct id256 *id)
{
	char key[KEY_BYTES];

	sealtext_line(out, below_node(key, kind, writer, id));
}

void condemned_write_end(struct wbuf *out)
{
	sealtext_end(out);
}

/* As sealtext_line_fn. */
static int add_key(void *ctx, const char *line, size_t len, struct err *e)
{
	struct condemned *c = ctx;

	if (util_grow(&c->hashes, &c->cap, c->count + 1, sizeof(*c->hashes)) < 0)
		return err_nomem(e);
	c->hashes[c->count++] = digest_xxh64(line, len);
	return 0;
}

int condemned_add(struct condemned *c, const char *text, size_t len_bytes, struct err *e)
{
	size_t before = c->count;
	int r = condemned_parse(text, len_bytes, add_key, c, e);

	if (r < 0)
		c->count = before;
	return r;
}

static int compare_hashes(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void condemned_seal(struct condemned *c)
{
	if (c->count)
		qsort(c->hashes, c->count, sizeof(*c->hashes), compare_hashes);
}

bool condemned_has(const struct condemned *c, enum key_object kind, const struct object_ref *ref)
{
	char key[KEY_BYTES];
	const char *below;
	uint64_t hash;

	if (c->count == 0)
		return false;
	below = below_node(key, kind, &ref->writer, &ref->id);
	hash = digest_xxh64(below, strlen(below));
	return bsearch(&hash, c->hashes, c->count, sizeof(hash), compare_hashes) != NULL;
}

bool condemned_is_empty(const struct condemned *c)
{
	return c->count == 0;
}

size_t condemned_count(const struct condemned *c)
{
	return c->count;
}

/* ---- W2 ---- */

struct names {
	size_t prefix_bytes;
	struct ulid *lists;
	size_t count, cap;
};

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct names *n = ctx;
	struct ulid list;

	if (ulid_parse(&list, entry->key + n->prefix_bytes) < 0)
		return 0;
	if (util_grow(&n->lists, &n->cap, n->count + 1, sizeof(*n->lists)) < 0)
		return err_nomem(e);
	n->lists[n->count++] = list;
	return 0;
}

/* As docget_fn. */
static int read_list(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		     struct err *e)
{
	return condemned_add(ctx, text, len, e);
}

static int load_list(struct condemned *c, struct repo *repo, const char *prefix,
		     const struct ulid *list, const struct cancel *cancel, struct err *e)
{
	char name[ULID_TEXT], key[KEY_BYTES + ULID_TEXT];
	int r;

	snprintf(key, sizeof(key), "%s%s", prefix, ulid_format(name, list));
	r = docget(repo_store(repo), key, STORE_OBJECT_MAX, read_list, c, cancel, e);
	if (r < 0)
		err_key(e, key);
	if (r < 0 && e->kind == ERR_CORRUPT)
		err_wrap(e, r, "run sstablefs gc, which removes a damaged list");
	return MIN_OF(r, 0);
}

int condemned_load(struct repo *repo, const struct node_name *n, struct condemned **ret,
		   const struct cancel *cancel, struct err *e)
{
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();
	char prefix[KEY_BYTES];
	struct names names = { .prefix_bytes = strlen(keys_condemned_prefix(prefix, n)) };
	struct store_list list = { .prefix = prefix, .entry = on_key, .ctx = &names };
	int r = c ? store_list(repo_store(repo), &list, cancel, e) : err_nomem(e);

	for (size_t i = 0; i < names.count && r == 0; i++)
		r = load_list(c, repo, prefix, &names.lists[i], cancel, e);
	free(names.lists);
	if (r < 0)
		return r;
	condemned_seal(c);
	*ret = steal_pointer(&c);
	return 0;
}
