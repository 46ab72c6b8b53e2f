/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by ingest.c (the queue and the main thread) and ingest_item.c (a piece, and what a hashing thread does with it). */
#ifndef SSTABLEFS_CATALOG_INGEST_PRIVATE_H
#define SSTABLEFS_CATALOG_INGEST_PRIVATE_H

#include "base/pool.h"
#include "catalog/buffers.h"
#include "catalog/ingest.h"

/* A piece on its way. `done` and `rings` are protected by work->lock; the rest belongs to the hashing thread before it is set, then to the main thread. */
struct item {
	struct ingest *in;
	struct item *next;
	size_t file;
	const struct stamp *expected; /* lives in the file's state or in `stamp` */
	struct stamp stamp;
	uint64_t offset;
	uint32_t len;
	bool own;	      /* becomes an object of its own */
	struct buffer *large; /* own pieces, until they are handed over */
	uint8_t *small;	      /* others */
	struct frame_digest *digests;
	struct object_ref ref; /* own pieces, afterwards */
	bool wants_crc;
	uint32_t crc;
	int result; /* 0 or PIECE_CHANGED */
	bool done;
	bool rings; /* the main thread waits for it */
	bool hinted; /* not read: the whole file, as the hint says. What follows is the main thread's */
	struct id256 id;
	struct content *content; /* a reference; NULL: `small` is all of it */
};

/* The file whose pieces are being taken. */
struct current {
	struct content_hasher *hasher;
	struct content *content; /* NULL: inline */
	uint32_t crc;
	uint32_t taken;
	bool changed;
};

struct ingest {
	struct ingest_options o;
	struct pool *pool;
	struct buffers *buffers;
	struct item *first, **last; /* the queue */
	size_t queued;
	uint64_t small_used;
	size_t next_file; /* the next piece to begin */
	uint64_t next_offset;
	bool wants_buffer; /* it waits for a large buffer, and for nothing else */
	struct current current;
};

/* A piece with everything but its large buffer and what is expected of it. NULL: out of memory. */
struct item *item_new(struct ingest *in, size_t file, uint64_t offset, uint32_t len);
void item_free(struct item *it);
DEFINE_CLEANUP(struct item *, item_free);
/* Reads and hashes a piece, and stores what becomes an object of its own. 0, PIECE_CHANGED, < 0. Any thread. */
int item_process(struct item *it, struct err *e);
/* A pool_fn: processes a piece and says that it is done. */
void item_run(void *arg);

#endif
