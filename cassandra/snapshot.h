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

struct snapshot_place { /* where files lie; shared by all files of a directory */
	char *shown;	/* below the backup: "data/ks/t-…"; "" beside data/ */
	char *source;	/* absolute path on disk */
};

/* A node has a million of them and they stay in memory for the whole backup: 64 bytes, and their names packed. */
struct snapshot_file {
	const struct snapshot_place *place;
	const char *name;  /* "nb-1-big-Data.db" */
	uint32_t data_dir; /* index of the data directory; 65535 for what is not below data/ */
	uint32_t mode, uid, gid;
	int64_t mtime_ns;
	uint64_t size_bytes;
	ino_t ino;
	int64_t btime_ns; /* when it was created; 0 where the file system does not say */
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
	struct snapshot_place **places;
	size_t place_count;
	char **names; /* blocks that hold the files' names */
	size_t name_block_count;
	uint64_t memory_bytes; /* what all of this takes */
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
/* The order of files[]: < 0 where a comes before b. Looks at place->shown, name and data_dir only. */
int snapshot_compare(const struct snapshot_file *a, const struct snapshot_file *b);
/* Absolute path on disk; path below the backup. New strings; NULL: out of memory. */
char *snapshot_source(const struct snapshot_file *f);
char *snapshot_path(const struct snapshot_file *f);

void snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot *, snapshot_free);

#endif
