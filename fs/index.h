/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a mount: which inode is which file, and how many links it has. It lives in the ephemeral tables of the local key-value store, so
 * that the kernel's lookups cost the daemon no memory, and is made anew by each mount.
 *
 * A file's identity includes its path, so each backup holds at most one name of it, and backups share it by sharing runs: a run row counts the
 * backups that hold that run in that directory, a file row names the runs that hold the file, and
 *
 *     st_nlink = 1 (its entry below objects/) + the sum of the counts of its runs.
 *
 * A run that was looked at before its backup was counted ("touched") has count 0; a file none of whose runs is counted has two links.
 * Any thread; no lock is held while metadata is read.
 */
#ifndef SSTABLEFS_FS_INDEX_H
#define SSTABLEFS_FS_INDEX_H

#include "cache/kv.h"
#include "catalog/meta.h"
#include "fs/inode.h"

struct index;

enum index_type { INDEX_FILE, INDEX_PATH };

struct index_node { /* what an inode number leads to; free with index_node_deinit */
	uint64_t ino;
	enum index_type type;
	char *path;   /* INDEX_PATH: directories, symlinks, generated files: path in the mount */
	char *target; /* of a symlink, else NULL */
	/* the rest: INDEX_FILE, complete enough for getattr and open */
	uint32_t node;
	struct attributes attr; /* as recorded */
	uint64_t size_bytes;
	uint32_t nlink;
	struct id256 content;
	struct place run; /* one run that holds it */
	uint32_t entry;	  /* and where in the run */
};

static inline void index_node_deinit(struct index_node *n)
{
	free(n->path); /* target lies in the same block */
}

struct index *index_new(struct kv *kv, struct meta *meta); /* borrows both; NULL: out of memory */
void index_free(struct index *x);
DEFINE_CLEANUP(struct index *, index_free);

enum { INDEX_ABSENT = 1 };

/* Makes sure that the run's files have rows, without counting it. inodes[run->entry_count] (room for FORMAT_RUN_ENTRIES) gets their numbers. `dir` is the path below the backup ("data/ks/t-id"). */
int index_touch(struct index *x, uint32_t node, const struct node_name *n, const char *dir,
		const struct place *place, const struct run *run, uint64_t *inodes, struct err *e);
/* The number of a directory, symlink (target not NULL) or generated file, by the digest of its identity; a row is made at the first call. */
int index_path(struct index *x, const struct id256 *digest, const char *path, const char *target,
	       uint64_t *ret_ino, struct err *e);
/* INDEX_ABSENT: no such inode (any more). */
int index_get(struct index *x, uint64_t ino, struct index_node *ret, struct err *e);

/*
 * Counts the runs of a backup: all of them become visible in one step, or (< 0) none. Adding what was added does nothing. `changed` is called for each inode that
 * the backup holds (their counts changed), after the change can be seen; may be NULL. -EOVERFLOW: it holds more than its
 * trees say, and has no end that could be reached. Removing needs nothing of the store.
 */
typedef void index_changed_fn(void *ctx, uint64_t ino);
int index_add_backup(struct index *x, uint32_t node, const struct node_name *n,
		     const struct ulid *writer, const struct place *root, index_changed_fn *changed,
		     void *ctx, const struct cancel *c, struct err *e);
int index_remove_backup(struct index *x, uint32_t node, const struct ulid *writer,
			index_changed_fn *changed, void *ctx, struct err *e);

/* Whether a backup that was counted holds the inode: 1 or 0. INDEX_NOT_COUNTED: it is not (yet, or any more). For the rare case: it goes through the backup's runs. */
enum { INDEX_NOT_COUNTED = 2 };
int index_backup_holds(struct index *x, uint32_t node, const struct ulid *writer, uint64_t ino,
		       struct err *e);

/* The files of objects/<aa>/ of a node, ordered by (content, inode). fn: 0 go on, > 0 stop, < 0 fail. */
typedef int index_object_fn(void *ctx, const struct id256 *content, uint64_t ino, struct err *e);
int index_objects(struct index *x, uint32_t node, uint8_t first_byte, index_object_fn *fn,
		  void *ctx, struct err *e);

#endif
