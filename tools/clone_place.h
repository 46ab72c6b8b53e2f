/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a clone lies. Beside DIRECTORY, on the same file system:
 *
 *     DIRECTORY.sstablefs/clone.json     what it is a clone of; written first
 *     DIRECTORY.sstablefs/backup/        the repository is mounted here, read-only
 *     DIRECTORY.sstablefs/upper/ work/   overlayfs: what Cassandra writes
 *     DIRECTORY.sstablefs/mount.log      of the mount's daemon
 *     DIRECTORY.sstablefs/probe/         only while it is tried whether all this can work
 */
#ifndef SSTABLEFS_TOOLS_CLONE_PLACE_H
#define SSTABLEFS_TOOLS_CLONE_PLACE_H

#include "catalog/record.h"

struct clone_place {
	char *directory, *state, *mountpoint, *upper; /* absolute paths, owned */
	int fd;			/* of the state directory, locked; -1: there is none */
	bool noted;		/* there was a clone.json */
	bool made_directory;	/* DIRECTORY was made by us: undo removes it */
	struct node_name where; /* the rest: of clone.json */
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
};

/* Paths only. -ENOENT (ERR_USAGE) where the directory above DIRECTORY is missing. */
int clone_place_init(struct clone_place *p, const char *directory, struct err *e);
void clone_place_deinit(struct clone_place *p);
/* Opens the state directory, locks it and reads clone.json. 0: also where there is no state directory (fd -1). -EBUSY: another process works on it (fd -1). */
int clone_place_open(struct clone_place *p, struct err *e);
/*
 * Makes what is missing of the directories, and clone.json for this backup. -EBUSY (fd -1): another process made the state directory since
 * clone_place_open(); nothing of it is ours to undo.
 */
int clone_place_make(struct clone_place *p, const struct record *record, struct err *e);
/* Whether clone.json says this backup. */
bool clone_place_is_of(const struct clone_place *p, const struct record *record);
/* Removes the state directory with all that it holds, and DIRECTORY where it was made by clone. Nothing may be mounted in it: -EBUSY. */
int clone_place_remove(struct clone_place *p, struct err *e);
/* Whether there is nothing in a directory: 1, 0, or -errno. */
int clone_place_is_empty(const char *path);
/* DIRECTORY must be absent, or a directory with nothing in it. */
int clone_place_check_empty(const struct clone_place *p, struct err *e);

#endif
