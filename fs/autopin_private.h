/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by autopin.c (files) and autopin_run.c (what is asked of the store, and when). */
#ifndef SSTABLEFS_FS_AUTOPIN_PRIVATE_H
#define SSTABLEFS_FS_AUTOPIN_PRIVATE_H

#include <pthread.h>
#include "base/pool.h"
#include "fs/autopin.h"

#define AUTOPIN_THREADS 8

enum autopin_state { PIN_WAITS, PIN_IS_HELD, PIN_IS_LOST, PIN_IS_GONE };

struct autopin { /* of one backup; freed when it is unused and its job, if any, has ended */
	struct autopins *set;
	struct autopin *next;
	uint32_t node;
	struct node_name where;
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
	struct place root;
	/* the rest under the lock of the pins */
	struct hold
		*hold; /* NULL until it was held. Only its job ends it, having taken it away here */
	enum autopin_state state;
	bool busy;   /* a job has it: one at a time */
	bool tried;  /* since it was made, or lost */
	bool warned; /* of a failure, in the log */
	unsigned uses;
	int64_t used_ms;  /* when a use last began or ended */
	int64_t begun_ms; /* when the attempt began that opens wait for */
	int64_t retry_ms; /* not to be tried before */
	struct err why;	  /* of the last failure, or what it was lost by */
};

struct autopins {
	struct autopin_options o;
	struct autopin_ops ops;
	const struct clock *clock;
	struct metric *lost, *failed, *refused;
	struct pool *pool;
	struct cancel stop, enough;  /* what is begun gives up; so do ends */
	pthread_mutex_t lock;	     /* everything below; never held while the store is asked */
	pthread_cond_t changed, due; /* a job ended; the ticker has something new */
	struct autopin *first, *last /* used; may be NULL */;
	bool stopped, ticking;
	pthread_t ticker; /* from the first pin on */
	bool denied;	  /* the store let us write nothing */
	int64_t denied_until_ms;
	struct err why_denied;
};

/* With the lock held, of a pin that is not busy: a job begins to pin it (again); it is ended and freed. */
void autopin_begin(struct autopins *a, struct autopin *p);
void autopin_finish(struct autopins *a, struct autopin *p);
/* With the lock held: it was found lost. */
void autopin_lose(struct autopins *a, struct autopin *p);

#endif
