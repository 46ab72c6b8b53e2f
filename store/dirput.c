/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A put: the data into a file of the reserved directory, its time, fsync; then one step that decides and publishes (link, or compare and rename
 * under the lock of the directory); then fsync of the directory. Until that step nothing of it can be seen, and every failure removes the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/io.h"
#include "store/dirpath.h"
#include "store/dirput.h"
#include "store/dirtmp.h"

#define PIECE_BYTES (1 * MIB) /* written between two looks at cancel */
#define PUBLISH_ATTEMPTS 100  /* against those who remove empty directories at the same moment */
#define NS_PER_S 1000000000LL

struct publication {
	struct dirctx *ctx;
	const struct store_put *req;
	struct dirtmp_file file;
	bool time_changed; /* after the fsync of the file */
};

static void publication_deinit(struct publication *p)
{
	dirtmp_deinit(&p->file);
}

static int64_t mtime_ns(const struct stat *st)
{
	return clock_timespec_ns(st->st_mtim);
}

void dirput_etag(char out[STORE_ETAG_MAX], const struct stat *st)
{
	snprintf(out, STORE_ETAG_MAX, "%" PRIx64 "-%" PRIx64 "-%" PRIx64, (uint64_t)mtime_ns(st),
		 (uint64_t)st->st_size, (uint64_t)st->st_ino);
}

int dirput_error(struct dirctx *ctx, int code, const char *what, struct err *e)
{
	switch (code) {
	case -ECANCELED:
		return err_set(e, ERR_IO, code, "interrupted");
	case -EISDIR:
	case -ENOTDIR:
		return err_set(
			e, ERR_USAGE, -EEXIST,
			"a directory cannot hold this key: a part of it is an object, or it is a part of other keys");
	case -ENAMETOOLONG:
		return err_set(
			e, ERR_USAGE, code,
			"a directory cannot hold this key: the file system of %s has a shorter limit for names",
			ctx->path);
	case -ETIMEDOUT:
		return err_set(
			e, ERR_STORE, code,
			"another process has kept a lock of %s for more than %d s: is it stopped?",
			ctx->path, DIRTMP_LOCK_LIMIT_MS / 1000);
	case -EROFS:
		return err_set(e, ERR_STORE, code, "%s in %s: it is mounted read-only", what,
			       ctx->path);
	case -ENOSPC:
	case -EDQUOT:
		return err_set(e, ERR_STORE, code, "%s in %s: no space is left", what, ctx->path);
	case -EAGAIN:
		err_set(e, ERR_STORE, code, "%s in %s: it changes too fast", what, ctx->path);
		if (e)
			e->retryable = true;
		return code;
	default:
		err_errno(e, code, "%s in %s", what, ctx->path);
		if (e)
			e->kind = ERR_STORE;
		return code;
	}
}

static int set_time(int fd, int64_t ns)
{
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S },
	};

	return futimens(fd, times) < 0 ? -errno : 0;
}

/* A time that this process gave to no other file: the clock's, or one more than the last. */
static int64_t next_ns(struct dirctx *ctx)
{
	int64_t now = clock_wall_ns(ctx->clock), last = atomic_load(&ctx->last_ns), next;

	do {
		next = MAX_OF(now, last + 1);
	} while (!atomic_compare_exchange_weak(&ctx->last_ns, &last, next));
	return next;
}

static int write_body(int fd, const struct store_put *req, const struct cancel *c)
{
	uint64_t at = 0;

	for (int i = 0; i < req->body_count; i++) {
		const uint8_t *data = req->body[i].iov_base;
		size_t left = req->body[i].iov_len;

		while (left > 0) {
			size_t n = MIN_OF(left, PIECE_BYTES);
			int r = cancel_is_set(c) ? -ECANCELED : io_pwrite_full(fd, data, n, at);

			if (r < 0)
				return r;
			data += n;
			at += n;
			left -= n;
		}
	}
	return 0;
}

