/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore: a parallel copy of what is below data/ of one backup into a directory, without a mount. Objects are fetched in order, each once, and their pieces
 * written where they belong. Files appear under their final names only when whole and durable: one syncfs of the target per batch, then renames, and one syncfs at the end.
 *
 * Until then they lie in ".sstablefs-restore" at the top of DIRECTORY (and of each directory of a map). It is gone when restore returns; one that was killed leaves it, and the
 * next run removes it: nothing in it is of use. Two restores into one directory at once: the second is refused (-EBUSY, ERR_CONFLICT).
 *
 * Memory: buffers of 8.1 MiB, at most one for each connection, and as many fewer as memory_bytes asks for (one at least); the plan takes an eighth. What `meta` keeps comes on top.
 */
#ifndef SSTABLEFS_CATALOG_RESTORE_H
#define SSTABLEFS_CATALOG_RESTORE_H

#include "base/log.h"
#include "catalog/meta.h"
#include "catalog/progress.h"

struct restore_map { /* --map-data-dir I=DIR */
	uint32_t data_dir;
	const char *directory;
	int fd; /* with restore_options.opened */
};

struct restore_owner {
	uint32_t uid, gid;
};

struct restore_options {
	struct repo *repo;
	struct source *source;
	struct meta *meta;
	const struct record *record;
	const char *directory;
	int directory_fd;
	bool opened; /* DIRECTORY and those of maps: by the descriptors, which stay the caller's; the names are for messages */
	const struct restore_map *maps;
	size_t map_count;
	bool maps_may_be_unused; /* else a map of a directory that the backup has no files of: -ENOENT */
	const char *const *only; /* "ks" or "ks.table" */
	size_t only_count;
	const char *const
		*except; /* "ks" or "ks.table": left out; one that names nothing is no failure */
	size_t except_count;
	bool overwrite; /* replace files of other content */
	bool numeric_ids;
	const struct restore_owner
		*owner; /* of all that is written, where we are root; NULL: as in the backup */
	unsigned jobs;	/* threads that compare what is there already; 0: 1 */
	unsigned connections;  /* threads that fetch and write; 0: 1 */
	uint64_t memory_bytes; /* 0: 192 MiB */
	size_t batch_files; /* files made durable and renamed together; 0: 256 at first, then more, up to 4,096 */
	struct progress *progress;
	struct log *log;
	const struct cancel *cancel;
};

struct restore_result {
	uint64_t files_written, files_kept /* already there with the same content */, bytes_written,
		bytes_kept;
};

/*
 * DIRECTORY (and those of maps) is made where it is missing, its parents are not. Directories that were there keep their attributes. No symbolic link below is followed or replaced:
 * what is no directory or no regular file where the backup has one: ERR_CONFLICT, whatever `overwrite` says. Too little free space: -ENOSPC before anything is written.
 *
 * Run again it goes on where it was: a file that is there with the right size is read and kept where its content id fits. Different content: -EEXIST (ERR_CONFLICT) naming the first and
 * counting them, before anything is written, unless overwrite. Attributes: mode (never set-user-id or set-group-id of a file), mtime, and the
 * owner where we may set it (root), by name first. A file that was there and has other names (hard links) keeps its attributes.
 * `only` that names nothing in the backup: -ENOENT, ERR_NOT_FOUND.
 */
int restore_run(const struct restore_options *o, struct restore_result *ret, struct err *e);

#endif
