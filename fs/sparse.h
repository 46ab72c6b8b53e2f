/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a file in memory: pages in a radix tree, whose tables are pages too. Holes take nothing and read as zeros. The size of the file is its owner's to keep.
 */
#ifndef SSTABLEFS_FS_SPARSE_H
#define SSTABLEFS_FS_SPARSE_H

#include <sys/types.h>
#include "fs/room.h"

struct sparse { /* zeroed: empty */
	void *root;
	unsigned height; /* levels of tables above the pages */
	uint64_t data_pages;
};

void sparse_read(const struct sparse *s, uint64_t offset, void *out, size_t len_bytes);
/* How many bytes were written, fewer than asked for where the room ends; < 0 (-ENOSPC, -ENOMEM): none. */
ssize_t sparse_write(struct sparse *s, struct room *r, uint64_t offset, const void *data,
		     size_t len_bytes);
/* Makes all pages of [offset, offset + len) exist, so that writes there cannot fail: 0, or < 0 (none was made). */
int sparse_reserve(struct sparse *s, struct room *r, uint64_t offset, uint64_t len_bytes);
/* [from, to) reads as zeros afterwards; whole pages are given back. */
void sparse_punch(struct sparse *s, struct room *r, uint64_t from, uint64_t to);

#endif
