/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a path of cassandra.yaml leads, for root, who exchanges all that is there (docs/restore-node.md). Whoever owns a directory or a symbolic link on the way may have led
 * it to what he likes: so it must lead to what is his, and to what is root's only where all of the way is root's.
 */
#ifndef SSTABLEFS_CASSANDRA_PLACEPATH_H
#define SSTABLEFS_CASSANDRA_PLACEPATH_H

#include <sys/stat.h>
#include "base/err.h"

struct placepath {
	char *real;	/* without symbolic links; owned */
	struct stat st; /* what is there */
	/* Who else than root can lead the path elsewhere: a user; several; members of a group, or all, through a directory of root's. */
	bool led, by_several, by_a_group;
	uid_t by;
};

/* Where it leads, whoever led it there. 0; -ENOENT (no error text): nothing is there; -EINVAL (ERR_USAGE): no absolute path. */
int placepath_look(const char *path, struct placepath *ret, struct err *e);
/*
 * The path without symbolic links (a new string), and what is there. -ENOENT (no error text): nothing is; -EPERM (ERR_CONFLICT): somebody may have led it to what is not his,
 * which matters to root alone; -EINVAL (ERR_USAGE): no absolute path.
 */
int placepath_find(const char *path, char **ret_real, struct stat *ret_st, struct err *e);

#endif
