/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a backup of this machine still runs: as long as it does it holds a lock on a file of its writer's name in the local state. The kernel gives the lock
 * back however the process ends. So a backup that was killed is told from one that runs at once, and not only after the minutes in which its record looks
 * alive. Nothing depends on it: whoever is wrong about another backup finds out by compare-and-swap. Any thread.
 */
#ifndef SSTABLEFS_CATALOG_ALIVE_H
#define SSTABLEFS_CATALOG_ALIVE_H

#include "base/ulid.h"
#include "base/util.h"

enum alive_state {
	ALIVE_UNKNOWN, /* no file: made on another machine, or local state was lost or is not to be had */
	ALIVE_RUNS,
	ALIVE_ENDED, /* a file that nobody holds */
};

struct alive;

/*
 * Takes the lock for a writer, where nobody has it. Returns how things were before. *ret is set where the lock was taken (ALIVE_UNKNOWN, ALIVE_ENDED), and else, or where
 * files cannot be made or locked here, NULL. `dir` is made where it is missing; NULL: there is no local state.
 */
enum alive_state alive_take(const char *dir, const struct ulid *writer, const struct clock *clock,
			    struct alive **ret);
/* Looks only. */
enum alive_state alive_look(const char *dir, const struct ulid *writer);
/* The backup is over: the file goes. NULL is allowed. */
void alive_end(struct alive *a);
/* The lock goes and the file stays, as if the process had been killed: the backup can be continued. NULL is allowed. */
void alive_leave(struct alive *a);

#endif
