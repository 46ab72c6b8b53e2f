/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshots are our own. Before a snapshot is taken, its tag is noted durably in a directory of local state, <state>/<tag>/owner, and that
 * directory is locked (flock of <state>/<tag>/lock) as long as the run lives; after the snapshot was cleared the note goes. So a note without a lock
 * is what a crashed run left behind: the next run on the same Cassandra clears that snapshot. What is not noted is nobody's of ours and is never
 * touched: where local state is lost, a leftover stays until somebody clears it. <state>/lock is held for moments only, so that
 * a note appears and is locked in one step.
 *
 * The run's directory also holds what the backup shows beside its data (schema.cql, topology.json).
 */
#ifndef SSTABLEFS_CASSANDRA_LEFTOVER_H
#define SSTABLEFS_CASSANDRA_LEFTOVER_H

#include "base/err.h"

struct leftover { /* a locked note */
	char *tag, *directory;
	int lock;
};

/* Notes and locks. `state` is made where it is missing. `host_id` says which Cassandra the snapshot is of. */
int leftover_note(const char *state, const char *tag, const char *host_id, struct leftover **ret,
		  struct err *e);
/* Writes a file into the note's directory. */
int leftover_write(const struct leftover *l, const char *name, const void *data, size_t len,
		   struct err *e);
/* The snapshot is gone: so is the note. Frees. 0 or -errno: then the note stays. */
int leftover_forget(struct leftover *l);
/* Lets go of the lock, the note stays: the snapshot may still be there. */
void leftover_free(struct leftover *l);
DEFINE_CLEANUP(struct leftover *, leftover_free);

/* A note of a run that is gone, of the Cassandra with that host id, locked; NULL in *ret: none is left. `skip` of them were returned before and failed. */
int leftover_find(const char *state, const char *host_id, size_t skip, struct leftover **ret,
		  struct err *e);
enum leftover_state { LEFTOVER_UNKNOWN, LEFTOVER_RUNNING, LEFTOVER_DEAD };
/* What the note of that tag says: there is none; its run lives; it is gone. */
enum leftover_state leftover_look(const char *state, const char *tag);

#endif
