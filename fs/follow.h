/* SPDX-License-Identifier: Apache-2.0 */
/* The files that will be opened next are under way before they are opened, where they are opened in order (fs/order.h). Never blocks; any thread. */
#ifndef SSTABLEFS_FS_FOLLOW_H
#define SSTABLEFS_FS_FOLLOW_H

#include "fs/fs_private.h"

/* A file of a backup was opened; stream NULL: it lies in memory. Returns whether it was its turn: then follow_read is to be called for it. */
bool follow_open(struct fs *f, uint64_t ino, uint64_t size_bytes, struct stream *stream);
/* It was read up to `end`: what its reader's window has room for beyond its end goes to the files that come next. */
void follow_read(struct fs *f, uint64_t ino, uint64_t size_bytes, uint64_t end);

#endif
