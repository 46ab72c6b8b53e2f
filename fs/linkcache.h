/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of the files of link counts (fs/linkfile.h) that were looked at lately, as they were when they were read and checked: a walk asks for two of them for each file it
 * meets, and meets the same ones again. Of all nodes together it takes no more than LINKCACHE_BLOCKS blocks. Any thread; no I/O.
 */
#ifndef SSTABLEFS_FS_LINKCACHE_H
#define SSTABLEFS_FS_LINKCACHE_H

#include <stdatomic.h>
#include "base/util.h"

#define LINKCACHE_BLOCKS 1024
#define LINKCACHE_BLOCK_BYTES 4096

struct linkcache;

struct linkcache *linkcache_new(void); /* NULL: out of memory */
void linkcache_free(struct linkcache *c);
DEFINE_CLEANUP(struct linkcache *, linkcache_free);

struct linkcache_block {
	atomic_uint refs;
	uint8_t data[LINKCACHE_BLOCK_BYTES]; /* changed by nobody once it was put */
};

/* With one reference, which is the caller's; NULL: out of memory. */
struct linkcache_block *linkcache_block_new(void);
void linkcache_block_unref(struct linkcache_block *b); /* NULL: nothing */

/* A number for one file, which no other gets. */
uint64_t linkcache_join(struct linkcache *c);
/* A reference to the block of the file; NULL: it is not here. */
struct linkcache_block *linkcache_find(struct linkcache *c, uint64_t file, uint64_t number);
/* In place of another one. Takes a reference of its own. */
void linkcache_put(struct linkcache *c, uint64_t file, uint64_t number, struct linkcache_block *b);

#endif
