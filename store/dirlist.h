/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of the directory store, in the order of whole keys: "a-b" before "a/b", for '-' is less than '/'. Private to store/dir*.c. Any thread.
 *
 * Of each directory at most 2 * `batch` names are in memory; a larger one is read again for each batch.
 */
#ifndef SSTABLEFS_STORE_DIRLIST_H
#define SSTABLEFS_STORE_DIRLIST_H

#include "store/dirctx.h"

#define DIRLIST_BATCH 32768

/* As list of store.h. */
int dirlist_list(struct dirctx *ctx, const struct store_list *req, size_t batch,
		 const struct cancel *c, struct err *e);

#endif
