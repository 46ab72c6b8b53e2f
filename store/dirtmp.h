/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reserved directory of a directory store: files that are being written, and lock files. Private to store/dir*.c.
 *
 * A file that is being written is flocked by its writer, so whoever can lock it knows that its writer is gone, in whatever container or pid
 * namespace that lived. Functions return -errno without text: the caller knows what it was for. Any thread.
 */
#ifndef SSTABLEFS_STORE_DIRTMP_H
#define SSTABLEFS_STORE_DIRTMP_H

#include "store/dirctx.h"

#define DIRTMP_NAME ".sstablefs-tmp"
#define DIRTMP_LOCKS 64
#define DIRTMP_LOCK_LIMIT_MS 60000 /* longer than this nobody waits: -ETIMEDOUT */

struct dirtmp_file {
	int fd;
	int root_fd;
	char name[64]; /* relative to the root; "" when it was renamed away */
};
#define DIRTMP_FILE_INIT ((struct dirtmp_file){ .fd = -1 })

enum dirtmp_lock {
	DIRTMP_SHARED, /* never creates: -ENOENT where nobody has locked yet */
	DIRTMP_EXCLUSIVE,
};

/* A new empty file, open for writing. */
int dirtmp_create(struct dirctx *ctx, struct dirtmp_file *ret);
/* Closes it, and removes its name. */
void dirtmp_deinit(struct dirtmp_file *f);

/* Locks the lock file that stands for a directory of keys ("" for the root; no '/' at the end). The lock's descriptor (close it), or -errno; -ECANCELED. */
int dirtmp_lock(struct dirctx *ctx, const char *directory, size_t directory_len,
		enum dirtmp_lock mode, const struct cancel *c);

/* Removes the files that no living writer holds. Errors are of no interest: the next who opens tries again. */
void dirtmp_clean(int root_fd);

#endif
