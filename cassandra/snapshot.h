/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the files of a snapshot in a node's data directories: <data dir>/<keyspace>/<table>-<id>/snapshots/<tag>/… (secondary indexes in
 * dot-directories included), merged over all data directories into the tree that a backup shows: data/<keyspace>/<table>-<id>/… and
 * snapshot/<keyspace>/<table>-<id>/{manifest.json,schema.cql}.
 */
#ifndef SSTABLEFS_CASSANDRA_SNAPSHOT_H
#define SSTABLEFS_CASSANDRA_SNAPSHOT_H

#include <stdint.h>
#include <sys/types.h>
#include "base/cancel.h"
#include "base/err.h"

struct snapshot_file {
	char *path;	   /* below the backup: "data/ks/t-…/nb-1-big-Data.db" */
	char *source;	   /* absolute path on disk */
	uint32_t data_dir; /* index of the data directory; 65535 for what is below snapshot/ */
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
	uint64_t size_bytes;
	dev_t dev;
	ino_t ino;
};

struct snapshot_dir {
	char *path; /* "data", "data/ks", …; every parent is listed before its children */
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
};

struct snapshot { /* files sorted by (directory, tree order of names), directories by path */
	struct snapshot_file *files;
	size_t file_count;
	struct snapshot_dir *dirs;
	size_t dir_count;
	uint64_t total_bytes;
	char **left_out; /* what is no regular file or directory: "path (socket)"; the caller says so */
	size_t left_out_count;
};

struct snapshot_options {
	const char *const *data_dirs;
	size_t data_dir_count;
	const char *tag;
	const char *const *only; /* "ks" or "ks.table"; none: everything */
	size_t only_count;
};

/*
 * -ENOTDIR/-ENOENT (ERR_USAGE) for a data directory that is none; -ENOENT (ERR_NOT_FOUND) where no table has such a snapshot, or an `only` names none, with the tags that exist in the message.
 * The same path in two data directories: both are in files[], next to each other; the caller compares their bytes.
 */
int snapshot_scan(const struct snapshot_options *o, const struct cancel *c, struct snapshot **ret,
		  struct err *e);
void snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot *, snapshot_free);

#endif
