/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/swap.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"

#define BACKUPS "backups"
#define GUARD "unfinished.db"
#define GUARD_TEXT                                                                   \
	"sstablefs restore-node was not finished here. Run the same command again, " \
	"or: sstablefs restore-node --abort\n"

static const char *const parts[] = {
	[SWAP_NEW] = "new",
	[SWAP_OLD] = "old",
	[SWAP_UNDONE] = "undone",
};

char *swap_path(const struct swap_place *p, enum swap_part part)
{
	return util_printf("%s/" SWAP_DIRECTORY "/" BACKUPS "/%s", p->path, parts[part]);
}

/* ---- directories ---- */

/* Who can write to a directory above it can put another one there, no link. */
static int check_same(const struct swap_place *p, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot look at %s", p->path);
	if (p->inode && (st.st_ino != p->inode || st.st_dev != p->device))
		return err_set(
			e, ERR_CONFLICT, -EPERM,
			"%s is not the directory that was looked at: another directory is there, put by who can write to those above it; put the first one back and run the same command again, or --abort",
			p->path);
	if (p->owned && st.st_uid != p->owner)
		return err_set(
			e, ERR_CONFLICT, -EPERM,
			"%s is of user %u now, and was of user %u when the restore began: if it is the same directory, chown %u it (it alone) and run the same command again, or --abort",
			p->path, (unsigned)st.st_uid, (unsigned)p->owner, (unsigned)p->owner);
	return 0;
}

int swap_open_place(const struct swap_place *p, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = io_open_real(p->path, &fd);

	if (r == -ENOTDIR)
		return err_set(
			e, ERR_CONFLICT, r,
			"%s is no directory any more, or a part of its path has become a symbolic link, which is not followed",
			p->path);
	if (r < 0)
		return err_errno(e, r, "cannot open %s", p->path);
	r = check_same(p, fd, e);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

/* One of our directories: PLACE/BELOW/NAME. */
struct own_name {
	const char *below, *name;
};

#define IN_BACKUPS "/" SWAP_DIRECTORY "/" BACKUPS

/* What is in `new` an sstablefs of before gave to Cassandra's user with the directory itself; its name is in a directory that is root's. */
static const char *advice(const struct own_name *n)
{
	return strcmp(n->below, IN_BACKUPS) == 0
		       ? "an sstablefs of before has given it to that user: chown it to root (it alone, not what is in it), or end the restore with that sstablefs; do not remove it"
		       : "if that user has begun a restore-node, run it as that user; if root has, and a chown -R came since, chown root it, its backups and backups/*, journal.json and lock (not what is in new and old), and run the same command again, or --abort; else look at what is in it, which may be all that a node had, and move it away";
}

/* Who else could write to it could lead root anywhere through it. */
static int check_ours(const struct swap_place *p, const struct own_name *n, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot look at %s%s/%s", p->path, n->below, n->name);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return err_set(e, ERR_CONFLICT, -EPERM, "%s%s/%s belongs to user %u: %s", p->path,
			       n->below, n->name, (unsigned)st.st_uid, advice(n));
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(
			e, ERR_CONFLICT, -EPERM,
			"others than its owner may write to %s%s/%s: look at what is in it, then chmod 755 it",
			p->path, n->below, n->name);
	return 0;
}

/* Cassandra's check at its start opens them, under whatever user and whatever our umask is. */
static int open_ours(const struct swap_place *p, int at, struct own_name n, bool make, int *ret_fd,
		     struct err *e)
{
	bool made = make && mkdirat(at, n.name, 0755) == 0;
	_cleanup_close_ int fd = -1;
	int r = 0;

