/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes of the directory store. Private to store/dir*.c. Any thread. */
#ifndef SSTABLEFS_STORE_DIRDEL_H
#define SSTABLEFS_STORE_DIRDEL_H

#include "store/dirctx.h"

/* As delete_many of store.h. Directories that become empty are removed; one fsync for each run of keys of one directory. */
int dirdel_delete_many(struct dirctx *ctx, const char *const *keys, size_t count,
		       struct store_delete_error *errors, size_t *ret_error_count,
		       const struct cancel *c, struct err *e);

#endif
