/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAKING "directory" /* name in staging of a directory that is being made */

enum dir_state { DIR_UNKNOWN, DIR_FOREIGN /* keeps its attributes */, DIR_OURS };

struct dir {
	char *path;
	struct attributes attr;
	uint32_t parent;
	bool empty;
};

/* What is known of the directories below one root. */
struct states {
	uint8_t *of; /* enum dir_state, by directory */
	size_t cap;
};

struct restore_dirs {
	struct restore_target *t;
	const struct restore_attr *attr;
	struct dir *dirs; /* [0]: "" */
	size_t count, cap;
	uint64_t memory, max_memory; /* of paths */
	struct states *states;	     /* of the roots */
	int open_fd;		     /* the directory that was asked for last, -1: none */
	size_t open_root;
	uint32_t open_dir;
};

struct restore_dirs *restore_dirs_new(struct restore_target *t, const struct restore_attr *a,
				      uint64_t memory_bytes)
{
	struct restore_dirs *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->t = t;
	d->attr = a;
	d->open_fd = -1;
	d->max_memory = memory_bytes;
	d->states = calloc(restore_target_roots(t), sizeof(*d->states));
	if (!d->states) {
		free(d);
		return NULL;
	}
	return d;
}

void restore_dirs_free(struct restore_dirs *d)
{
	if (!d)
		return;
	if (d->open_fd >= 0)
		close(d->open_fd);
	for (size_t i = 0; i < restore_target_roots(d->t); i++)
		free(d->states[i].of);
	for (size_t i = 0; i < d->count; i++)
		free(d->dirs[i].path);
	free(d->states);
	free(d->dirs);
	free(d);
}

/* A walk names parents before children: the parent is the last directory added or one above it. */
static uint32_t parent_of(const struct restore_dirs *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	uint32_t i = (uint32_t)d->count - 1;

	while (i > 0 && (strlen(d->dirs[i].path) != len || memcmp(d->dirs[i].path, path, len) != 0))
		i = d->dirs[i].parent;
	return i;
}

int restore_dirs_add(struct restore_dirs *d, const char *path, const struct attributes *attr,
		     bool empty, uint32_t *ret_dir, struct err *e)
{
	struct dir dir = { .attr = *attr, .empty = empty };

	if (util_grow(&d->dirs, &d->cap, d->count + 1, sizeof(*d->dirs)) < 0)
		return err_nomem(e);
	for (size_t i = 0; i < restore_target_roots(d->t); i++) {
		struct states *s = &d->states[i];

		if (util_grow(&s->of, &s->cap, d->count + 1, 1) < 0)
			return err_nomem(e);
		s->of[d->count] = DIR_UNKNOWN;
	}
	d->memory += sizeof(dir) + strlen(path) + 1;
	if (d->memory > d->max_memory)
		return err_set(
			e, ERR_USAGE, -ENOMEM,
			"the paths of the directories take too much memory (give more with --memory, or restore less at a time with --only)");
	dir.path = strdup(path);
	if (!dir.path)
		return err_nomem(e);
	dir.parent = d->count > 0 ? parent_of(d, path) : 0;
	*ret_dir = (uint32_t)d->count;
	d->dirs[d->count++] = dir;
	return 0;
}

/* ---- making ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* While files are put into it we must be able to write there. */
static struct attributes working_attributes(const struct dir *dir)
{
	struct attributes attr = dir->attr;

	attr.mode |= 0700;
	return attr;
}

static bool is_ours(const struct restore_dirs *d, const struct dir *dir, const struct stat *st)
{
	struct attributes working = working_attributes(dir);

	return restore_attr_owned(d->attr, st, &dir->attr) ||
	       restore_attr_owned(d->attr, st, &working);
}

/* Is it one that restore made, now or in a run before? */
static int judge(struct restore_dirs *d, size_t root, uint32_t index, int fd, struct err *e)
{
	const struct dir *dir = &d->dirs[index];
	uint8_t *state = &d->states[root].of[index];
	struct stat st;

	if (*state != DIR_UNKNOWN)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot look at %s/%s", restore_target_name(d->t, root),
				 dir->path);
	*state = is_ours(d, dir, &st) ? DIR_OURS : DIR_FOREIGN;
	return 0;
}

/* Made aside with owner and mode, then renamed: a directory that is seen at its place is finished. */
static int make_directory(struct restore_dirs *d, size_t root, uint32_t index, int parent_fd,
			  struct err *e)
{
	const struct dir *dir = &d->dirs[index];
	struct attributes working = working_attributes(dir);
	const char *name = restore_target_name(d->t, root);
	int staging = restore_target_staging(d->t, root), r = 0;
	_cleanup_close_ int fd = -1;