	if (make && !made && errno != EEXIST)
		return err_errno(e, -errno, "cannot make %s%s/%s", p->path, n.below, n.name);
	fd = openat(at, n.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return err_set(
			e, ERR_CONFLICT, -ENOTDIR,
			"%s%s/%s is no directory (symbolic links are not followed): look at it and remove it",
			p->path, n.below, n.name);
	if (fd < 0)
		return err_errno(e, -errno, "cannot open %s%s/%s", p->path, n.below, n.name);
	r = check_ours(p, &n, fd, e);
	if (r == 0 && made && fchmod(fd, 0755) < 0)
		r = err_errno(e, -errno, "cannot set the mode of %s%s/%s", p->path, n.below,
			      n.name);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

static const struct own_name own_name = { "", SWAP_DIRECTORY };
static const struct own_name backups_name = { "/" SWAP_DIRECTORY, BACKUPS };

int swap_open_own(const struct swap_place *p, bool make, int *ret_fd, struct err *e)
{
	_cleanup_close_ int place = -1;
	int r = swap_open_place(p, &place, e);

	return r < 0 ? r : open_ours(p, place, own_name, make, ret_fd, e);
}

static int open_backups(const struct swap_place *p, bool make, int *ret_fd, struct err *e)
{
	_cleanup_close_ int own = -1;
	int r = swap_open_own(p, make, &own, e);

	return r < 0 ? r : open_ours(p, own, backups_name, make, ret_fd, e);
}

static struct own_name part_name(enum swap_part part)
{
	return (struct own_name){ IN_BACKUPS, parts[part] };
}

int swap_open_part(const struct swap_place *p, enum swap_part part, int *ret_fd, struct err *e)
{
	_cleanup_close_ int backups = -1;
	int r = open_backups(p, false, &backups, e);

	return r < 0 ? r : open_ours(p, backups, part_name(part), false, ret_fd, e);
}

/* What must be there. */
static int need_part(const struct swap_place *p, enum swap_part part, int *ret_fd, struct err *e)
{
	int r = swap_open_part(p, part, ret_fd, e);

	return r == -ENOENT
		       ? err_set(e, ERR_CONFLICT, r,
				 "%s: " SWAP_DIRECTORY "/" BACKUPS
				 "/%s, which the restore had made, is gone: is its file system mounted?",
				 p->path, parts[part])
		       : r;
}

int swap_check_made(const struct swap_place *p, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		_cleanup_close_ int fd = -1;

		r = need_part(p, i, &fd, e);
	}
	return r;
}

/* The names of all that was made. */
static int sync_up(const struct swap_place *p, int own, int backups, struct err *e)
{
	int r = fsync(backups) < 0 || fsync(own) < 0 ? -errno : io_fsync_dir(own, "..");

	return r < 0 ? err_errno(e, r, "cannot make %s/" SWAP_DIRECTORY " durable", p->path) : 0;
}

int swap_make(const struct swap_place *p, struct err *e)
{
	_cleanup_close_ int own = -1, backups = -1;
	int r = open_backups(p, true, &backups, e);

	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
		_cleanup_close_ int fd = -1;

		r = open_ours(p, backups, part_name(i), true, &fd, e);
	}
	if (r == 0)
		r = swap_open_own(p, false, &own, e);
	if (r == 0)
		r = sync_up(p, own, backups, e);
	return r;
}

/* ---- the entries of a directory ---- */

/* 0 go on, else the walk ends with it. */
typedef int entry_fn(void *ctx, int fd, const char *name, struct err *e);

static int each_entry(int fd, const char *path, entry_fn *fn, void *ctx, struct err *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return err_errno(e, r, "cannot read %s", path);
	}
	while (r == 0 && (errno = 0, d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			r = fn(ctx, fd, d->d_name, e);
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", path);
	closedir(dir);
	return r;
}

static bool stays(const char *name, const char *keep)
{
	return strcmp(name, SWAP_DIRECTORY) == 0 || strcmp(name, "lost+found") == 0 ||
	       (keep && strcmp(name, keep) == 0);
}

/* ---- whether it can be done ---- */

struct checking {
	const struct swap_place *place;
	dev_t device;
};

static int check_entry(void *ctx, int fd, const char *name, struct err *e)
{
	const struct checking *c = ctx;
	struct stat st;

	if (stays(name, NULL))
		return 0;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, -errno, "cannot look at %s/%s", c->place->path, name);
	if (st.st_dev != c->device)
		return err_set(e, ERR_CONFLICT, -EXDEV,
			       "%s/%s is a mounted file system and cannot be renamed: unmount it",
			       c->place->path, name);
	return 0;
}

