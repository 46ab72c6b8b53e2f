/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/yamledit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "base/util.h"
#include "cassandra/nodeconf.h"

struct files {
	char path[PATH_MAX]; /* without symbolic links */
	char *backup;
	struct stat st; /* of the file */
	char *original, *now;
	size_t original_len, now_len;
};

static void files_deinit(struct files *f)
{
	free(f->backup);
	free(f->original);
	free(f->now);
}

/* original: NULL where there is no copy of it. */
static int files_open(struct files *f, const char *path, struct err *e)
{
	int r;

	if (!realpath(path, f->path) || stat(f->path, &f->st) < 0)
		return err_errno(e, -errno, "cannot open %s", path);
	f->backup = util_printf("%s" YAMLEDIT_BACKUP_SUFFIX, f->path);
	if (!f->backup)
		return err_nomem(e);
	r = io_read_file(AT_FDCWD, f->path, NODECONF_BYTES_MAX, &f->now, &f->now_len);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", f->path);
	r = io_read_file(AT_FDCWD, f->backup, NODECONF_BYTES_MAX, &f->original, &f->original_len);
	return r < 0 && r != -ENOENT ? err_errno(e, r, "cannot read %s", f->backup) : 0;
}

/* A run that was killed may have left it with the owner of the program, and our umask takes from its mode: Cassandra must be able to read it. */
static int make_like(const char *path, const struct stat *like, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0 || ((st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
				    chown(path, like->st_uid, like->st_gid) < 0))
		return err_errno(e, -errno, "cannot give %s to the owner that cassandra.yaml has",
				 path);
	if (chmod(path, like->st_mode & 07777) < 0)
		return err_errno(e, -errno, "cannot give %s the mode that cassandra.yaml has",
				 path);
	return 0;
}

static bool equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Until the file differs from the original its attributes are the right ones; then those of the copy are. */
static int keep_original(struct files *f, struct stat *ret_like, struct err *e)
{
	bool edited = f->original && !equal(f->original, f->original_len, f->now, f->now_len);
	int r = 0;

	*ret_like = f->st;
	if (edited)
		return stat(f->backup, ret_like) < 0
			       ? err_errno(e, -errno, "cannot look at %s", f->backup)
			       : 0;
	if (!f->original)
		r = io_publish_file(AT_FDCWD, f->backup, f->now, f->now_len, f->st.st_mode & 07777,
				    e);
	return r < 0 ? r : make_like(f->backup, &f->st, e);
}

static int edit(struct files *f, const struct yamledit_change *changes, size_t count, struct err *e)
{
	const char *from = f->original ? f->original : f->now;
	size_t from_len = f->original ? f->original_len : f->now_len, len;
	_cleanup_free_ char *text = NULL;
	struct stat like;
	int r = yamledit_text(f->path, from, from_len, changes, count, &text, &len, e);

	if (r == 0 && f->original && !equal(f->original, f->original_len, f->now, f->now_len) &&
	    !equal(text, len, f->now, f->now_len))
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%s was changed after %s was made: look at both, and remove the one that is not wanted",
			f->path, f->backup);
	if (r == 0)
		r = keep_original(f, &like, e);
	if (r == 0 && !equal(text, len, f->now, f->now_len))
		r = io_publish_file(AT_FDCWD, f->path, text, len, like.st_mode & 07777, e);
	return r < 0 ? r : make_like(f->path, &like, e);
}

int yamledit_file(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .backup = NULL };
	int r = files_open(&f, path, e);

	return r < 0 ? r : edit(&f, changes, count, e);
}

/* The edit is made once more, to know it again. */
static int undo(struct files *f, const struct yamledit_change *changes, size_t count, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (!f->original)
		return 0;
	r = yamledit_text(f->path, f->original, f->original_len, changes, count, &text, &len, e);
	if (r < 0)
		return r;
	if (!equal(text, len, f->now, f->now_len) &&
	    !equal(f->original, f->original_len, f->now, f->now_len))
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%s was changed since restore-node edited it, and what it was before is in %s: make of both what is wanted, remove the copy, and run it again",
			f->path, f->backup);
	if (rename(f->backup, f->path) < 0)
		return err_errno(e, -errno, "cannot put %s back", f->path);
	*strrchr(f->path, '/') = '\0';
	r = io_fsync_dir(AT_FDCWD, *f->path ? f->path : "/");
	return r < 0 ? err_errno(e, r, "cannot make %s durable", f->path) : 0;
}

int yamledit_undo(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .backup = NULL };
	int r = files_open(&f, path, e);

	return r < 0 ? r : undo(&f, changes, count, e);
}

int yamledit_check(const char *path, const struct yamledit_change *changes, size_t count,
		   struct err *e)
{
	_cleanup_(files_deinit) struct files f = { .backup = NULL };
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = files_open(&f, path, e);

	if (r == 0 && f.original)
		return err_set(
			e, ERR_CONFLICT, -EEXIST,
			"%s is there, of a restore that is not known any more: look at it, and move it away",
			f.backup);
	if (r == 0 && geteuid() != 0 && geteuid() != f.st.st_uid)
		return err_set(
			e, ERR_USAGE, -EPERM,
			"%s belongs to another user: run restore-node as root or as that user",
			f.path);
	if (r == 0)
		r = yamledit_text(f.path, f.now, f.now_len, changes, count, &text, &len, e);
	if (r < 0)
		return r;
	*strrchr(f.path, '/') = '\0';
	if (faccessat(AT_FDCWD, *f.path ? f.path : "/", W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(e, -errno, "%s cannot be written", *f.path ? f.path : "/");
	return 0;
}

int yamledit_forget(const char *path, struct err *e)
{
	char real[PATH_MAX];
	_cleanup_free_ char *backup = NULL;

	if (!realpath(path, real))
		return err_errno(e, -errno, "cannot open %s", path);
	backup = util_printf("%s" YAMLEDIT_BACKUP_SUFFIX, real);
	if (!backup)
		return err_nomem(e);
	if (unlink(backup) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "cannot remove %s", backup);
	return 0;
}
