/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/pins.h"

#include <stdio.h>
#include <string.h>

#define SUFFIX ".json"

struct listing {
	size_t prefix_bytes;
	struct pins_item *items;
	size_t count, cap;
	pins_foreign_fn *foreign;
	void *ctx;
};

static bool parse(const char *name, struct ulid *ret)
{
	char text[ULID_TEXT];

	if (strlen(name) != ULID_TEXT - 1 + strlen(SUFFIX) ||
	    strcmp(name + ULID_TEXT - 1, SUFFIX) != 0)
		return false;
	memcpy(text, name, ULID_TEXT - 1);
	text[ULID_TEXT - 1] = '\0';
	return ulid_parse(ret, text) == 0;
}

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct listing *l = ctx;
	struct pins_item item = { .modified_ns = entry->modified_ns };

	if (!parse(entry->key + l->prefix_bytes, &item.id))
		return l->foreign ? l->foreign(l->ctx, entry->key, e) : 0;
	if (l->count == FORMAT_LISTED)
		return err_set(e, ERR_CORRUPT, -EFBIG, "the node has more than %d pins",
			       FORMAT_LISTED);
	if (util_grow(&l->items, &l->cap, l->count + 1, sizeof(*l->items)) < 0)
		return err_nomem(e);
	snprintf(item.etag, sizeof(item.etag), "%s", entry->etag);
	l->items[l->count++] = item;
	return 0;
}

int pins_list(struct repo *repo, const struct node_name *where, struct pins_item **ret,
	      size_t *ret_count, pins_foreign_fn *foreign, void *ctx, const struct cancel *c,
	      struct err *e)
{
	char prefix[KEY_BYTES];
	struct listing l = { .foreign = foreign, .ctx = ctx };
	struct store_list list = { .prefix = prefix, .entry = on_key, .ctx = &l };
	int r;

	keys_node_prefix(prefix, where);
	strcat(prefix, "pins/"); /* shorter than the keys that KEY_BYTES has room for */
	l.prefix_bytes = strlen(prefix);
	r = store_list(repo_store(repo), &list, c, e);
	if (r < 0) {
		free(l.items);
		return r;
	}
	*ret = l.items;
	*ret_count = l.count;
	return 0;
}

int pins_fence(struct repo *repo, struct pin *pin, const char *etag, const struct cancel *c,
	       struct err *e)
{
	struct reg g;

	pin_register(&g, repo, pin);
	snprintf(g.etag, sizeof(g.etag), "%s", etag);
	pin->state = PIN_ENDED;
	return reg_write(&g, c, e);
}
