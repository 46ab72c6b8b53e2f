/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a directory store, opened for publishing in them. Private to store/dir*.c.
 *
 * A directory that dirpath_open hands out is durable: every directory above it was fsynced after the entry on the way was seen. The last few stay
 * open, so that this is paid once: an open directory that is not removed keeps its place, and link(2) and rename(2) into one that was removed fail with ENOENT. Any thread.
 */
#ifndef SSTABLEFS_STORE_DIRPATH_H
#define SSTABLEFS_STORE_DIRPATH_H

#include "store/dirctx.h"

#define DIRPATH_OPEN_MAX 16

struct dirpath;

struct dirpath_ref {
	int fd;		  /* of the directory; borrowed from the reference */
	const char *leaf; /* the key's last segment: points into the key */
	struct dirpath *paths;
	int slot; /* -1: fd is the root's; -2: fd is the reference's own */
};
#define DIRPATH_REF_INIT ((struct dirpath_ref){ .fd = -1, .slot = -1 })

struct dirpath *dirpath_new(int root_fd); /* borrows the descriptor; NULL: out of memory */
void dirpath_free(struct dirpath *p);

/*
 * The directory of `key`; with `make`, what is missing on the way is made. 0, or -errno: -ENOENT (without make), -ENOTDIR: a segment is an object,
 * -ENAMETOOLONG, -EAGAIN: somebody removed a directory on the way at this moment. Release with dirpath_release.
 */
int dirpath_open(struct dirpath *p, const char *key, bool make, struct dirpath_ref *ret);
void dirpath_release(struct dirpath_ref *ref);
/* The directory turned out to be removed: it is not handed out again. */
void dirpath_forget(struct dirpath_ref *ref);

/* The length of the directory part of a key, without the '/' (0: the root). */
size_t dirpath_directory_len(const char *key);

/* rmdir of the directory `path`[0..len) and of those above it, as long as they are empty. */
void dirpath_prune(int root_fd, const char *path, size_t len);

#endif
