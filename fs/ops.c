/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ops.h"

#include <stdio.h>
#include <string.h>
#include "fs/ops_prefill.h"
#include "fs/ops_private.h"

#define READ_MAX (1 * MIB)

struct fuse_entry_param ops_param(const struct fs_entry *en)
{
	return (struct fuse_entry_param){
		.ino = en->ino,
		.generation = en->generation,
		.attr = en->st,
		.attr_timeout = en->attr_timeout_s,
		.entry_timeout = en->entry_timeout_s,
	};
}

/* ---- session ---- */

static void want(struct fuse_conn_info *conn, unsigned cap, bool on)
{
	if (on && (conn->capable & cap))
		conn->want |= cap;
	else
		conn->want &= ~cap;
}

/*
 * READDIRPLUS always: with AUTO a cold `du` asks for each file. ASYNC_DIO off: else an O_DIRECT reader outlives SIGKILL until it is answered.
 * AUTO_INVAL_DATA off: contents never change under an inode, and pages are kept when a link count changes.
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct server *s = userdata;

	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	want(conn, FUSE_CAP_ASYNC_DIO, false);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_EXPORT_SUPPORT, true); /* "." and ".." are looked up by number */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	conn->max_write =
		READ_MAX; /* also sets how many pages a READ may have; max_read= of the mount options says the same */
	conn->max_read = READ_MAX;
	conn->max_readahead = READ_MAX;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
	if (s->ready)
		s->ready(s->ready_ctx);
}

/* ---- names and attributes ---- */

/* What a file handle is followed by. */
static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int run_lookup(struct server *s, struct op *op, struct view_wait w)
{
	struct fuse_entry_param param;
	struct err e = ERR_INIT;
	struct fs_entry en;
	int r = fs_lookup(s->fs, op->ino, op->name, w, &en, &e);

	if (r == FS_WOULD_BLOCK)
		return r;
	/* In a directory that was removed there is nothing. Who looks from within, as find(1) does, is not told of stale handles. */
	if (r == -ESTALE && !is_dots(op->name)) {
		en.entry_timeout_s = 0;
		r = FS_ABSENT;
	}
	if (r < 0) {
		op_fail(op, r, &e);
		return 0;
	}
	if (r == FS_ABSENT)
		en = (struct fs_entry){ .entry_timeout_s = en.entry_timeout_s };
	param = ops_param(&en);
	op->found = en.ino;
	op->result = en.ino ? 0 : -ENOENT;
	if (!op_claim(op) || fuse_reply_entry(op->req, &param) < 0)
		fs_lookup_undo(s->fs, &en);
	return 0;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op = {
		.req = req, .what = "lookup", .run = run_lookup, .ino = parent, .name = name
	};

	op_take(ops_server(req), &op);
}

