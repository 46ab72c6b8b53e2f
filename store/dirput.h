/* SPDX-License-Identifier: Apache-2.0 */
/* Puts of the directory store, and what all of its parts say about files and errors. Private to store/dir*.c. Errors are filled; any thread. */
#ifndef SSTABLEFS_STORE_DIRPUT_H
#define SSTABLEFS_STORE_DIRPUT_H

#include <sys/stat.h>
#include "store/dirctx.h"

/* The ETag of a published file. */
void dirput_etag(char out[STORE_ETAG_MAX], const struct stat *st);

int dirput_put(struct dirctx *ctx, const struct store_put *req, struct store_meta *ret,
	       const struct cancel *c, struct err *e);

/* An error of the directory as the store's: kind, code and a sentence that begins with `what`. Returns `code`. */
int dirput_error(struct dirctx *ctx, int code, const char *what, struct err *e);

#endif
