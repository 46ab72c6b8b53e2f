/* SPDX-License-Identifier: Apache-2.0 */
/* What the actors do: the project's own code, from their own requests on. */
#ifndef SSTABLEFS_TESTS_ACTORS_H
#define SSTABLEFS_TESTS_ACTORS_H

#include "tests/explore/files.h"
#include "tests/explore/sched.h"

extern const struct node_name actors_node;

/* A backup of files under a name; it continues one that is dead. */
struct actor *actors_backup(struct world *w, const char *who, const char *backup,
			    const struct files *f);
/* gc, some times in succession. */
struct actor *actors_collect(struct world *w, const char *who, unsigned times, bool full);
struct actor *actors_delete(struct world *w, const char *who, const char *backup);
/* Holds a backup, reads all of it, lets it go. */
struct actor *actors_read(struct world *w, const char *who, const char *backup,
			  const struct files *f);

#endif
