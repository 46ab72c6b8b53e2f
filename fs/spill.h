/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays that may become larger than memory: they lie in a file without a name and are mapped. One thread at a time. Room is taken on the disk before it is
 * mapped, as a map of a file that the disk has no room for ends a process.
 */
#ifndef SSTABLEFS_FS_SPILL_H
#define SSTABLEFS_FS_SPILL_H

#include "base/util.h"

#define SPILL_LEAST_BYTES ((size_t)1 * MIB) /* what one takes from its first byte on */

struct spill {
	int fd;
	void *data; /* zeros where nothing was written; moves when it grows */
	size_t cap_bytes;
};

#define SPILL_NONE       \
	(struct spill)   \
	{                \
		.fd = -1 \
	}

/* A file without a name in the directory, or (dir_fd < 0) in memory. The descriptor, or -errno. */
int spill_file(int dir_fd);
/* Makes room for that many bytes; the file is made at the first call. 0 or -errno (-ENOSPC). */
int spill_grow(struct spill *s, int dir_fd, size_t bytes);
void spill_close(struct spill *s);

#endif
