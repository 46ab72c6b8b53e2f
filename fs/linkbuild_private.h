/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by linkbuild.c (reading backups) and linkbuild_write.c (the file). */
#ifndef SSTABLEFS_FS_LINKBUILD_PRIVATE_H
#define SSTABLEFS_FS_LINKBUILD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include "fs/linkbuild.h"
#include "fs/spill.h"

/*
 * Runs are numbered here: those of the old file keep their numbers, new ones follow. A new run is noted by whoever meets it first, and read by the same; until then it has
 * no entries. So a backup is whole when all runs that it names have some.
 */
struct built {	   /* one backup */
	bool kept; /* from the old file, which has its list */
	struct link_backup was;
	uint64_t first, count; /* of `lists` */
};

struct moved { /* an identity whose number another had */
	uint64_t ino;
	struct id256 digest;
};

struct linkbuild {
	struct linkbuild_options o;
	struct linkfile *before; /* o.old, also where numbers changed so that it is of no use */
	uint32_t old_runs;
	struct built *backups;
	atomic_int broken;    /* what the local store failed with */
	pthread_mutex_t lock; /* what follows */
	struct spill runs;    /* struct link_run: new ones */
	struct spill table; /* uint32_t: number of a new run + 1, by key; a power of two of them */
	struct spill links; /* struct link: of new runs */
	struct spill lists; /* uint32_t */
	struct spill uses;  /* uint32_t for each run of both kinds: backups that hold it */
	struct spill numbers; /* uint32_t for each run of both kinds: its number in the file */
	size_t run_count, table_size, link_count, list_count;
	struct moved *moved; /* all inodes that were met twice, and who has them */
	size_t moved_count, moved_cap;
};

static inline struct link_run *linkbuild_runs(struct linkbuild *b)
{
	return b->runs.data;
}

/* Writes the file. LINKBUILD_COLLISION: two identities have one number, which is noted now: all is to be read again. */
enum { LINKBUILD_COLLISION = 2 };
/* For qsort(3). */
int linkbuild_compare_numbers(const void *a, const void *b);
int linkbuild_write(struct linkbuild *b, struct linkfile **ret);
/* An inode that two identities have. 0 or -ENOMEM. */
int linkbuild_note_collision(struct linkbuild *b, uint64_t ino);

#endif
