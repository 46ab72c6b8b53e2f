/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed number of page-aligned buffers for large pieces, each with the builder of its object. Made on demand, used again, never given back before the end. */
#ifndef SSTABLEFS_CATALOG_BUFFERS_H
#define SSTABLEFS_CATALOG_BUFFERS_H

#include "catalog/object.h"
#include "catalog/work.h"

struct buffer {
	uint8_t *data; /* FORMAT_OBJECT_BYTES */
	struct object_builder *builder;
	struct buffers *owner;
	bool taken;
};

struct buffers;
struct buffers *buffers_new(struct work *work, unsigned count,
			    enum object_compression compression); /* NULL: out of memory */
void buffers_free(struct buffers *b);				  /* none may be taken */

/* One main thread takes; any thread gives back (and rings). NULL: none is free, or there is no memory for it. */
struct buffer *buffers_try(struct buffers *b);
/* Waits for one. NULL: the work was stopped (also by running out of memory). */
struct buffer *buffers_take(struct buffers *b);
void buffers_give(struct buffer *slot);
/* With work->lock held. */
bool buffers_any_free(const struct buffers *b);

#endif
