/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapters of what changes something. A request is claimed before it is carried out: one that was answered with EINTR or EIO meanwhile has changed nothing.
 */
#include <string.h>
#include "fs/ops_private.h"

_Static_assert((int)OVERLAY_SET_MODE == FUSE_SET_ATTR_MODE &&
		       (int)OVERLAY_SET_UID == FUSE_SET_ATTR_UID &&
		       (int)OVERLAY_SET_GID == FUSE_SET_ATTR_GID &&
		       (int)OVERLAY_SET_SIZE == FUSE_SET_ATTR_SIZE &&
		       (int)OVERLAY_SET_ATIME == FUSE_SET_ATTR_ATIME &&
		       (int)OVERLAY_SET_MTIME == FUSE_SET_ATTR_MTIME &&
		       (int)OVERLAY_SET_ATIME_NOW == FUSE_SET_ATTR_ATIME_NOW &&
		       (int)OVERLAY_SET_MTIME_NOW == FUSE_SET_ATTR_MTIME_NOW,
	       "handed on as they are");

/* The outcome of what had to be found out first. true: the request is ours to carry out. */
static bool may_begin(struct op *op, int r, const struct err *e)
{
	if (r == FS_WOULD_BLOCK)
		return false;
	if (r < 0) {
		op_fail(op, r, e);
		return false;
	}
	return op_claim(op);
}

static void answer(struct op *op, int r)
{
	if (r < 0)
		op_refuse(op, r);
	else
		fuse_reply_err(op->req, 0);
}

static void answer_entry(struct op *op, int r, const struct fs_entry *en)
{
	struct fuse_entry_param param;

	if (r < 0) {
		op_refuse(op, r);
		return;
	}
	param = ops_param(en);
	op->found = en->ino;
	if (fuse_reply_entry(op->req, &param) < 0)
		fs_lookup_undo(op->server->fs, en);
}

/* ---- making ---- */

static int run_make(struct server *s, struct op *op, struct view_wait w)
{
	const struct fuse_ctx *who = fuse_req_ctx(op->req);
	struct err e = ERR_INIT;
	struct fs_entry en;
	struct fs_name n;
	int r = fs_name(s->fs, op->ino, op->name, false, w, &n, &e);

	if (!may_begin(op, r, &e))
		return r > 0 ? r : 0;
	r = fs_make(s->fs, &n, op->mode, who->uid, who->gid, op->to, &en);
	answer_entry(op, r, &en);
	return 0;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct op op = { .req = req,
			 .what = "mkdir",
			 .run = run_make,
			 .ino = parent,
			 .name = name,
			 .mode = S_IFDIR | (mode & 07777) };

	op_take(ops_server(req), &op);
}

/* Devices could not be used on a mount with nodev, and are what overlayfs takes for whiteouts. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	struct op op = { .req = req,
			 .what = "mknod",
			 .run = run_make,
			 .ino = parent,
			 .name = name,
			 .mode = mode };

	(void)dev;
	if (S_ISCHR(mode) || S_ISBLK(mode))
		fuse_reply_err(req, EPERM);
	else
		op_take(ops_server(req), &op);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct op op = { .req = req,
			 .what = "symlink",
			 .run = run_make,
			 .ino = parent,
			 .name = name,
			 .to = target,
			 .mode = S_IFLNK | 0777 };

	op_take(ops_server(req), &op);
}

static void answer_create(struct server *s, struct op *op, const struct fs_name *n,
			  const struct fs_entry *en)
{
	struct fuse_entry_param param = ops_param(en);
	struct fs_file *file;
	struct err e = ERR_INIT;
	bool direct;
	int r = fs_open(s->fs, en->ino, op->fi.flags, (struct view_wait){ false, NULL }, &file,
			&direct, &e);

	if (r < 0) {
		fs_unlink(s->fs, n); /* the kernel keeps it that there is no such name */
		fs_lookup_undo(s->fs, en);
		op_refuse(op, r);
		return;
	}
	ops_opened(&op->fi, file, direct);
	op->found = en->ino;
	if (fuse_reply_create(op->req, &param, &op->fi) < 0) {
		fs_close(file);
		fs_lookup_undo(s->fs, en);
	}
}

static int run_create(struct server *s, struct op *op, struct view_wait w)
{
	const struct fuse_ctx *who = fuse_req_ctx(op->req);
	struct err e = ERR_INIT;
	struct fs_entry en;
	struct fs_name n;
	int r = fs_name(s->fs, op->ino, op->name, false, w, &n, &e);

	if (!may_begin(op, r, &e))
		return r > 0 ? r : 0;
	r = fs_make(s->fs, &n, op->mode, who->uid, who->gid, NULL, &en);
	if (r < 0)
		op_refuse(op, r);
	else
		answer_create(s, op, &n, &en);
	return 0;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "create",
			 .run = run_create,
			 .ino = parent,
			 .name = name,
			 .mode = S_IFREG | (mode & 07777),
			 .fi = *fi };

	op_take(ops_server(req), &op);
}

