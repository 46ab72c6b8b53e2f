/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files are put into the kernel's page cache while they are being opened, where their bytes are at hand: the program then reads
 * them without a READ, and stats them without a GETATTR (a READ makes the kernel ask for the time of access again).
 *
 * A file is put there once in the life of a mount, by the first who opens it. So no page of it can be waiting for this daemon when it
 * is put there, and of several threads that put files at least one waits for nobody (docs/mount.md, "Small files").
 */
#ifndef SSTABLEFS_FS_OPS_PREFILL_H
#define SSTABLEFS_FS_OPS_PREFILL_H

#include "fs/op.h"

#define PREFILL_MAX_BYTES (128 * KIB)

struct prefill;
/* NULL: out of memory. Takes up to 1 MiB as inodes are opened. */
struct prefill *prefill_new(void);
void prefill_free(struct prefill *p);
/* Whether the inode is to be put into the page cache now: false from the second call on, and by chance sometimes in the first. Any thread. */
bool prefill_take(struct prefill *p, uint64_t ino);

/*
 * An open of `ino` is about to be answered, by this thread. Never waits for the store; what fails is left to READ. in_pool: the thread is one of the pool, which READs
 * that must wait need: they could all wait here for pages of such READs. So nothing is put there then, and not later either.
 */
void ops_prefill(struct server *s, uint64_t ino, struct fs_file *file, bool in_pool);

#endif
