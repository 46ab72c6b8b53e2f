/* SPDX-License-Identifier: Apache-2.0 */
/* What reader.c and stream.c share. */
#ifndef SSTABLEFS_CATALOG_READER_STATE_H
#define SSTABLEFS_CATALOG_READER_STATE_H

#include <pthread.h>
#include "catalog/blockload.h"
#include "catalog/reader.h"

#define READER_RECENT 256 /* reads */
#define READER_HINTS 4	  /* objects */

/* A stream's part in the sharing of memory; zero at first. */
struct reader_share {
	unsigned recent_reads;
};

struct reader {
	struct blocks *blocks;
	struct blockload *loads;
	uint64_t memory_bytes;
	uint64_t window_most; /* for one of the windows */

	pthread_mutex_t lock;	/* everything below */
	uint64_t window_memory; /* for all windows */
	/* Whose the last reads in order were: so many share the memory. */
	struct reader_share *recent[READER_RECENT];
	unsigned recent_next, active;
	/* The objects that were hinted at last. */
	struct block_object hints[READER_HINTS];
	unsigned hint_next;
};

/* A part of an object, as it is read: of which object of the cache, and where in it. */
struct piece {
	struct block_object object;
	uint32_t offset, len;
};

/* What lies `skip` bytes behind the begin of the extent, as far as len_bytes go. A small file's part of a pack is read alone where the pack does not stay in memory (blocks_alone). */
struct piece reader_piece(struct reader *r, uint32_t node, const struct extent *x, uint32_t skip,
			  uint64_t len_bytes);

/* The stream reads in order. */
void reader_share_use(struct reader *r, struct reader_share *s);
/* It is closed. */
void reader_share_leave(struct reader *r, struct reader_share *s);

#endif
