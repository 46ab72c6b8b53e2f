/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/docget.h"

#define ATTEMPTS 2

static int get(struct store *s, const char *key, size_t max_bytes, docget_fn *take, void *ctx,
	       const struct cancel *c, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct store_meta meta;
	size_t len;
	int r = store_get_alloc(s, key, max_bytes, &text, &len, &meta, c, e);

	return r ? r : take(ctx, text, len, &meta, e);
}

int docget(struct store *s, const char *key, size_t max_bytes, docget_fn *take, void *ctx,
	   const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = -EBADMSG;

	for (int i = 0; i < ATTEMPTS; i++) {
		mine = ERR_INIT;
		r = get(s, key, max_bytes, take, ctx, c, &mine);
		if (r >= 0 || mine.kind != ERR_CORRUPT)
			break;
	}
	if (r < 0 && e)
		*e = mine;
	return r;
}
