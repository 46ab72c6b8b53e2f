/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers for whole objects, one for each thread that fetches, made when first used. */
#ifndef SSTABLEFS_CATALOG_FETCHBUF_H
#define SSTABLEFS_CATALOG_FETCHBUF_H

#include "catalog/source.h"

struct fetchbuf;

/* How many threads may fetch, so that their buffers stay within the memory: 1 to `connections`. */
unsigned fetchbuf_threads(uint64_t memory_bytes, unsigned connections);
struct fetchbuf *fetchbuf_new(unsigned threads); /* NULL: out of memory */
void fetchbuf_free(struct fetchbuf *b);
DEFINE_CLEANUP(struct fetchbuf *, fetchbuf_free);

/* Room for FORMAT_OBJECT_BYTES, page aligned, with SOURCE_HEADROOM before it; the thread's own until fetchbuf_free. NULL: out of memory. */
uint8_t *fetchbuf_get(struct fetchbuf *b, unsigned thread);

#endif