int swap_check(const struct swap_place *p, struct err *e)
{
	struct checking c = { .place = p };
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = swap_open_place(p, &fd, e);

	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return err_errno(e, -errno, "%s cannot be written", p->path);
	c.device = st.st_dev;
	return each_entry(fd, p->path, check_entry, &c, e);
}

static int found_one(void *ctx, int fd, const char *name, struct err *e)
{
	(void)ctx, (void)fd, (void)name, (void)e;
	return 1;
}

int swap_holds(const struct swap_place *p, enum swap_part part, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = swap_open_part(p, part, &fd, e);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : each_entry(fd, p->path, found_one, NULL, e);
}

int swap_check_parts(const struct swap_place *p, struct err *e)
{
	int r = 0;

	for (size_t part = 0; part < ARRAY_SIZE(parts) && r == 0; part++) {
		r = swap_holds(p, part, e);
		if (r > 0)
			r = err_set(
				e, ERR_CONFLICT, -EEXIST,
				"%s/" SWAP_DIRECTORY "/" BACKUPS
				"/%s holds data of a restore that is not known any more: look at them, and move them away",
				p->path, parts[part]);
	}
	return r;
}

/* ---- moving ---- */

struct moving {
	const struct swap_place *place;
	int to;
	const char *keep, *to_name;
	bool moved;
};

static int move_entry(void *ctx, int fd, const char *name, struct err *e)
{
	struct moving *m = ctx;
	int r;

	if (stays(name, m->keep))
		return 0;
	r = io_rename_new(fd, name, m->to, name);
	if (r < 0)
		return err_set(e, ERR_CONFLICT, r, "%s: %s cannot be moved into %s: %s",
			       m->place->path, name, m->to_name, strerrordesc_np(-r));
	m->moved = true;
	return 0;
}

/* What a directory lists while it is renamed from is not certain, so it is read until it lists nothing more. */
static int move_all(int from, struct moving *m, struct err *e)
{
	int r;

	do {
		m->moved = false;
		r = each_entry(from, m->place->path, move_entry, m, e);
	} while (r == 0 && m->moved);
	if (r == 0 && (fsync(m->to) < 0 || fsync(from) < 0))
		r = err_errno(e, -errno, "cannot make %s durable", m->place->path);
	return r;
}

int swap_move(const struct swap_place *p, enum swap_move move, const char *keep, struct err *e)
{
	static const struct {
		enum swap_part part;
		bool out;
	} ways[] = {
		[SWAP_OUT] = { SWAP_OLD, true },
		[SWAP_IN] = { SWAP_NEW, false },
		[SWAP_CLEAR] = { SWAP_UNDONE, true },
		[SWAP_BACK] = { SWAP_OLD, false },
	};
	bool out = ways[move].out;
	const char *name = parts[ways[move].part];
	struct moving m = { .place = p, .to_name = out ? name : p->path, .keep = keep };
	_cleanup_close_ int place = -1;
	_cleanup_close_ int part = -1;
	int r = swap_open_place(p, &place, e);

	if (r == 0)
		r = need_part(p, ways[move].part, &part, e);
	m.to = out ? part : place;
	return r < 0 ? r : move_all(out ? place : part, &m, e);
}

/* ---- without a way back ---- */

struct emptying {
	const struct swap_place *place;
	const char *keep;
	const struct cancel *cancel;
	bool removed;
};

static int not_removed(const struct swap_place *p, const char *name, int r, struct err *e)
{
	return r == -ECANCELED ? err_set(e, ERR_IO, r, "interrupted")
			       : err_errno(e, r, "cannot remove %s/%s", p->path, name);
}

static int remove_entry(void *ctx, int fd, const char *name, struct err *e)
{
	struct emptying *m = ctx;
	int r = stays(name, m->keep) ? 0 : io_remove_large_tree(fd, name, m->cancel);

	if (r < 0)
		return not_removed(m->place, name, r, e);
	m->removed = m->removed || !stays(name, m->keep);
	return 0;
}

static int empty(const struct swap_place *p, int fd, const char *keep, const struct cancel *cancel,
		 struct err *e)
{
	struct emptying m = { .place = p, .keep = keep, .cancel = cancel };
	int r;

