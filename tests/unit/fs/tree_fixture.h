/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a mount over a repository in memory, without FUSE; what it tells the kernel is written down. */
#ifndef SSTABLEFS_TESTS_TREE_FIXTURE_H
#define SSTABLEFS_TESTS_TREE_FIXTURE_H

#include "fs/fs.h"
#include "tests/unit/catalog/fixture.h"

#define TOLD_MAX 4096

struct told { /* one invalidation */
	uint64_t ino;
	char name[256]; /* "" for attributes */
};

struct tree_fixture {
	struct fixture *repo;
	char *dir; /* temporary */
	struct kv *kv;
	struct index *index;
	struct treecache *trees;
	struct reader *reader;
	struct overlay *overlay;
	struct view *view;
	struct fs *fs;
	struct cancel cancel;
	pthread_mutex_t lock; /* told */
	struct told told[TOLD_MAX];
	size_t told_count;
	pthread_mutex_t
		directory; /* taken to tell of a name, as the kernel takes the directory's lock */
};

/* refresh_ms 0: each look asks the store. */
struct tree_fixture *tree_fixture_new(int64_t refresh_ms);
void tree_fixture_free(struct tree_fixture *t);
DEFINE_CLEANUP(struct tree_fixture *, tree_fixture_free);

/* Counts these backups of the fixture's node, and no others. 0, or what one of them failed with. */
int tree_fixture_count(struct tree_fixture *t, uint32_t node, size_t count,
		       const struct record *const *records, const struct index_listener *l);
/* Lookups along a path from the root, waiting. The last outcome; *ret is that of the last step. */
int tree_fixture_walk(struct tree_fixture *t, const char *path, struct fs_entry *ret);
/* Whether the kernel was told to forget that name below that directory, or the attributes of that inode. */
bool tree_fixture_told(struct tree_fixture *t, const char *dir, const char *name);
bool tree_fixture_told_inode(struct tree_fixture *t, uint64_t ino);
void tree_fixture_forget(struct tree_fixture *t);
/* Waits until no refresh is under way. */
void tree_fixture_settle(struct tree_fixture *t, const char *node);

#define WAIT ((struct view_wait){ true, NULL })
#define DONT_WAIT ((struct view_wait){ false, NULL })

#endif