/* The whole file, durable and with its time, in the reserved directory. */
static int prepare(struct publication *p, const struct cancel *c, struct err *e)
{
	struct stat st = { 0 };
	int64_t ns;
	int r;

	r = dirtmp_create(p->ctx, &p->file);
	if (r == 0)
		r = write_body(p->file.fd, p->req, c);
	ns = next_ns(p->ctx);
	if (r == 0)
		r = set_time(p->file.fd, ns);
	if (r == 0 && (fsync(p->file.fd) < 0 || fstat(p->file.fd, &st) < 0))
		r = -errno;
	if (r < 0)
		return dirput_error(p->ctx, r, "cannot write an object", e);
	if (mtime_ns(&st) != ns)
		return err_set(
			e, ERR_USAGE, -EOPNOTSUPP,
			"the file system of %s does not keep times to the nanosecond, which updates in a directory depend on: use ext4, XFS, btrfs or ZFS, or an S3 server",
			p->ctx->path);
	return 0;
}

/* What a put's condition says to the object that is there now (NULL: none). */
static int decide(const struct store_put *req, const struct stat *now)
{
	char etag[STORE_ETAG_MAX];

	switch (req->cond) {
	case STORE_ALWAYS:
		return 0;
	case STORE_IF_ABSENT:
		return now ? STORE_PRECONDITION : 0;
	case STORE_IF_MATCH:
		if (!now)
			return STORE_NOT_FOUND;
		dirput_etag(etag, now);
		return strcmp(etag, req->etag) == 0 ? 0 : STORE_PRECONDITION;
	}
	return -EINVAL;
}

/* 0 with *ret: a regular file; -ENOENT: nothing that is an object; -EISDIR. */
static int stat_object(int dir_fd, const char *name, struct stat *ret)
{
	if (fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(ret->st_mode))
		return -EISDIR;
	return S_ISREG(ret->st_mode) ? 0 : -EEXIST;
}

/* Where a directory is in the way: an empty one is a leftover and goes (-EAGAIN), else -EISDIR. */
static int clear_the_way(const struct dirpath_ref *dir)
{
	return unlinkat(dir->fd, dir->leaf, AT_REMOVEDIR) == 0 || errno == ENOENT ? -EAGAIN
										  : -EISDIR;
}