	do {
		m.removed = false;
		r = each_entry(fd, p->path, remove_entry, &m, e);
	} while (r == 0 && m.removed);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno(e, -errno, "cannot make %s durable", p->path);
	return r;
}

int swap_empty(const struct swap_place *p, const char *keep, const struct cancel *cancel,
	       struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = swap_open_place(p, &fd, e);

	return r < 0 ? r : empty(p, fd, keep, cancel, e);
}

/* ---- what it would free ---- */

static int count_node(FTS *fts, FTSENT *f, const char *keep, uint64_t *bytes, struct err *e)
{
	bool failed = f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS;

	if (failed && f->fts_errno != ENOENT) /* a node that runs removes files */
		return err_errno(e, -f->fts_errno, "cannot read %s", f->fts_path);
	if (f->fts_level == 1 && stays(f->fts_name, keep))
		fts_set(fts, f, FTS_SKIP);
	else if (f->fts_info == FTS_F)
		*bytes += (uint64_t)f->fts_statp->st_blocks * 512 / f->fts_statp->st_nlink;
	return 0;
}

int swap_usage(const struct swap_place *p, const char *keep, const struct cancel *cancel,
	       uint64_t *ret_bytes, struct err *e)
{
	char *roots[] = { p->path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	uint64_t bytes = 0;
	FTSENT *f;
	int r = 0;

	if (!fts)
		return err_errno(e, -errno, "cannot read %s", p->path);
	while (r == 0 && (errno = 0, f = fts_read(fts))) {
		r = count_node(fts, f, keep, &bytes, e);
		cancel_waits(cancel);
		if (r == 0 && cancel_is_set(cancel))
			r = err_set(e, ERR_IO, -ECANCELED, "interrupted");
	}
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", p->path);
	fts_close(fts);
	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

/* ---- the rest ---- */

/* What it says is for people; without a block for it, its name does for Cassandra. */
static int put_guard_up(int own, struct err *e)
{
	int r = io_publish_file(own, GUARD, GUARD_TEXT, strlen(GUARD_TEXT), 0644, e), fd;

	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	fd = openat(own, GUARD, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return r;
	close(fd);
	return 0;
}

int swap_guard(const struct swap_place *p, bool up, struct err *e)
{
	_cleanup_close_ int own = -1;
	int r;

	if (!p->data)
		return 0;
	r = swap_open_own(p, false, &own, e);
	if (r == -ENOENT && !up)
		return 0;
	if (r == 0 && up && faccessat(own, GUARD, F_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) < 0)
		r = put_guard_up(own, e);
	if (r < 0)
		return err_wrap(e, r, "%s", p->path);
	if (!up && unlinkat(own, GUARD, 0) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "cannot remove %s/" SWAP_DIRECTORY "/" GUARD, p->path);
	return fsync(own) < 0 ? err_errno(e, -errno, "cannot make %s durable", p->path) : 0;
}

int swap_remove(const struct swap_place *p, const struct cancel *cancel, struct err *e)
{
	_cleanup_close_ int own = -1;
	int r = swap_open_own(p, false, &own, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	r = io_remove_large_tree(own, BACKUPS, cancel);
	if (r < 0)
		return not_removed(p, SWAP_DIRECTORY "/" BACKUPS, r, e);
	return swap_guard(p, false, e);
}

/* No loop round the directory itself: what is made in it once `last` is gone is somebody else's. */
int swap_end(const struct swap_place *p, const char *last, const struct cancel *cancel,
	     struct err *e)
{
	_cleanup_close_ int place = -1, own = -1;
	int r = swap_open_place(p, &place, e);

	if (r == 0)
		r = open_ours(p, place, own_name, false, &own, e);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = empty(p, own, last, cancel, e);
	if (r < 0)
		return r;
	if ((last && unlinkat(own, last, 0) < 0 && errno != ENOENT) ||
	    (unlinkat(place, SWAP_DIRECTORY, AT_REMOVEDIR) < 0 && errno != ENOENT &&
	     errno != ENOTEMPTY && errno != EEXIST))
		return err_errno(e, -errno, "cannot remove %s/" SWAP_DIRECTORY, p->path);
	return 0;
}
