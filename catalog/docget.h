/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small documents from the store (the repository's description, records, condemned lists): got whole, and taken apart by the caller. What does
 * not fit its own digest is got once more, because a bit that was flipped on the way is no damage at rest. Any thread.
 */
#ifndef SSTABLEFS_CATALOG_DOCGET_H
#define SSTABLEFS_CATALOG_DOCGET_H

#include "store/store.h"

/* Takes a document apart: 0, or < 0 with e filled; ERR_CORRUPT where it is damaged, and then nothing may be left of it in ctx. */
typedef int docget_fn(void *ctx, const char *text, size_t len_bytes, const struct store_meta *meta,
		      struct err *e);

/* 0, STORE_NOT_FOUND, or < 0: what the store or the last call of `take` gave. At most max_bytes are taken for a document. */
int docget(struct store *s, const char *key, size_t max_bytes, docget_fn *take, void *ctx,
	   const struct cancel *c, struct err *e);

#endif
