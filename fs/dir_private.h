/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by dir.c (open directories, and what a backup holds) and dir_list.c (what no backup holds). */
#ifndef SSTABLEFS_FS_DIR_PRIVATE_H
#define SSTABLEFS_FS_DIR_PRIVATE_H

#include "fs/fs_private.h"

#define DOTS 2

struct item {
	char name[FORMAT_NAME_BYTES + 1]; /* entries of objects/ have 64 + 1 + 16 bytes */
	uint64_t ino;
	mode_t type;
};

struct list {
	unsigned refs; /* under fs->lock: the directory, and each request that reads it */
	struct item *items;
	size_t count, cap;
};

struct fs_dir {
	struct handle handle; /* first */
	struct fs *fs;
	uint64_t ino;
	struct position position;
	struct view_node *node;
	struct cached *tree;		  /* of a backup's directory, or */
	uint64_t generation;		  /* 0: a directory of the overlay */
	atomic_uint_fast64_t last_cookie; /* what was made later is not listed */
	struct list *list;
	bool was_read; /* both under fs->lock once it is open */
};

/* Takes the list of a directory, or takes it anew. 0, FS_WOULD_BLOCK, -ESTALE (it is gone), or < 0. */
int dir_take_list(struct fs_dir *d, struct view_wait w, struct err *e);
void dir_list_unref(struct fs *f, struct list *l);

#endif
