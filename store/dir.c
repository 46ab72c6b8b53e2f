/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/io.h"
#include "store/dir.h"
#include "store/dirctx.h"
#include "store/dirdel.h"
#include "store/dirlist.h"
#include "store/dirpath.h"
#include "store/dirput.h"
#include "store/dirtmp.h"

#define PIECE_BYTES (1 * MIB) /* read between two looks at cancel */

struct dir_store {
	struct store store;
	struct dirctx ctx;
};

static struct dirctx *ctx_of(struct store *s)
{
	return &((struct dir_store *)s)->ctx;
}

/* Whether a key lies in the directory that is not for objects. */
static int check_reserved(const char *key, struct err *e)
{
	size_t len = strlen(DIRTMP_NAME);

	if (strncmp(key, DIRTMP_NAME, len) != 0 || (key[len] != '/' && key[len] != '\0'))
		return 0;
	return err_set(e, ERR_USAGE, -EINVAL, "keys below %s are reserved in a directory",
		       DIRTMP_NAME);
}

static bool means_absent(int error)
{
	return error == ENOENT || error == ENOTDIR || error == EISDIR || error == ENAMETOOLONG ||
	       error == ELOOP;
}

static struct store_meta describe(const struct dirctx *ctx, const struct stat *st)
{
	struct store_meta meta = {
		.size_bytes = (uint64_t)st->st_size,
		.date_ns = clock_wall_ns(ctx->clock),
		.modified_ns = clock_timespec_ns(st->st_mtim),
	};

	dirput_etag(meta.etag, st);
	return meta;
}

static int dir_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	int r = check_reserved(req->key, e);

	return r < 0 ? r : dirput_put(ctx_of(s), req, ret, c, e);
}

static int read_body(struct dirctx *ctx, int fd, const struct store_get *req, uint64_t size,
		     const struct cancel *c, struct err *e)
{
	uint64_t done = 0;

	while (done < size) {
		size_t want = MIN_OF(size - done, PIECE_BYTES);
		ssize_t n;

		if (cancel_is_set(c))
			return dirput_error(ctx, -ECANCELED, "", e);
		n = io_pread_full(fd, (uint8_t *)req->dst + done, want, req->offset + done);
		if (n < 0)
			return dirput_error(ctx, (int)n, "cannot read an object", e);
		if ((size_t)n < want)
			return err_set(e, ERR_CORRUPT, -EBADMSG,
				       "the file became shorter while it was read");
		done += want;
		if (req->progress)
			req->progress(req->progress_ctx, done);
	}
	return 0;
}

static int check_range(const struct store_get *req, uint64_t size, struct err *e)
{
	if (req->whole && size > req->cap_bytes)
		return err_set(e, ERR_CORRUPT, -EFBIG,
			       "%" PRIu64 " bytes where at most %zu are expected", size,
			       req->cap_bytes);
	if (!req->whole && (req->offset > size || req->len_bytes > size - req->offset))
		return err_set(e, ERR_CORRUPT, -ERANGE,
			       "%" PRIu64 " bytes, too few for %" PRIu64 " from %" PRIu64, size,
			       req->len_bytes, req->offset);
	return 0;
}

static int dir_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		   const struct cancel *c, struct err *e)
{
	struct dirctx *ctx = ctx_of(s);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = check_reserved(req->key, e);

	if (r < 0)
		return r;
	fd = openat(ctx->root_fd, req->key, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && means_absent(errno))
		return STORE_NOT_FOUND;
	if (fd < 0 || fstat(fd, &st) < 0)
		return dirput_error(ctx, -errno, "cannot read an object", e);
	if (!S_ISREG(st.st_mode))
		return STORE_NOT_FOUND;
	r = check_range(req, (uint64_t)st.st_size, e);
	if (r == 0)
		r = read_body(ctx, fd, req, req->whole ? (uint64_t)st.st_size : req->len_bytes, c,
			      e);
	if (r == 0)
		*ret = describe(ctx, &st);
	return r;
}

