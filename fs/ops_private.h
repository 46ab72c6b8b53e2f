/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by ops.c (what reads) and ops_change.c (what changes something). */
#ifndef SSTABLEFS_FS_OPS_PRIVATE_H
#define SSTABLEFS_FS_OPS_PRIVATE_H

#include "fs/ops.h"

static inline struct server *ops_server(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct fuse_entry_param ops_param(const struct fs_entry *en);
/* How an open file is kept by the kernel: it goes through open and create. */
void ops_opened(struct fuse_file_info *fi, struct fs_file *file, bool direct);
/* The operations of ops_change.c. */
void ops_change_table(struct fuse_lowlevel_ops *ops, bool xattr);

#endif
