/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/swap.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"

#define GUARD SWAP_DIRECTORY "/unfinished.db"
#define GUARD_TEXT                                                                   \
	"sstablefs restore-node was not finished here. Run the same command again, " \
	"or: sstablefs restore-node --abort\n"

static const char *const parts[] = {
	[SWAP_NEW] = SWAP_DIRECTORY "/backups/new",
	[SWAP_OLD] = SWAP_DIRECTORY "/backups/old",
	[SWAP_UNDONE] = SWAP_DIRECTORY "/backups/undone",
};

char *swap_path(const struct swap_place *p, enum swap_part part)
{
	return util_printf("%s/%s", p->path, parts[part]);
}

static int open_place(const struct swap_place *p, const char *below, int *ret, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s", p->path, below);

	if (!path)
		return err_nomem(e);
	*ret = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_errno(e, -errno, "cannot open %s", path) : 0;
}

/* Cassandra's check at its start opens them, under whatever user and whatever our umask is. */
int swap_make(const struct swap_place *p, struct err *e)
{
	const char *all[] = { SWAP_DIRECTORY, SWAP_DIRECTORY "/backups", parts[SWAP_NEW],
			      parts[SWAP_OLD], parts[SWAP_UNDONE] };
	_cleanup_close_ int fd = -1;
	int r = open_place(p, ".", &fd, e);

	for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++) {
		r = io_mkdirs(fd, all[i], 0755);
		if (r == 0 && fchmodat(fd, all[i], 0755, 0) < 0)
			r = -errno;
		if (r < 0)
			return err_errno(e, r, "cannot make %s/%s", p->path, all[i]);
	}
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
	int r = open_place(p, ".", &fd, e);

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

int swap_holds(const struct swap_place *p, enum swap_part part)
{
	_cleanup_close_ int fd = -1;
	int r = open_place(p, parts[part], &fd, NULL);

	if (r == -ENOENT)
		return 0;
	return r < 0 ? r : each_entry(fd, p->path, found_one, NULL, NULL);
}

int swap_check_parts(const struct swap_place *p, struct err *e)
{
	for (size_t part = 0; part < ARRAY_SIZE(parts); part++)
		if (swap_holds(p, part) != 0)
			return err_set(
				e, ERR_CONFLICT, -EEXIST,
				"%s/%s holds data of a restore that is not known any more: look at them, and move them away",
				p->path, parts[part]);
	return 0;
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
		const char *from, *to;
	} ways[] = {
		[SWAP_OUT] = { ".", SWAP_DIRECTORY "/backups/old" },
		[SWAP_IN] = { SWAP_DIRECTORY "/backups/new", "." },
		[SWAP_CLEAR] = { ".", SWAP_DIRECTORY "/backups/undone" },
		[SWAP_BACK] = { SWAP_DIRECTORY "/backups/old", "." },
	};
	struct moving m = { .place = p, .to_name = ways[move].to, .keep = keep };
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	int r = open_place(p, ways[move].from, &from, e);

	if (r == 0)
		r = open_place(p, ways[move].to, &to, e);
	m.to = to;
	return r < 0 ? r : move_all(from, &m, e);
}

/* ---- without a way back ---- */

struct emptying {
	const struct swap_place *place;
	const char *keep;
	bool removed;
};

static int remove_entry(void *ctx, int fd, const char *name, struct err *e)
{
	struct emptying *m = ctx;
	int r = stays(name, m->keep) ? 0 : io_remove_tree(fd, name);

	if (r < 0)
		return err_errno(e, r, "cannot remove %s/%s", m->place->path, name);
	m->removed = m->removed || !stays(name, m->keep);
	return 0;
}

int swap_empty(const struct swap_place *p, const char *keep, struct err *e)
{
	struct emptying m = { .place = p, .keep = keep };
	_cleanup_close_ int fd = -1;
	int r = open_place(p, ".", &fd, e);

	if (r < 0)
		return r;
	do {
		m.removed = false;
		r = each_entry(fd, p->path, remove_entry, &m, e);
	} while (r == 0 && m.removed);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno(e, -errno, "cannot make %s durable", p->path);
	return r;
}

