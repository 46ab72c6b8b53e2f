/* SPDX-License-Identifier: Apache-2.0 */
/* The states of a node that runs begin with: each made once by the project's own code, then copied. */
#ifndef SSTABLEFS_TESTS_STATES_H
#define SSTABLEFS_TESTS_STATES_H

#include "tests/explore/files.h"
#include "tests/explore/sched.h"

enum state {
	STATE_TWO,	  /* backup b2, and b1 after it */
	STATE_DELETED,	  /* b1 is deleted, nothing was collected */
	STATE_CONDEMNED,  /* a collector crashed after C2: a list without .waits */
	STATE_WAITING,	  /* a collector crashed after C3 */
	STATE_HALF_GONE,  /* a collector crashed after it had deleted objects, its list is there */
	STATE_UNFINISHED, /* a backup w1 crashed before its commit */
	STATE_DEAD,	  /* the same, and a reader of b1 crashed; both more than a day ago */
	STATE_REUSED, /* b1 is condemned, but w0, for which the list waited, is COMMITTED and reuses its content; w1 was begun later and crashed */
	STATE_TAKEN, /* w1 is COMMITTED, and another w1 crashed after it had written its record and before it listed the name */
	STATE_COUNT
};

extern const char *const states_names[STATE_COUNT];

/* All of them; the trace is that of the world. */
void states_make(struct world *w, const struct files *files);
/* A new store with one of them, and the fake clock as it was then. */
void states_load(struct world *w, enum state s);
void states_free(void);

#endif