static int run_link(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_entry en;
	struct fs_name n;
	int r = fs_may_link(s->fs, op->ino, &e);

	if (r == 0)
		r = fs_name(s->fs, op->to_parent, op->to, false, w, &n, &e);
	else if (r == -EPERM && op_claim(op))
		op_refuse(op, r);
	if (r == -EPERM || !may_begin(op, r, &e))
		return r > 0 ? r : 0;
	r = fs_link(s->fs, &n, op->ino, &en);
	answer_entry(op, r, &en);
	return 0;
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	struct op op = { .req = req,
			 .what = "link",
			 .run = run_link,
			 .ino = ino,
			 .to_parent = new_parent,
			 .to = new_name };

	op_take(ops_server(req), &op);
}

/* ---- removing and moving ---- */

static int run_unlink(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_name n;
	int r = fs_name(s->fs, op->ino, op->name, false, w, &n, &e);

	if (!may_begin(op, r, &e))
		return r > 0 ? r : 0;
	answer(op, fs_unlink(s->fs, &n));
	return 0;
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op = {
		.req = req, .what = "unlink", .run = run_unlink, .ino = parent, .name = name
	};

	op_take(ops_server(req), &op);
}

static int run_rmdir(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_name n;
	int r = fs_name(s->fs, op->ino, op->name, true, w, &n, &e);

	if (!may_begin(op, r, &e))
		return r > 0 ? r : 0;
	answer(op, fs_rmdir(s->fs, &n));
	return 0;
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op = {
		.req = req, .what = "rmdir", .run = run_rmdir, .ino = parent, .name = name
	};

	op_take(ops_server(req), &op);
}

static int run_rename(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_name from, to;
	int r = fs_name(s->fs, op->ino, op->name, false, w, &from, &e);

	if (r == 0)
		r = fs_name(s->fs, op->to_parent, op->to, true, w, &to, &e);
	if (!may_begin(op, r, &e))
		return r > 0 ? r : 0;
	answer(op, fs_rename(s->fs, &from, &to, op->flags));
	return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	struct op op = { .req = req,
			 .what = "rename",
			 .run = run_rename,
			 .ino = parent,
			 .name = name,
			 .to_parent = new_parent,
			 .to = new_name,
			 .flags = flags };

	op_take(ops_server(req), &op);
}

/* ---- attributes and bytes: these never wait ---- */

static int run_setattr(struct server *s, struct op *op, struct view_wait w)
{
	double timeout;
	struct stat st;
	int r = fs_setattr(s->fs, op->ino, op->attr, (int)op->flags, &st, &timeout);

	(void)w;
	if (r < 0)
		op_refuse(op, r);
	else
		fuse_reply_attr(op->req, &st, timeout);
	return 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "setattr",
			 .run = run_setattr,
			 .ino = ino,
			 .attr = attr,
			 .flags = (unsigned)to_set };

	(void)fi;
	op_take(ops_server(req), &op);
}

static void drop_file(struct op *op)
{
	fs_file_unref((struct fs_file *)(uintptr_t)op->fi.fh);
}

static int run_write(struct server *s, struct op *op, struct view_wait w)
{
	ssize_t n = fs_write((struct fs_file *)(uintptr_t)op->fi.fh, (uint64_t)op->offset, op->data,
			     op->size);

	(void)s, (void)w;
	if (n < 0)
		op_refuse(op, (int)n);
	else
		fuse_reply_write(op->req, (size_t)n);
	return 0;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "write",
			 .run = run_write,
			 .drop = drop_file,
			 .ino = ino,
			 .data = data,
			 .size = size,
			 .offset = offset,
			 .fi = *fi };

	fs_file_ref((struct fs_file *)(uintptr_t)fi->fh);
	op_take(ops_server(req), &op);
}

static int run_fallocate(struct server *s, struct op *op, struct view_wait w)
{
	(void)s, (void)w;
	answer(op, fs_allocate((struct fs_file *)(uintptr_t)op->fi.fh, (int)op->flags,
			       (uint64_t)op->offset, op->size));
	return 0;
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "fallocate",
			 .run = run_fallocate,
			 .drop = drop_file,
			 .ino = ino,
			 .flags = (unsigned)mode,
			 .offset = offset,
			 .size = (size_t)length,
			 .fi = *fi };

	fs_file_ref((struct fs_file *)(uintptr_t)fi->fh);
	op_take(ops_server(req), &op);
}

/* ---- extended attributes cannot be set ---- */

static void refuse_xattr(fuse_req_t req, fuse_ino_t ino)
{
	fuse_reply_err(req, overlay_owns(ino) ? EOPNOTSUPP : EROFS);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t size, int flags)
{
	(void)name, (void)value, (void)size, (void)flags;
	refuse_xattr(req, ino);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	(void)name;
	refuse_xattr(req, ino);
}

void ops_change_table(struct fuse_lowlevel_ops *ops, bool xattr)
{
	ops->setxattr = xattr ? op_setxattr : NULL;
	ops->removexattr = xattr ? op_removexattr : NULL;
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->symlink = op_symlink;
	ops->create = op_create;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->setattr = op_setattr;
	ops->write = op_write;
	ops->fallocate = op_fallocate;
}