static int publish_new(const struct publication *p, const struct dirpath_ref *dir)
{
	struct stat now;
	int r;

	if (linkat(p->file.root_fd, p->file.name, dir->fd, dir->leaf, 0) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	r = stat_object(dir->fd, dir->leaf, &now);
	if (r == -EISDIR)
		return clear_the_way(dir);
	return r == -ENOENT ? -EAGAIN : r < 0 ? r : STORE_PRECONDITION;
}

/* With the lock of the directory held. */
static int publish_locked(struct publication *p, const struct dirpath_ref *dir)
{
	struct stat now, own;
	int r = stat_object(dir->fd, dir->leaf, &now);
	bool exists = r == 0;

	if (r == -EISDIR && p->req->cond == STORE_ALWAYS)
		return clear_the_way(dir);
	if (r < 0 && r != -ENOENT && r != -EISDIR)
		return r;
	r = decide(p->req, exists ? &now : NULL);
	if (r)
		return r;
	if (fstat(p->file.fd, &own) < 0)
		return -errno;
	if (exists && mtime_ns(&own) <= mtime_ns(&now)) {
		p->time_changed = true;
		r = set_time(p->file.fd, mtime_ns(&now) + 1);
		if (r < 0)
			return r;
	}
	if (renameat(p->file.root_fd, p->file.name, dir->fd, dir->leaf) < 0)
		return -errno;
	p->file.name[0] = '\0';
	return 0;
}

/* One attempt to publish. -ENOENT, -EAGAIN: the directory went away, or something in it changed: again. */
static int publish_once(struct publication *p, const struct dirpath_ref *dir,
			const struct cancel *c)
{
	const char *key = p->req->key;
	_cleanup_close_ int lock = -1;

	if (p->req->cond == STORE_IF_ABSENT)
		return publish_new(p, dir);
	lock = dirtmp_lock(p->ctx, key, dirpath_directory_len(key), DIRTMP_EXCLUSIVE, c);
	return lock < 0 ? lock : publish_locked(p, dir);
}

/* After publication: durable, or the outcome is not known. */
static int settle(struct publication *p, const struct dirpath_ref *dir, struct err *e)
{
	int r;

	if ((!p->time_changed || fsync(p->file.fd) == 0) && fsync(dir->fd) == 0)
		return 0;
	r = dirput_error(p->ctx, -errno, "cannot make an object durable", e);
	if (e)
		e->outcome_unknown = true;
	return r;
}

static int publish(struct publication *p, const struct cancel *c, struct err *e)
{
	bool make = p->req->cond != STORE_IF_MATCH;
	int r = -EAGAIN;

	for (int i = 0; i < PUBLISH_ATTEMPTS && (r == -EAGAIN || r == -ENOENT); i++) {
		_cleanup_(dirpath_release) struct dirpath_ref dir = DIRPATH_REF_INIT;

		if (cancel_is_set(c))
			return dirput_error(p->ctx, -ECANCELED, "", e);
		r = dirpath_open(p->ctx->paths, p->req->key, make, &dir);
		if (r == -ENOENT && !make)
			return STORE_NOT_FOUND;
		if (r == 0)
			r = publish_once(p, &dir, c);
		if (r == -ENOENT)
			dirpath_forget(&dir);
		if (r == 0 || (r == STORE_PRECONDITION && p->req->cond == STORE_IF_ABSENT)) {
			int s = settle(p, &dir, e);

			return s < 0 ? s : r;
		}
	}
	return r < 0 ? dirput_error(p->ctx, r, "cannot publish an object", e) : r;
}

/*
 * A refusal that is clear before anything is written; 0 goes on. It may only refuse: what allows a put is decided when it is published.
 * An IF_ABSENT that is refused says that the key is there durably, hence the fsync.
 */
static int foresee(struct publication *p, struct err *e)
{
	_cleanup_(dirpath_release) struct dirpath_ref dir = DIRPATH_REF_INIT;
	struct stat now;
	int r;

	if (p->req->cond == STORE_ALWAYS)
		return 0;
	r = stat_object(p->ctx->root_fd, p->req->key, &now);
	if (r < 0 && r != -ENOENT && r != -ENOTDIR && r != -EISDIR && r != -ENAMETOOLONG)
		return 0;
	r = decide(p->req, r == 0 ? &now : NULL);
	if (r != STORE_PRECONDITION || p->req->cond != STORE_IF_ABSENT)
		return r;
	if (dirpath_open(p->ctx->paths, p->req->key, false, &dir) < 0)
		return 0;
	r = settle(p, &dir, e);
	return r < 0 ? r : STORE_PRECONDITION;
}

int dirput_put(struct dirctx *ctx, const struct store_put *req, struct store_meta *ret,
	       const struct cancel *c, struct err *e)
{
	_cleanup_(publication_deinit) struct publication p = {
		.ctx = ctx,
		.req = req,
		.file = DIRTMP_FILE_INIT,
	};
	struct stat st;
	int r;

	r = foresee(&p, e);
	if (r == 0)
		r = prepare(&p, c, e);
	if (r == 0)
		r = publish(&p, c, e);
	if (r)
		return r;
	if (fstat(p.file.fd, &st) < 0)
		return dirput_error(ctx, -errno, "cannot look at an object", e);
	ret->size_bytes = (uint64_t)st.st_size;
	ret->date_ns = clock_wall_ns(ctx->clock);
	dirput_etag(ret->etag, &st);
	return 0;
}