	if (mkdirat(staging, MAKING, 0700) < 0 ||
	    (fd = openat(staging, MAKING, OPEN_DIRECTORY)) < 0)
		r = -errno;
	if (r == 0)
		r = restore_attr_own(d->attr, fd, &working);
	if (r == 0)
		r = restore_target_rename(staging, MAKING, parent_fd, base_name(dir->path), false);
	if (r == -EEXIST) { /* somebody else was first */
		unlinkat(staging, MAKING, AT_REMOVEDIR);
		return 0;
	}
	if (r == -EXDEV)
		return restore_target_crossing(d->t, root, dir->path, e);
	if (r < 0)
		return err_errno(e, r, "cannot make the directory %s/%s", name, dir->path);
	d->states[root].of[index] = DIR_OURS;
	return 0;
}

/* The root itself: one that restore made gets its owner and mode before anything is put into it. */
static int open_top(struct restore_dirs *d, size_t root, int *ret_fd, struct err *e)
{
	struct attributes working = working_attributes(&d->dirs[0]);
	_cleanup_close_ int fd = -1;
	int r = restore_target_open(d->t, root, "", 0, &fd, e);

	if (r < 0)
		return r;
	if (restore_target_ours(d->t, root) && d->states[root].of[0] == DIR_UNKNOWN) {
		r = restore_attr_own(d->attr, fd, &working);
		if (r < 0)
			return err_errno(e, r, "cannot set the attributes of %s",
					 restore_target_name(d->t, root));
		d->states[root].of[0] = DIR_OURS;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int ensure(struct restore_dirs *d, size_t root, uint32_t index, int *ret_fd, struct err *e);

static int open_below(struct restore_dirs *d, size_t root, uint32_t index, int *ret_fd,
		      struct err *e)
{
	const struct dir *dir = &d->dirs[index];
	_cleanup_close_ int parent = -1;
	int fd, r = ensure(d, root, dir->parent, &parent, e);

	if (r < 0)
		return r;
	fd = openat(parent, base_name(dir->path), OPEN_DIRECTORY);
	if (fd < 0 && errno == ENOENT) {
		r = make_directory(d, root, index, parent, e);
		if (r < 0)
			return r;
		fd = openat(parent, base_name(dir->path), OPEN_DIRECTORY);
	}
	if (fd < 0)
		return restore_target_no_directory(d->t, root, dir->path, strlen(dir->path), -errno,
						   e);
	*ret_fd = fd;
	return 0;
}

/* Opens the directory, made where missing; its parents first. */
static int ensure(struct restore_dirs *d, size_t root, uint32_t index, int *ret_fd, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = index == 0 ? open_top(d, root, &fd, e) : open_below(d, root, index, &fd, e);

	if (r == 0)
		r = judge(d, root, index, fd, e);
	if (r == 0)
		*ret_fd = steal_fd(&fd);
	return r;
}

int restore_dirs_get(struct restore_dirs *d, size_t root, uint32_t dir, int *ret_fd, struct err *e)
{
	int fd, r;

	if (d->open_fd < 0 || d->open_root != root || d->open_dir != dir) {
		r = ensure(d, root, dir, &fd, e);
		if (r < 0)
			return r;
		if (d->open_fd >= 0)
			close(d->open_fd);
		d->open_fd = fd;
		d->open_root = root;
		d->open_dir = dir;
	}
	*ret_fd = d->open_fd;
	return 0;
}

/* ---- the end ---- */

/* By now its place may be taken by another, which its owner would be given. */
static int set_attributes(const struct restore_dirs *d, size_t root, uint32_t index, struct err *e)
{
	const struct dir *dir = &d->dirs[index];
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = restore_target_open(d->t, root, dir->path, strlen(dir->path), &fd, e);

	if (r == -ENOENT)
		return 0; /* removed by somebody */
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || !is_ours(d, dir, &st))
		return 0;
	r = restore_attr_apply(d->attr, fd, &dir->attr);
	if (r < 0)
		return err_errno(e, r, "cannot set the attributes of %s/%s",
				 restore_target_name(d->t, root), dir->path);
	return 0;
}

/* The empty ones belong to the first data directory. */
static int make_empty_directories(struct restore_dirs *d, struct err *e)
{
	size_t first = restore_target_root(d->t, 0);
	int fd, r = 0;

	for (uint32_t i = 0; i < d->count && r == 0 && restore_target_used(d->t, first); i++)
		if (d->dirs[i].empty)
			r = restore_dirs_get(d, first, i, &fd, e);
	return r;
}

int restore_dirs_finish(struct restore_dirs *d, struct err *e)
{
	int r = make_empty_directories(d, e);

	if (r == 0)
		r = restore_target_end(d->t, e); /* now: it changes the mtime of the roots */
	/* Children first: a directory may become one that we cannot search. */
	for (uint32_t i = (uint32_t)d->count; i > 0 && r == 0; i--)
		for (size_t k = 0; k < restore_target_roots(d->t) && r == 0; k++)
			if (d->states[k].of[i - 1] == DIR_OURS)
				r = set_attributes(d, k, i - 1, e);
	return r;
}
