/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at something that the store knows better: made again when it is older than `refresh`, by one thread however many wait.
 *
 *   idle --look--> running --published--> (answers can be given) --settled--> idle
 *
 * Waiters go on when the job has settled, or 1.5 s after it began where an answer was ever published. All fields are protected by the lock that is passed in.
 */
#ifndef SSTABLEFS_FS_LOOK_H
#define SSTABLEFS_FS_LOOK_H

#include <pthread.h>
#include "base/clock.h"
#include "base/pool.h"
#include "fs/view.h"

struct looker { /* shared by the looks of one view */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct pool *pool;
	const struct clock *clock;
	int64_t refresh_ms;
	const struct cancel *stop;
};

struct look {
	int64_t begun_ms;    /* elapsed time of the last start */
	int64_t finished_ms; /* elapsed time of the last end, good or bad; 0: never */
	int64_t known_ms; /* elapsed time when the job began that was published last: how old the answer is */
	bool running, settled, ever;
	bool expired;	/* the answer is known to be wrong: it is not fresh, whatever its age */
	struct err err; /* of the last failure while nothing was ever published */
};

/* With looker->lock held (dropped while waiting): makes sure that `l` is fresh. `job` is submitted with `arg`; it must end with look_end. 0, VIEW_WOULD_BLOCK, or < 0. */
int look_at(struct looker *k, struct look *l, pool_fn *job, void *arg, struct view_wait w,
	    struct err *e);
/* With looker->lock held, which is dropped while waiting: until something has changed, 100 ms at the longest. 0, VIEW_WOULD_BLOCK, or -EINTR. */
int look_wait(struct looker *k, struct view_wait w, struct err *e);
/* With the lock held: what is published is not fresh any more. */
void look_expire(struct look *l);
/* By the job, with the lock held. */
void look_publish(struct looker *k, struct look *l); /* an answer can be given */
void look_settle(struct looker *k, struct look *l);  /* waiters need not wait longer */
void look_end(struct looker *k, struct look *l, int result, const struct err *e);

#endif
