/* SPDX-License-Identifier: Apache-2.0 */
/* The FUSE adapters: each takes a request's arguments, asks the tree (fs/fs.h), and sends the answer. */
#ifndef SSTABLEFS_FS_OPS_H
#define SSTABLEFS_FS_OPS_H

#include "fs/op.h"

/* All operations of a mount; xattr: also getxattr and listxattr (else the kernel is told once that there are none). */
struct fuse_lowlevel_ops ops_table(bool xattr);

#endif