/* ---- trees ---- */

/* Each file and directory once, directories before what is in them. */
typedef int node_fn(void *ctx, const FTSENT *f, struct err *e);

static int each_node(const char *path, const char *keep, node_fn *fn, void *ctx, struct err *e)
{
	char *roots[] = { (char *)(size_t)path, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *f;
	int r = 0;

	if (!fts)
		return err_errno(e, -errno, "cannot read %s", path);
	while (r == 0 && (errno = 0, f = fts_read(fts))) {
		bool failed = f->fts_info == FTS_DNR || f->fts_info == FTS_ERR ||
			      f->fts_info == FTS_NS;

		if (failed && f->fts_errno == ENOENT) /* a node that runs removes files */
			continue;
		if (failed)
			r = err_errno(e, -f->fts_errno, "cannot read %s", f->fts_path);
		else if (f->fts_level == 1 && stays(f->fts_name, keep))
			fts_set(fts, f, FTS_SKIP);
		else if (f->fts_info != FTS_DP)
			r = fn(ctx, f, e);
	}
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", path);
	fts_close(fts);
	return r;
}

static int own_node(void *ctx, const FTSENT *f, struct err *e)
{
	const struct stat *owner = ctx;

	if ((f->fts_statp->st_uid != owner->st_uid || f->fts_statp->st_gid != owner->st_gid) &&
	    lchown(f->fts_accpath, owner->st_uid, owner->st_gid) < 0)
		return err_errno(e, -errno, "cannot change the owner of %s", f->fts_path);
	return 0;
}

int swap_own(const struct swap_place *p, bool in_place, struct err *e)
{
	_cleanup_free_ char *path = in_place ? strdup(p->path) : swap_path(p, SWAP_NEW);
	struct stat owner;

	if (!path)
		return err_nomem(e);
	if (geteuid() != 0)
		return 0;
	if (stat(p->path, &owner) < 0)
		return err_errno(e, -errno, "cannot look at %s", p->path);
	return each_node(path, NULL, own_node, &owner, e);
}

static int count_node(void *ctx, const FTSENT *f, struct err *e)
{
	uint64_t *bytes = ctx;

	if (f->fts_info == FTS_F)
		*bytes += (uint64_t)f->fts_statp->st_blocks * 512 / f->fts_statp->st_nlink;
	return 0;
}

int swap_usage(const struct swap_place *p, const char *keep, uint64_t *ret_bytes, struct err *e)
{
	uint64_t bytes = 0;
	int r = each_node(p->path, keep, count_node, &bytes, e);

	if (r == 0)
		*ret_bytes = bytes;
	return r;
}

/* ---- the rest ---- */

int swap_guard(const struct swap_place *p, bool up, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!p->data)
		return 0;
	r = open_place(p, ".", &fd, e);
	if (r < 0)
		return r;
	if (up)
		return io_publish_file(fd, GUARD, GUARD_TEXT, strlen(GUARD_TEXT), 0644, e);
	if (unlinkat(fd, GUARD, 0) < 0 && errno != ENOENT)
		return err_errno(e, -errno, "cannot remove %s/" GUARD, p->path);
	r = io_fsync_dir(fd, SWAP_DIRECTORY);
	return r < 0 && r != -ENOENT ? err_errno(e, r, "cannot make %s durable", p->path) : 0;
}

int swap_remove(const struct swap_place *p, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = open_place(p, ".", &fd, e);

	if (r == 0)
		r = io_remove_tree(fd, SWAP_DIRECTORY "/backups");
	if (r < 0)
		return err_errno(e, r, "cannot remove %s/" SWAP_DIRECTORY "/backups", p->path);
	return faccessat(fd, SWAP_DIRECTORY, F_OK, 0) < 0 ? 0 : swap_guard(p, false, e);
}
