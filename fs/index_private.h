/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the index, shared by index.c (single inodes) and index_backup.c (whole backups). */
#ifndef SSTABLEFS_FS_INDEX_PRIVATE_H
#define SSTABLEFS_FS_INDEX_PRIVATE_H

#include <pthread.h>
#include "fs/index.h"

/*
 * Rows, in host byte order: they never outlive the process.
 *
 *   KV_INODES  'i' u64 inode                               -> struct file_row and its links, or struct path_row and its text
 *   KV_INODES  'o' u32 node (BE) content[32] u64 inode (BE) -> nothing: the order of objects/
 *   KV_RUNS    id of (node, directory, digest of the run)  -> struct run_row
 *   KV_RUNS    'b' u32 node writer[16]                      -> the run ids that a backup counts
 */
#define RUN_KEY 16
#define INODE_KEY 9
#define OBJECT_KEY 45
#define ROW_BYTES (256 * KIB) /* a file in some 13,000 distinct runs */

struct run_key {
	uint8_t b[RUN_KEY];
};

struct link {
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
	uint32_t count, entry_count, node;
	uint64_t inodes[FORMAT_RUN_ENTRIES];
};

struct index {
	struct kv *kv;
	struct meta *meta;
	pthread_mutex_t write; /* one change of rows at a time; only local work is done under it */
	uint8_t *scratch;      /* ROW_BYTES, under write */
};

struct run_key index_run_key(uint32_t node, const char *dir, const struct id256 *digest);
/* INDEX_ABSENT: no such row. */
int index_run_row(struct index *x, const struct run_key *k, struct run_row *ret, struct err *e);
void index_put_be(uint8_t *out, uint64_t v, int bytes);
void index_inode_key(uint8_t out[INODE_KEY], uint64_t ino);
void index_object_key(uint8_t out[OBJECT_KEY], uint32_t node, const struct id256 *content,
		      uint64_t ino);

#endif
