/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many requests may be under way at once at a store that may be busy: half as many each time
 * it says so, one more after as many good answers as there are requests. Pure; one thread.
 */
#ifndef SSTABLEFS_STORE_AIMD_H
#define SSTABLEFS_STORE_AIMD_H

#include <stdbool.h>
#include <stdint.h>

struct aimd {
	unsigned max;
	uint64_t thousandths; /* of a request: 1000 to 1000 * max */
	int64_t cut_ns;	      /* when it was last halved */
};

/* All of max, at least 1. */
void aimd_init(struct aimd *a, unsigned max);
unsigned aimd_limit(const struct aimd *a);
/* A good answer. */
void aimd_fine(struct aimd *a);
/*
 * The store said that it is busy, to a request that began at begun_ns. Requests that were under way
 * when it was last halved say nothing new. True: it is halved now.
 */
bool aimd_busy(struct aimd *a, int64_t begun_ns, int64_t now_ns);

#endif
