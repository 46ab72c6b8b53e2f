/* SPDX-License-Identifier: Apache-2.0 */
/* The two mounts of a clone: the repository, read-only, and overlayfs over a backup of it. */
#ifndef SSTABLEFS_TOOLS_CLONE_MOUNT_H
#define SSTABLEFS_TOOLS_CLONE_MOUNT_H

#include "tools/cli.h"
#include "tools/clone_place.h"

/* Tries with files of its own whether overlayfs works on the file system of the state directory, white-outs and metacopy included; a sentence for what does not. */
int clone_mount_probe(const struct clone_place *p, struct err *e);
/* Mounts the repository below the state directory, with a process of its own. `options`: more mount options, or "". */
int clone_mount_backup(struct cli *cli, const struct clone_place *p, const struct record *record,
		       const char *url, const char *options, struct err *e);
/* overlayfs on DIRECTORY. As long as upper is empty, it gets the owner and mode of data/. */
int clone_mount_overlay(const struct clone_place *p, const struct record *record, struct err *e);
/* The backup's data/, as a new string. */
char *clone_mount_lower(const struct clone_place *p, const struct record *record);

enum clone_state {
	CLONE_DOWN,   /* neither is mounted */
	CLONE_BROKEN, /* one is not mounted, or the daemon is gone */
	CLONE_UP,
};
int clone_mount_state(const struct clone_place *p, enum clone_state *ret, struct err *e);
/* Unmounts both, or what there is of them. -EBUSY (ERR_CONFLICT): in use, naming the processes. */
int clone_mount_end(const struct clone_place *p, struct err *e);

#endif
