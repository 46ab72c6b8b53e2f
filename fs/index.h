/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a mount: which inode is which file, and how many links it has. It takes no memory for each inode.
 *
 * A file's identity includes its path, so each backup holds at most one name of it, and backups share it by sharing runs:
 *
 *     st_nlink = 1 (its entry below objects/) + the sum over the runs that hold it of (backups that hold that run in that directory).
 *
 * What is counted of a node lies in one file, which is kept for the next mount (fs/linkfile.h). Names are looked up before all backups of a node are counted: the runs that
 * are looked at then ("touched") have rows in the ephemeral tables of the local key-value store, where directories and symlinks are too. A file that is not counted has
 * two links. Any thread; no lock is held while metadata is read.
 */
#ifndef SSTABLEFS_FS_INDEX_H
#define SSTABLEFS_FS_INDEX_H

#include "cache/kv.h"
#include "catalog/meta.h"
#include "fs/inode.h"
#include "fs/linkbuild.h"
#include "fs/treecache.h"

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
	uint64_t counts; /* index_counts() before that was read */
	struct id256 content;
	struct place run; /* one run that holds it */
	uint32_t entry;	  /* and where in the run */
};

static inline void index_node_deinit(struct index_node *n)
{
	free(n->path); /* target lies in the same block */
}

struct index_options { /* all borrowed */
	struct kv *kv;
	struct meta *meta;
	struct treecache *trees;
	const struct clock *clock;
	const char *directory; /* where link counts are kept; NULL: in memory */
	uint64_t max_bytes;    /* of the link counts of all nodes */
	uint64_t memory_bytes; /* of those that find no room in the directory */
};

struct index *index_new(const struct index_options *o); /* NULL: out of memory */
void index_free(struct index *x);
DEFINE_CLEANUP(struct index *, index_free);

enum { INDEX_WOULD_BLOCK = 1, INDEX_ABSENT = 2 };

/*
 * The numbers of the files of a run in a directory (`dir`: below the backup, "data/ks/t-id"): inodes[first] to inodes[first + count - 1] of room for
 * FORMAT_RUN_ENTRIES. Makes sure that these lead back to the files, without counting the run.
 */
int index_touch(struct index *x, uint32_t node, const struct node_name *n, const char *dir,
		const struct place *place, const struct run *run, uint32_t first, uint32_t count,
		uint64_t *inodes, struct err *e);
/* The number of a directory, symlink (target not NULL) or generated file, by the digest of its identity; a row is made at the first call. */
int index_path(struct index *x, const struct id256 *digest, const char *path, const char *target,
	       uint64_t *ret_ino, struct err *e);
/* INDEX_ABSENT: no such inode (any more). wait = false: INDEX_WOULD_BLOCK where a run would have to be read for it. */
int index_get(struct index *x, uint64_t ino, bool wait, const struct cancel *c,
	      struct index_node *ret, struct err *e);
/* st_nlink of a file of the node. */
int index_nlink(struct index *x, uint32_t node, uint64_t ino, uint32_t *ret, struct err *e);

/*
 * Counts these backups of a node, and no others: all of what changes becomes visible in one step. One thread at a time for each node. What was counted before costs nothing, also
 * where another mount did. Of those that cannot be read `result` says so, and they are left out; -EOVERFLOW: it holds more than its trees say, and has no end that could be reached.
 * < 0: nothing changed.
 */
struct index_listener { /* may be NULL each */
	void (*changed)(void *ctx,
			uint64_t ino); /* its count is another now; after that can be seen */
	void (*failed)(void *ctx, size_t i, const struct err *e); /* backup i was left out */
	void *ctx;
};
int index_count(struct index *x, uint32_t node, const struct node_name *n,
		struct link_wanted *backups, size_t count, const struct index_listener *l,
		const struct cancel *c, struct err *e);

/* Whether a backup that was counted holds the inode: 1 or 0. INDEX_NOT_COUNTED: it is not (yet, or any more). */
enum { INDEX_NOT_COUNTED = 2 };
int index_backup_holds(struct index *x, uint32_t node, const struct ulid *writer, uint64_t ino,
		       struct err *e);

/* Calls fn for each run of the backups that were counted that holds the file, and where in the run: 0 go on, > 0 stop (returned). It may take its time. */
typedef int index_run_fn(void *ctx, const struct place *run, uint32_t entry);
int index_runs(struct index *x, uint32_t node, uint64_t ino, index_run_fn *fn, void *ctx,
	       struct err *e);

/* The files of objects/<aa>/ of a node, ordered by (content, inode). fn: 0 go on, > 0 stop, < 0 fail. wait = false: INDEX_WOULD_BLOCK where runs would have to be read. */
typedef int index_object_fn(void *ctx, const struct id256 *content, uint64_t ino, struct err *e);
int index_objects(struct index *x, uint32_t node, uint8_t first_byte, bool wait,
		  const struct cancel *c, index_object_fn *fn, void *ctx, struct err *e);
/* Whether there are any. */
bool index_has_objects(struct index *x, uint32_t node, uint8_t first_byte);
/* Another number after each change of link counts. */
uint64_t index_counts(struct index *x);
/* Bytes of all link counts. */
uint64_t index_link_bytes(struct index *x);

#endif
