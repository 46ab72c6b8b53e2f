/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/yamledit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "base/util.h"
#include "cassandra/nodeconf.h"

struct files {
	const char *path;
	const char *name; /* in `dir` */
	int dir;	  /* -1: not open */
	char *backup, *temporary;
	struct stat st, original_st;
	char *original, *now;
	size_t original_len, now_len;
};

static void files_deinit(struct files *f)
{
	util_closep(&f->dir);
	free(f->backup);
	free(f->temporary);
	free(f->original);
	free(f->now);
}

static int open_directory(struct files *f, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory = slash ? strndup(path, (size_t)(slash - path)) : NULL;
	int r;

	if (!slash)
		return err_set(e, ERR_USAGE, -EINVAL, "%s is no absolute path", path);
	f->path = path;
	f->name = slash + 1;
	f->backup = util_printf("%s" YAMLEDIT_BACKUP_SUFFIX, f->name);
	f->temporary = util_printf(".%s.restore-node.tmp", f->name);
	if (!directory || !f->backup || !f->temporary)
		return err_nomem(e);
	r = io_open_real(*directory ? directory : "/", &f->dir);
	return r < 0 ? err_errno(e, r, "cannot open %s, symbolic links are not followed", directory)
		     : 0;
}

/* original: NULL where there is no copy of it. */
static int files_open(struct files *f, const char *path, struct err *e)
{
	int r = open_directory(f, path, e);

	if (r < 0)
		return r;
	r = io_read_stat(f->dir, f->name, O_NOFOLLOW, NODECONF_BYTES_MAX, &f->now, &f->now_len,
			 &f->st);
	if (r == -ELOOP)
		return err_set(e, ERR_CONFLICT, r, "%s has become a symbolic link", path);
	if (r < 0)
		return err_errno(e, r, "cannot open %s", path);
	r = io_read_stat(f->dir, f->backup, O_NOFOLLOW, NODECONF_BYTES_MAX, &f->original,
			 &f->original_len, &f->original_st);
	return r < 0 && r != -ENOENT
		       ? err_errno(e, r, "cannot read %s" YAMLEDIT_BACKUP_SUFFIX, path)
		       : 0;
}

/* What a call that was killed left. Anything else of that name is not ours, and stays. */
static int remove_leftover(const struct files *f, struct err *e)
{
	struct stat st;

	if (fstatat(f->dir, f->temporary, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_uid != geteuid() && st.st_uid != f->st.st_uid))
		return 0;
	return unlinkat(f->dir, f->temporary, 0) < 0 && errno != ENOENT
		       ? err_errno(e, -errno, "cannot remove %s beside %s", f->temporary, f->path)
		       : 0;
}

/* Cassandra must be able to read it, whatever our umask and whoever we are. */
static int write_like(const struct files *f, const char *text, size_t len, const struct stat *like)
{
	_cleanup_close_ int fd = openat(f->dir, f->temporary,
					O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = io_write_full(fd, text, len);
	if (r < 0)
		return r;
	if ((st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
	    fchown(fd, like->st_uid, like->st_gid) < 0)
		return -errno;
	return fchmod(fd, like->st_mode & 07777) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int publish(const struct files *f, const char *name, const char *text, size_t len,
		   const struct stat *like, struct err *e)
{
	int r = write_like(f, text, len, like);

	if (r == -EEXIST)
		return err_set(e, ERR_CONFLICT, r,
			       "%s lies beside %s and is not restore-node's: move it away",
			       f->temporary, f->path);
	if (r == 0 && renameat(f->dir, f->temporary, f->dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(f->dir, f->temporary, 0);
	if (r == 0 && fsync(f->dir) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, r, "cannot write %s, with the owner and mode of %s", name,
				 f->path)
		     : 0;
}

static bool equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Content and attributes are always those of one file, as it was opened. */
static int edit(const struct files *f, const struct yamledit_change *changes, size_t count,
		struct err *e)
{
	const char *from = f->original ? f->original : f->now;
	size_t from_len = f->original ? f->original_len : f->now_len, len;
	const struct stat *like = f->original ? &f->original_st : &f->st;
	_cleanup_free_ char *text = NULL;
	int r = yamledit_text(f->path, from, from_len, changes, count, &text, &len, e);

	if (r == 0 && f->original && !equal(f->original, f->original_len, f->now, f->now_len) &&
	    !equal(text, len, f->now, f->now_len))
		return err_set(e, ERR_CONFLICT, -EBUSY,
			       "%s was changed after %s" YAMLEDIT_BACKUP_SUFFIX
			       " was made: look at both, and remove the one that is not wanted",
			       f->path, f->path);
	if (r == 0)
		r = remove_leftover(f, e);
	if (r == 0 && !f->original)
		r = publish(f, f->backup, f->now, f->now_len, like, e);
	if (r == 0 && !equal(text, len, f->now, f->now_len))
		r = publish(f, f->name, text, len, like, e);
	return r;
}

int yamledit_file(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .dir = -1 };
	int r = files_open(&f, path, e);

	return r < 0 ? r : edit(&f, changes, count, e);
}

/* The edit is made once more, to know it again. */
static int undo(const struct files *f, const struct yamledit_change *changes, size_t count,
		struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = remove_leftover(f, e);

	if (r < 0 || !f->original)
		return r;
	r = yamledit_text(f->path, f->original, f->original_len, changes, count, &text, &len, e);
	if (r < 0)
		return r;
	if (!equal(text, len, f->now, f->now_len) &&
	    !equal(f->original, f->original_len, f->now, f->now_len))
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%s was changed since restore-node edited it, and what it was before is in %s" YAMLEDIT_BACKUP_SUFFIX
			": make of both what is wanted, remove the copy, and run it again",
			f->path, f->path);
	if (renameat(f->dir, f->backup, f->dir, f->name) < 0)
		return err_errno(e, -errno, "cannot put %s back", f->path);
	return fsync(f->dir) < 0 ? err_errno(e, -errno, "cannot make %s durable", f->path) : 0;
}

int yamledit_undo(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .dir = -1 };
	int r = files_open(&f, path, e);

	return r < 0 ? r : undo(&f, changes, count, e);
}

int yamledit_check(const char *path, const struct yamledit_change *changes, size_t count,
		   struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .dir = -1 };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = files_open(&f, path, e);

	if (r == 0 && f.original)
		return err_set(
			e, ERR_CONFLICT, -EEXIST,
			"%s" YAMLEDIT_BACKUP_SUFFIX
			" is there, of a restore that is not known any more: look at it, and move it away",
			f.path);
	if (r == 0 && geteuid() != 0 && geteuid() != f.st.st_uid)
		return err_set(
			e, ERR_USAGE, -EPERM,
			"%s belongs to another user: run restore-node as root or as that user",
			f.path);
	if (r == 0)
		r = yamledit_text(f.path, f.now, f.now_len, changes, count, &text, &len, e);
	if (r < 0)
		return r;
	if (faccessat(f.dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(e, -errno, "the directory of %s cannot be written", f.path);
	return 0;
}

int yamledit_forget(const char *path, struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .dir = -1 };
	int r = files_open(&f, path, e);

	if (r == 0)
		r = remove_leftover(&f, e);
	if (r == 0 && unlinkat(f.dir, f.backup, 0) < 0 && errno != ENOENT)
		r = err_errno(e, -errno, "cannot remove %s" YAMLEDIT_BACKUP_SUFFIX, path);
	return r;
}
