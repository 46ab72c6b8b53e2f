/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What earlier backups of this host read, so that an unchanged file is not read again: for each path of the node's data directories (inode, size, mtime, birth time where the
 * file system has one) -> content id, the CRC-32 of a Data.db, and content that lies in its run. A hint vouches for a content id only; whether that content is in the store is
 * for the caller to know from a record that was seen COMMITTED (docs/backup.md, "What is read again").
 *
 * A file is remembered only if its mtime is at least 2 s older than the start of the backup that read it: what is written later has another one. The clock is this host's, as is
 * that of the mtimes: where it was set back during the backup nothing is remembered, where it is behind the remembered start nothing is believed.
 *
 * The state is a file of its own for each (repository, cluster, node, selection), published by rename after the commit: who reads it needs no lock, and a process that is killed
 * leaves the one before. Of several backups at once the first to begin remembers. Whatever is wrong with the state is logged, and the files are read. One thread.
 */
#ifndef SSTABLEFS_CATALOG_HINTS_H
#define SSTABLEFS_CATALOG_HINTS_H

#include "base/clock.h"
#include "base/log.h"
#include "cassandra/snapshot.h"
#include "catalog/hintfile.h"
#include "catalog/ingest.h"

/* Statistics.db, Summary.db and TOC.txt up to this size are read every time: Cassandra rewrites them, at equal size too. */
#define HINTS_MUTABLE_BYTES (1 * MIB)
#define HINTS_SETTLED_NS INT64_C(2000000000) /* as coarse as an mtime can be */

struct hints_options {
	const char *directory; /* of the state; made where missing (0700) */
	const char *repository_id;
	const struct node_name *where;
	const char *host_id; /* of Cassandra; "" = not known */
	const char *machine; /* identity of this installation: /etc/machine-id; "" = not known */
	const char *const *data_dirs;
	size_t data_dir_count;
	const char *const *only; /* which keyspaces and tables: a selection has state of its own */
	size_t only_count;
	bool reread; /* believe nothing; remember all the same */
	const struct clock *clock;
	struct log *log; /* may be NULL */
};

struct hints;

/* Before the first file is read. NULL: out of memory. */
struct hints *hints_new(const struct hints_options *o);
void hints_free(struct hints *h);
DEFINE_CLEANUP(struct hints *, hints_free);

/* What is remembered of the file as it was found. h may be NULL. In the snapshot's order. Valid until the next call. */
bool hints_find(struct hints *h, const struct snapshot_file *f, struct hint *ret);
/* What the file is, read or known: in the snapshot's order. h may be NULL. */
void hints_note(struct hints *h, const struct snapshot_file *f, const struct ingest_file *file);
/* The backup was committed: what was noted is what is remembered from now on. h may be NULL. */
void hints_commit(struct hints *h);

#endif
