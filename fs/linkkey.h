/* SPDX-License-Identifier: Apache-2.0 */
/* What a run in a directory is known by where links are counted (fs/linkfile.h). */
#ifndef SSTABLEFS_FS_LINKKEY_H
#define SSTABLEFS_FS_LINKKEY_H

#include "catalog/tree.h"

/*
 * Of a run in a directory, spread evenly. The same run may lie in several objects, of which the older ones go with the backups that name them, so what it is found by says
 * where it lies too.
 */
struct link_key {
	uint64_t high, low;
};

/* dir: the path below the backup. */
struct link_key link_dir_key(const char *dir);
struct link_key link_run_key(const struct link_key *dir, const struct place *place);
int link_key_compare(const struct link_key *a, const struct link_key *b);

#endif
