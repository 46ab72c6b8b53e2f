/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/condemned.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "catalog/docget.h"

#define FIRST_LINE "condemned 1\n"
#define TYPE "condemned "
#define SEAL "sha256 "
#define SEAL_BYTES (sizeof(SEAL) - 1 + SHA256_HEX) /* with its newline in the place of the NUL */

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

static int damaged(struct err *e, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "the list of condemned keys is damaged: %s", why);
}

static int check_seal(const char *text, size_t body_bytes, struct err *e)
{
	struct id256 sum = digest_sha256(text, body_bytes);
	char hex[SHA256_HEX];

	util_hex(hex, sum.b, sizeof(sum.b));
	if (memcmp(text + body_bytes, SEAL, sizeof(SEAL) - 1) != 0 ||
	    text[body_bytes + SEAL_BYTES - 1] != '\n')
		return damaged(e, "it has no seal");
	if (memcmp(text + body_bytes + sizeof(SEAL) - 1, hex, sizeof(hex) - 1) != 0)
		return damaged(e, "its SHA-256 does not fit");
	return 0;
}

static bool line_is_fine(const char *line, size_t len)
{
	if (len == 0 || len > CONDEMNED_LINE_BYTES)
		return false;
	for (size_t i = 0; i < len; i++)
		if (line[i] < '!' || line[i] > '~')
			return false;
	return true;
}

static int add_lines(struct condemned *c, struct rbuf *b, struct err *e)
{
	while (rbuf_left(b) > 0) {
		const char *line = (const char *)b->data + b->pos;
		const char *end = memchr(line, '\n', rbuf_left(b));

		if (!end || !line_is_fine(line, (size_t)(end - line)))
			return damaged(e, "a line is no key");
		if (util_grow(&c->hashes, &c->cap, c->count + 1, sizeof(*c->hashes)) < 0)
			return err_nomem(e);
		c->hashes[c->count++] = digest_xxh64(line, (size_t)(end - line));
		rbuf_take(b, (size_t)(end - line) + 1);
	}
	return 0;
}

int condemned_add(struct condemned *c, const char *text, size_t len_bytes, struct err *e)
{
	struct rbuf b;
	const uint8_t *first;
	int r;

	if (len_bytes < SEAL_BYTES || len_bytes > STORE_OBJECT_MAX)
		return damaged(e, "its length is out of range");
	r = check_seal(text, len_bytes - SEAL_BYTES, e);
	if (r < 0)
		return r;
	b = rbuf_over(text, len_bytes - SEAL_BYTES);
	first = rbuf_take(&b, sizeof(FIRST_LINE) - 1);
	if (!first || memcmp(first, TYPE, sizeof(TYPE) - 1) != 0)
		return damaged(e, "its first line is not that of such a list");
	if (memcmp(first, FIRST_LINE, sizeof(FIRST_LINE) - 1) != 0)
		return err_set(e, ERR_USAGE, -ENOTSUP,
			       "a list of condemned keys was written by a newer version: use a "
			       "newer sstablefs");
	return add_lines(c, &b, e);
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
	static const struct node_name any = { .cluster = "", .node = "" };
	char key[KEY_BYTES], prefix[KEY_BYTES];
	const char *below;
	uint64_t hash;

	if (c->count == 0)
		return false;
	below = keys_object(key, &any, kind, &ref->writer, &ref->id) +
		strlen(keys_node_prefix(prefix, &any));
	hash = digest_xxh64(below, strlen(below));
	return bsearch(&hash, c->hashes, c->count, sizeof(hash), compare_hashes) != NULL;
}

bool condemned_is_empty(const struct condemned *c)
{
	return c->count == 0;
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
