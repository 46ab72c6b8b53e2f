/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of a backup that is open, over the copies of its content. A file is one inode in all backups that hold it, but may lie in other objects in some of them (a backup that could
 * not read an earlier one stored it again). It is read from the objects of one run; where one of these is damaged or missing, from those that another run names. Any thread.
 */
#ifndef SSTABLEFS_FS_COPIES_H
#define SSTABLEFS_FS_COPIES_H

#include "fs/fs_private.h"

struct copies;

/* Over the entry of one run. */
int copies_open(struct fs *f, struct view_node *n, uint64_t ino, const struct entry *entry,
		struct copies **ret, struct err *e);
void copies_close(struct copies *c); /* NULL: nothing */
/* The stream that was opened first. */
struct stream *copies_first(struct copies *c);
/* As fs_read, of a range that is not empty and lies inside the file. What is damaged in one copy and right in another is read; a line in the log says so once. */
int copies_read(struct copies *c, uint64_t offset, size_t len_bytes, struct view_wait w,
		struct fs_read *ret, struct err *e);

#endif
