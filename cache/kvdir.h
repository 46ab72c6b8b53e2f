/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of the key-value store: made, locked against other processes, and told from one that took its place.
 */
#ifndef SSTABLEFS_CACHE_KVDIR_H
#define SSTABLEFS_CACHE_KVDIR_H

#include "base/err.h"

struct kvdir {
	int fd, lock_fd; /* -1: none */
};

#define KVDIR_NONE ((struct kvdir){ .fd = -1, .lock_fd = -1 })

/* Makes the directory where missing and takes its lock. -EBUSY (ERR_CONFLICT): another process has it. */
int kvdir_open(struct kvdir *d, const char *path, struct err *e);
void kvdir_close(struct kvdir *d);
/* The same without the lock: for files that need none. -EPERM (ERR_CONFLICT): it is another user's, or others may write to it. */
int kvdir_open_unlocked(const char *path, int *ret_fd, struct err *e);

/*
 * Whether `name` in the directory is the file that is open as fd, and the lock file still the one that is held: the directory may have
 * been deleted, and even be another process's by now.
 */
bool kvdir_is_ours(const struct kvdir *d, const char *name, int fd);

/* Replaces `name` by a file of len zeros whose blocks are on disk's account. 0 or -errno. */
int kvdir_make_zeros(const struct kvdir *d, const char *name, size_t len_bytes);

#endif