/* A nodeid of a backup leads back to the index, so nothing is held for the kernel; those of the overlay are counted. */
static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	fs_forget(ops_server(req)->fs, ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		fs_forget(ops_server(req)->fs, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static int run_getattr(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	double timeout;
	struct stat st;
	int r = fs_getattr(s->fs, op->ino, w, &st, &timeout, &e);

	if (r == FS_WOULD_BLOCK)
		return r;
	if (r < 0)
		op_fail(op, r, &e);
	else if (op_claim(op))
		fuse_reply_attr(op->req, &st, timeout);
	return 0;
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op = { .req = req, .what = "getattr", .run = run_getattr, .ino = ino };

	(void)fi;
	op_take(ops_server(req), &op);
}

static int run_readlink(struct server *s, struct op *op, struct view_wait w)
{
	_cleanup_free_ char *target = NULL;
	struct err e = ERR_INIT;
	int r = fs_readlink(s->fs, op->ino, &target, &e);

	(void)w;
	if (r < 0)
		op_fail(op, r, &e);
	else if (op_claim(op))
		fuse_reply_readlink(op->req, target);
	return 0;
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct op op = { .req = req, .what = "readlink", .run = run_readlink, .ino = ino };

	op_take(ops_server(req), &op);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	fs_statvfs(ops_server(req)->fs, &st);
	fuse_reply_statfs(req, &st);
}

static int run_getxattr(struct server *s, struct op *op, struct view_wait w)
{
	_cleanup_free_ char *value = NULL;
	struct err e = ERR_INIT;
	int r = fs_getxattr(s->fs, op->ino, op->name, w, &value, &e);

	if (r == FS_WOULD_BLOCK)
		return r;
	if (r < 0) {
		op_fail(op, r, &e);
		return 0;
	}
	if (!op_claim(op))
		return 0;
	if (op->size == 0)
		fuse_reply_xattr(op->req, strlen(value));
	else if (strlen(value) > op->size)
		fuse_reply_err(op->req, ERANGE);
	else
		fuse_reply_buf(op->req, value, strlen(value));
	return 0;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct op op = { .req = req,
			 .what = "getxattr",
			 .run = run_getxattr,
			 .ino = ino,
			 .name = name,
			 .size = size };

	op_take(ops_server(req), &op);
}

/* No attribute is ever listed, so that no copy carries them. */
static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

/* ---- directories ---- */

static int run_opendir(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_dir *d;
	int r = fs_opendir(s->fs, op->ino, w, &d, &e);

	if (r == FS_WOULD_BLOCK)
		return r;
	if (r < 0) {
		op_fail(op, r, &e);
		return 0;
	}
	op->fi.fh = (uint64_t)(uintptr_t)d;
	op->fi.cache_readdir = op->fi.keep_cache = fs_dir_is_fixed(d);
	if (!op_claim(op) || fuse_reply_open(op->req, &op->fi) == -ENOENT)
		fs_closedir(d);
	return 0;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op = { .req = req, .what = "opendir", .run = run_opendir, .ino = ino, .fi = *fi };

	op_take(ops_server(req), &op);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_closedir((struct fs_dir *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

struct listing {
	fuse_req_t req;
	char *data;
	size_t size, used;
	bool plus;
};

static int fill(void *ctx, const char *name, const struct fs_entry *entry, uint64_t next)
{
	struct listing *l = ctx;
	struct fuse_entry_param param = ops_param(entry);
	size_t room = l->size - l->used, need;

	if (l->plus)
		need = fuse_add_direntry_plus(l->req, l->data + l->used, room, name, &param,
					      (off_t)next);
	else
		need = fuse_add_direntry(l->req, l->data + l->used, room, name, &entry->st,
					 (off_t)next);
	if (need > room)
		return 1;
	l->used += need;
	return 0;
}

/* What was filled before something would block is a good answer: the kernel asks on from there. */
static int read_directory(struct server *s, struct op *op, bool plus, struct view_wait w)
{
	_cleanup_free_ char *data = malloc(op->size);
	struct listing l = { op->req, data, op->size, 0, plus };
	struct err e = ERR_INIT;
	int r;

	(void)s;
	if (!data) {
		op_fail(op, err_nomem(&e), &e);
		return 0;
	}
	r = fs_readdir((struct fs_dir *)(uintptr_t)op->fi.fh, (uint64_t)op->offset, plus, w, fill,
		       &l, &e);
	if (r == FS_WOULD_BLOCK && l.used == 0)
		return r;
	if (r < 0 && l.used == 0)
		op_fail(op, r, &e);
	else if (op_claim(op))
		fuse_reply_buf(op->req, data, l.used);
	return 0;
}

static void drop_dir(struct op *op)
{
	fs_dir_unref((struct fs_dir *)(uintptr_t)op->fi.fh);
}

static int run_readdir(struct server *s, struct op *op, struct view_wait w)
{
	return read_directory(s, op, false, w);
}

static int run_readdirplus(struct server *s, struct op *op, struct view_wait w)
{
	return read_directory(s, op, true, w);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "readdir",
			 .run = run_readdir,
			 .drop = drop_dir,
			 .ino = ino,
			 .size = size,
			 .offset = offset,
			 .fi = *fi };

	fs_dir_ref((struct fs_dir *)(uintptr_t)fi->fh);
	op_take(ops_server(req), &op);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "readdirplus",
			 .run = run_readdirplus,
			 .drop = drop_dir,
			 .ino = ino,
			 .size = size,
			 .offset = offset,
			 .fi = *fi };

	fs_dir_ref((struct fs_dir *)(uintptr_t)fi->fh);
	op_take(ops_server(req), &op);
}

/* ---- files ---- */

void ops_opened(struct fuse_file_info *fi, struct fs_file *file, bool direct)
{
	fi->fh = (uint64_t)(uintptr_t)file;
	fi->keep_cache = !direct;
	fi->direct_io = direct;
	fi->noflush = 1;
}

static int run_open(struct server *s, struct op *op, struct view_wait w)
{
	struct err e = ERR_INIT;
	struct fs_file *file;
	bool direct;
	int r;

	r = fs_open(s->fs, op->ino, op->fi.flags, w, &file, &direct, &e);
	if (r == FS_WOULD_BLOCK)
		return r;
	if (r < 0) {
		op_fail(op, r, &e);
		return 0;
	}
	ops_opened(&op->fi, file, direct);
	ops_prefill(s, op->ino, file, w.wait);
	if (!op_claim(op) || fuse_reply_open(op->req, &op->fi) == -ENOENT)
		fs_close(file);
	return 0;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op = { .req = req, .what = "open", .run = run_open, .ino = ino, .fi = *fi };

	op_take(ops_server(req), &op);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fs_close((struct fs_file *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

static int run_read(struct server *s, struct op *op, struct view_wait w)
{
	struct fs_file *file = (struct fs_file *)(uintptr_t)op->fi.fh;
	struct err e = ERR_INIT;
	struct fs_read rd;
	int r = fs_read(file, (uint64_t)op->offset, op->size, w, &rd, &e);

	(void)s;
	if (r == FS_WOULD_BLOCK)
		return r;
	if (r < 0) {
		op_fail(op, r, &e);
		return 0;
	}
	if (op_claim(op))
		fuse_reply_iov(op->req, rd.iov, rd.iov_count);
	fs_read_done(file, &rd);
	return 0;
}

static void drop_file(struct op *op)
{
	fs_file_unref((struct fs_file *)(uintptr_t)op->fi.fh);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct op op = { .req = req,
			 .what = "read",
			 .run = run_read,
			 .drop = drop_file,
			 .ino = ino,
			 .size = MIN_OF(size, (size_t)READ_MAX),
			 .offset = offset,
			 .fi = *fi };

	fs_file_ref((struct fs_file *)(uintptr_t)fi->fh);
	op_take(ops_server(req), &op);
}

struct fuse_lowlevel_ops ops_table(bool xattr)
{
	struct fuse_lowlevel_ops ops = {
		.init = op_init,
		.lookup = op_lookup,
		.forget = op_forget,
		.forget_multi = op_forget_multi,
		.getattr = op_getattr,
		.readlink = op_readlink,
		.statfs = op_statfs,
		.getxattr = xattr ? op_getxattr : NULL,
		.listxattr = xattr ? op_listxattr : NULL,
		.opendir = op_opendir,
		.readdir = op_readdir,
		.readdirplus = op_readdirplus,
		.releasedir = op_releasedir,
		.open = op_open,
		.read = op_read,
		.release = op_release,
	};

	ops_change_table(&ops, xattr);
	return ops;
}
