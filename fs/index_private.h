/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by index.c (single inodes) and index_count.c (whole nodes). */
#ifndef SSTABLEFS_FS_INDEX_PRIVATE_H
#define SSTABLEFS_FS_INDEX_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include "fs/index.h"

/*
 * Rows, in host byte order: they never outlive the process.
 *
 *   KV_INODES  'i' u64 inode             -> struct file_row and its links, or struct path_row and its text
 *   KV_RUNS    u64 node, struct link_key -> struct run_row and its inodes
 */
#define INODE_KEY 9
#define ROW_BYTES (256 * KIB) /* a file in some 10,000 distinct runs */

struct run_key {
	uint64_t node; /* as wide as the rest: keys are compared by their bytes */
	struct link_key key;
};
_Static_assert(sizeof(struct run_key) == 8 + sizeof(struct link_key), "no byte of a key is unset");

struct row_link {
	struct run_key run;
	uint32_t entry;
};

struct row_head { /* how every row of an inode begins */
	struct id256 digest;
	enum index_type type;
};

struct path_row {
	struct row_head head;
	uint32_t path_bytes; /* with its NUL; what follows is the target of a symlink, with its NUL */
};

struct file_row {
	struct row_head head;
	struct id256 content;
	uint64_t size_bytes;
	struct attributes attr;
	uint32_t node, link_count;
};

struct run_row {
	struct place place;
	uint32_t entry_count;
	uint64_t inodes[FORMAT_RUN_ENTRIES]; /* entry_count of them are kept */
};

struct counted { /* what is counted of one node; lives as long as the index */
	uint32_t node;
	struct node_name name;
	struct linkfile *file; /* NULL: nothing yet */
	struct counted *next;
};

struct index {
	struct index_options o;
	int dir_fd;
	pthread_mutex_t write; /* one change of rows at a time; only local work is done under it */
	uint8_t *scratch;      /* ROW_BYTES, under write */
	struct linkcache *links; /* blocks of these files */
	pthread_mutex_t lock;	 /* `counted` and its files; innermost */
	struct counted *counted;
	atomic_ullong counts; /* changes of any of these */
};

/* A reference; NULL: nothing of the node is counted. */
struct linkfile *index_file(struct index *x, uint32_t node);
void index_inode_key(uint8_t out[INODE_KEY], uint64_t ino);
/* A run that no backup holds any more: its rows go. */
int index_drop_run(struct index *x, const struct run_key *k, struct err *e);
/* Damage that was met. */
int index_damaged(int r, struct err *e);

#endif
