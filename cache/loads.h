/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loads of the cache of blocks: two queues of jobs (what somebody waits for goes before what is fetched ahead), and the threads that carry them out:
 * from the disk ring where it is there and fits, else by the loader; then whoever waits is told; then it is put into the ring.
 */
#ifndef SSTABLEFS_CACHE_LOADS_H
#define SSTABLEFS_CACHE_LOADS_H

#include <pthread.h>
#include "base/pool.h"
#include "cache/ghost.h"
#include "cache/ring.h"
#include "cache/slots.h"
#include "cache/waiters.h"

struct job;

struct job_queue {
	struct job *first, **end;
};

/*
 * The state behind struct blocks. `lock` protects all but what never changes; the memory of a block that is loading belongs to its job, that of a
 * present one can be read by whoever has its slot pinned. Lock order: lock, then the pool's own. Not held across I/O or calls of the loader.
 */
struct blocks {
	pthread_mutex_t lock;
	struct slots slots;
	struct waiter *memory_waiters;
	struct job_queue demanded, ahead;
	unsigned running, running_ahead,
		writing;     /* jobs; of those not demanded; that write to the ring */
	struct ghost *ghost; /* what the ring could have had; NULL without one */
	struct cancel stop;

	/* never change */
	unsigned threads;
	struct pool *pool;
	struct ring *ring; /* NULL: none */
	struct block_loader loader;
	struct metric *hits, *misses, *loaded_bytes, *disk_bytes, *disk_damaged, *unread_bytes,
		*memory;
};

enum loads_urgency { LOADS_GUESSED, LOADS_SPARING, LOADS_AHEAD, LOADS_DEMANDED };

/*
 * Starts loading `blocks` (neither present nor loading; all of an object that is whole). 0, or -EAGAIN (memory is short), -ENOMEM. The lock is held
 * throughout; *ret is the object's slot. passing: to the ring only what the ghost knows.
 */
int loads_start(struct blocks *b, const struct block_object *o, uint64_t blocks,
		enum loads_urgency urgency, bool passing, struct slot **ret);
/* Somebody waits for these blocks now: queued loads of them move to the first queue. Lock held. */
void loads_promote(struct blocks *b, const struct slot *slot, uint64_t blocks);
/* Queued loads of the object that nobody waits for are given up. Its slot may be gone then. Lock held. */
void loads_drop(struct blocks *b, struct slot *slot);
/* A pin goes; tells those who wait for memory. Lock held. */
void loads_unpin(struct blocks *b, struct slot *slot);
/* Ends all: queued loads fail with -ECANCELED, running ones are cancelled and waited for. Lock not held. */
void loads_stop(struct blocks *b);

#endif
