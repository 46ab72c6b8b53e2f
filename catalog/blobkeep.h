/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees and runs in the local key-value store, by digest. They are written behind: a transaction for each would cost more than to read and check what it holds (26 page
 * writes for a run), so some hundred wait in memory and share one. What waits, or is being written, is found as if it had been. Any thread; no lock is held while the store is used.
 */
#ifndef SSTABLEFS_CATALOG_BLOBKEEP_H
#define SSTABLEFS_CATALOG_BLOBKEEP_H

#include "base/digest.h"
#include "cache/kv.h"

/* What waits is written when there are so many, or so many bytes, by who put the last; a larger blob does not wait. */
enum { BLOBKEEP_COUNT = 256, BLOBKEEP_BYTES = 1024 * 1024 };

struct blobkeep;

struct blobkeep *blobkeep_new(struct kv *kv /* borrowed */); /* NULL: out of memory */
/* Writes what waits. NULL: nothing. */
void blobkeep_free(struct blobkeep *b);

/* A copy in a new buffer, unchecked; false: it is not here, or cannot be read. */
bool blobkeep_get(struct blobkeep *b, const struct id256 *digest, void **ret, size_t *ret_len);
/* Takes a copy. What cannot be kept is not: this is a cache. */
void blobkeep_put(struct blobkeep *b, const struct id256 *digest, const void *data, size_t len);
/* What was got is not what the digest says. */
void blobkeep_drop(struct blobkeep *b, const struct id256 *digest);

#endif
