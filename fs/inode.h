/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inode numbers (docs/format.md, "Inode numbers"): the low 62 bits of a SHA-256 of what the inode is, so that they are the same on every mount. Pure.
 */
#ifndef SSTABLEFS_FS_INODE_H
#define SSTABLEFS_FS_INODE_H

#include "base/digest.h"
#include "catalog/keys.h"
#include "catalog/tree.h"

#define INODE_ROOT 1
#define INODE_BITS 62
#define INODE_FIRST 1024 /* smaller numbers are hashed again */

/* SHA-256 of an identity. `path` of a file: below data/ (with its data directory index), or below the backup with FORMAT_NO_DATA_DIR. */
struct id256 inode_file_digest(const struct node_name *n, const char *path,
			       const struct entry *entry);
struct id256 inode_dir_digest(const char *full_path);
struct id256 inode_symlink_digest(const char *full_path, const char *target);
struct id256 inode_generated_digest(const char *full_path);

/* The number of a digest; hashes *d again while the number is too small. */
uint64_t inode_number(struct id256 *d);
/* The next candidate after a collision: *d is replaced by its SHA-256. */
uint64_t inode_next(struct id256 *d);

#endif