static int dir_head(struct store *s, const char *key, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct dirctx *ctx = ctx_of(s);
	struct stat st;
	int r = check_reserved(key, e);

	if (r < 0)
		return r;
	if (fstatat(ctx->root_fd, key, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return means_absent(errno)
			       ? STORE_NOT_FOUND
			       : dirput_error(ctx, -errno, "cannot look at an object", e);
	if (!S_ISREG(st.st_mode))
		return STORE_NOT_FOUND;
	*ret = describe(ctx, &st);
	return 0;
}

static int dir_list(struct store *s, const struct store_list *req, const struct cancel *c,
		    struct err *e)
{
	return dirlist_list(ctx_of(s), req, DIRLIST_BATCH, c, e);
}

static int dir_delete_many(struct store *s, const char *const *keys, size_t count,
			   struct store_delete_error *errors, size_t *ret_error_count,
			   const struct cancel *c, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		int r = check_reserved(keys[i], e);

		if (r < 0)
			return r;
	}
	return dirdel_delete_many(ctx_of(s), keys, count, errors, ret_error_count, c, e);
}

static unsigned dir_caps(struct store *s)
{
	return STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE | STORE_CAP_LOCAL;
}

static void dir_free(struct store *s)
{
	struct dirctx *ctx = ctx_of(s);

	dirpath_free(ctx->paths);
	if (ctx->root_fd >= 0)
		close(ctx->root_fd);
	free(ctx->path);
	free(s);
}

static const struct store_ops dir_ops = {
	.name = "directory",
	.put = dir_put,
	.get = dir_get,
	.head = dir_head,
	.list = dir_list,
	.delete_many = dir_delete_many,
	.caps = dir_caps,
	.free = dir_free,
};

/* The name of a network file system, on which locks and fsync do not mean what this store needs; NULL for others. */
static const char *network_name(uint64_t magic)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} known[] = {
		{ 0x00006969, "NFS" },	  { 0x0000517b, "SMB" }, { 0xff534d42, "CIFS" },
		{ 0xfe534d42, "SMB" },	  { 0x01021997, "9p" },	 { 0x00c36400, "Ceph" },
		{ 0x0bd00bd0, "Lustre" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].magic == magic)
			return known[i].name;
	return NULL;
}

#define FUSE_MAGIC 0x65735546

static int check_file_system(const struct dir_store_options *o, int fd, struct err *e)
{
	struct statfs fs;
	const char *network;

	if ((o->statfs ? o->statfs : fstatfs)(fd, &fs) < 0)
		return err_errno(e, -errno, "cannot look at the file system of %s", o->path);
	/* f_type is a signed long: on some machines the magic comes with its sign extended. */
	network = network_name((uint32_t)fs.f_type);
	if (network)
		return err_set(
			e, ERR_USAGE, -EOPNOTSUPP,
			"%s is on %s: a repository in a directory needs a local file system; put it on one, or use an S3 server",
			o->path, network);
	if ((uint32_t)fs.f_type == FUSE_MAGIC)
		log_write(
			o->log, LOG_LEVEL_WARNING, "directory-on-fuse",
			"%s is on a FUSE file system: whether locks and fsync hold there depends on it",
			o->path);
	return 0;
}

static int open_error(const char *path, int code, struct err *e)
{
	if (code == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, code, "there is no directory %s", path);
	if (code == -ENOTDIR)
		return err_set(e, ERR_USAGE, code, "%s is not a directory", path);
	err_errno(e, code, "cannot open the directory %s", path);
	if (e)
		e->kind = ERR_STORE;
	return code;
}

/* Opens the root; *ret_made where it was made now. */
static int open_root(const struct dir_store_options *o, bool *ret_made, struct err *e)
{
	int fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret_made = false;
	if (fd >= 0 || errno != ENOENT || !o->create)
		return fd >= 0 ? fd : open_error(o->path, -errno, e);
	*ret_made = mkdir(o->path, 0700) == 0;
	if (!*ret_made && errno != EEXIST)
		return err_errno(e, -errno, "cannot make the directory %s", o->path);
	fd = open(o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : open_error(o->path, -errno, e);
}

int dir_store_new(const struct dir_store_options *options, struct store **ret, struct err *e)
{
	_cleanup_(store_freep) struct store *s = NULL;
	struct dir_store *d = calloc(1, sizeof(*d));
	bool made;
	int r;

	if (!d)
		return err_nomem(e);
	s = &d->store;
	s->ops = &dir_ops;
	d->ctx.clock = options->clock;
	d->ctx.root_fd = open_root(options, &made, e);
	if (d->ctx.root_fd < 0)
		return d->ctx.root_fd;
	r = check_file_system(options, d->ctx.root_fd, e);
	/* Also where it was there: who made it may have been killed before this. */
	if (r == 0 && options->create && (r = io_fsync_dir(d->ctx.root_fd, "..")) < 0)
		err_errno(e, r, "cannot make the directory %s durable", options->path);
	if (r < 0) {
		if (made)
			rmdir(options->path);
		return r;
	}
	d->ctx.path = strdup(options->path);
	d->ctx.paths = dirpath_new(d->ctx.root_fd);
	if (!d->ctx.path || !d->ctx.paths)
		return err_nomem(e);
	dirtmp_clean(d->ctx.root_fd);
	*ret = steal_pointer(&s);
	return 0;
}
