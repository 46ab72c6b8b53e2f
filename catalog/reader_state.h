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
	uint64_t window_memory; /* for all windows */
	uint64_t window_most;	/* for one of them */
	uint64_t keep_bytes;	/* files up to this size go to disk when they are fetched ahead */

	pthread_mutex_t lock; /* everything below */
	/* Whose the last reads in order were: so many share the memory. */
	struct reader_share *recent[READER_RECENT];
	unsigned recent_next, active;
	/* The objects that were hinted at last. */
	struct block_object hints[READER_HINTS];
	unsigned hint_next;
};

/* How far one stream may be fetched ahead now. */
uint64_t reader_window(struct reader *r);
/* The stream reads in order. */
void reader_share_use(struct reader *r, struct reader_share *s);
/* It is closed. */
void reader_share_leave(struct reader *r, struct reader_share *s);

#endif
