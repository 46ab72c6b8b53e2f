/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a backup, known before a byte is read: its directories, which file of several at one path counts, and how files are cut into runs. */
#ifndef SSTABLEFS_CATALOG_LAYOUT_H
#define SSTABLEFS_CATALOG_LAYOUT_H

#include "cassandra/snapshot.h"
#include "catalog/tree.h"

struct layout_dir {
	const char *path, *name; /* both "" for the root, which is dirs[0] */
	struct attributes attr;
	size_t parent; /* index */
	unsigned depth;
	size_t first_file, file_count; /* of the files in it */
	size_t first_run, run_count;
};

struct layout_run {
	size_t dir; /* index */
	size_t first_file;
	uint32_t file_count;
};

struct layout { /* names and paths are the snapshot's */
	const struct snapshot *snapshot;
	struct layout_dir *dirs; /* each right before what is below it, siblings in order of name */
	size_t dir_count;
	size_t *files; /* indexes into the snapshot's files: of those at one path, the first */
	size_t file_count;
	struct layout_run *runs;
	size_t run_count;
};

/* ERR_IO: a limit of the format; ERR_CONFLICT: a name is a file here and a directory there; -EINVAL: the snapshot is not sorted as it says. */
int layout_new(const struct snapshot *s, struct layout **ret, struct err *e);
void layout_free(struct layout *l);
DEFINE_CLEANUP(struct layout *, layout_free);

const struct snapshot_file *layout_file(const struct layout *l, size_t file);
const char *layout_file_name(const struct layout *l, size_t file);

#endif
