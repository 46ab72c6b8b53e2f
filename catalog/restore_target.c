/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "base/io.h"

#define OPEN_DIRECTORY (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MADE \
	"made" /* file in staging: the root was made by restore, and has not its attributes yet */
#define LOCK_ATTEMPTS 10

struct root {
	const char *path;
	int fd;	     /* -1: not there */
	int staging; /* -1: not in use */
	dev_t dev;
	ino_t ino;
	bool used;
	bool made; /* by this run */
	bool ours; /* by this run, or by one that was killed */
};

struct restore_target {
	const struct restore_options *o;
	struct root *roots; /* [0]: DIRECTORY */
	size_t root_count;
	size_t *root_of_map; /* for each of o->maps */
};

/* ---- roots ---- */

static int open_root(const struct restore_target *t, struct root *root, int opened, struct err *e)
{
	struct stat st;

	/* The user's own path may go through symbolic links. */
	root->fd = t->o->opened ? openat(opened, ".", OPEN_DIRECTORY)
				: open(root->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->fd < 0 && errno == ENOENT)
		return 0;
	if (root->fd < 0 || fstat(root->fd, &st) < 0)
		return err_errno(e, -errno, "cannot open the directory %s", root->path);
	root->dev = st.st_dev;
	root->ino = st.st_ino;
	return 0;
}

static bool same_root(const struct root *a, const struct root *b)
{
	if (a->fd >= 0 && b->fd >= 0)
		return a->dev == b->dev && a->ino == b->ino;
	return strcmp(a->path, b->path) == 0;
}

/* Adds a root, or finds the one that is the same directory. */
static int add_root(struct restore_target *t, const char *path, int opened, size_t *ret,
		    struct err *e)
{
	struct root root = { .path = path, .fd = -1, .staging = -1 };
	int r = open_root(t, &root, opened, e);

	for (size_t i = 0; i < t->root_count && r == 0; i++)
		if (same_root(&t->roots[i], &root)) {
			if (root.fd >= 0)
				close(root.fd);
			*ret = i;
			return 0;
		}
	if (r == 0) {
		*ret = t->root_count;
		t->roots[t->root_count++] = root;
	}
	return r;
}

int restore_target_new(const struct restore_options *o, struct restore_target **ret, struct err *e)
{
	_cleanup_(restore_target_freep) struct restore_target *t = calloc(1, sizeof(*t));
	size_t first;
	int r;

	if (!t)
		return err_nomem(e);
	t->o = o;
	t->roots = calloc(o->map_count + 1, sizeof(*t->roots));
	t->root_of_map = calloc(o->map_count + 1, sizeof(*t->root_of_map));
	if (!t->roots || !t->root_of_map)
		return err_nomem(e);
	r = add_root(t, o->directory, o->directory_fd, &first, e);
	for (size_t i = 0; i < o->map_count && r == 0; i++)
		r = add_root(t, o->maps[i].directory, o->maps[i].fd, &t->root_of_map[i], e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&t);
	return 0;
}

static int remove_staging(struct root *root)
{
	int r;

	if (root->staging < 0)
		return 0;
	r = io_remove_tree(root->fd, RESTORE_STAGING_NAME);
	close(root->staging);
	root->staging = -1;
	return r;
}

void restore_target_free(struct restore_target *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->root_count; i++) {
		remove_staging(&t->roots[i]);
		if (t->roots[i].fd >= 0)
			close(t->roots[i].fd);
		if (t->roots[i].made)
			rmdir(t->roots[i].path); /* only where it is empty still */
	}
	free(t->roots);
	free(t->root_of_map);
	free(t);
}

size_t restore_target_root(const struct restore_target *t, uint32_t data_dir)
{
	for (size_t i = 0; i < t->o->map_count; i++)
		if (t->o->maps[i].data_dir == data_dir)
			return t->root_of_map[i];
	return 0;
}

size_t restore_target_roots(const struct restore_target *t)
{
	return t->root_count;
}

const char *restore_target_name(const struct restore_target *t, size_t root)
{
	return t->roots[root].path;
}

int restore_target_staging(const struct restore_target *t, size_t root)
{
	return t->roots[root].staging;
}

bool restore_target_used(const struct restore_target *t, size_t root)
{
	return t->roots[root].used;
}

bool restore_target_ours(const struct restore_target *t, size_t root)
{
	return t->roots[root].ours;
}

/* ---- looking ---- */

int restore_target_no_directory(const struct restore_target *t, size_t root_index, const char *path,
				size_t len, int r, struct err *e)
{
	const struct root *root = &t->roots[root_index];

	if (r == -ENOTDIR || r == -ELOOP)
		return err_set(
			e, ERR_CONFLICT, -ENOTDIR,
			"%s/%.*s is in the way: it is no directory (symbolic links below the target are not followed)",
			root->path, (int)len, path);
	return err_errno(e, r, "cannot open %s/%.*s", root->path, (int)len, path);
}

int restore_target_open(const struct restore_target *t, size_t root_index, const char *path,
			size_t path_len, int *ret_fd, struct err *e)
{
	const struct root *root = &t->roots[root_index];
	_cleanup_close_ int fd = -1;

	if (root->fd < 0)
		return -ENOENT;
	fd = openat(root->fd, ".", OPEN_DIRECTORY);
	if (fd < 0)
		return err_errno(e, -errno, "cannot open %s", root->path);
	for (size_t at = 0; at < path_len;) {
		const char *slash = memchr(path + at, '/', path_len - at);
		size_t end = slash ? (size_t)(slash - path) : path_len;
		char name[FORMAT_FILE_NAME_BYTES + 1];
		int next;

		snprintf(name, sizeof(name), "%.*s", (int)(end - at), path + at);
		next = openat(fd, name, OPEN_DIRECTORY);
		if (next < 0)
			return errno == ENOENT ? -ENOENT
					       : restore_target_no_directory(t, root_index, path,
									     end, -errno, e);
		close(fd);
		fd = next;
		at = end + 1;
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

int restore_target_crossing(const struct restore_target *t, size_t root, const char *path,
			    struct err *e)
{
	const char *name = t->roots[root].path;

	return err_set(
		e, ERR_IO, -EXDEV,
		"cannot write %s/%s: another file system is mounted below %s; restore into that one by itself",
		name, path, name);
}

int restore_target_check_space(const struct restore_target *t, const uint64_t *need_bytes,
			       struct err *e)
{
	for (size_t i = 0; i < t->root_count; i++) {
		uint64_t need = 0, room;
		char need_text[32], room_text[32];
		struct statvfs fs;

		if (!t->roots[i].used)
			continue;
		for (size_t k = 0; k < t->root_count; k++)
			if (t->roots[k].used && t->roots[k].dev == t->roots[i].dev)
				need += need_bytes[k];
		if (fstatvfs(t->roots[i].fd, &fs) < 0)
			return err_errno(e, -errno, "cannot ask for the free space of %s",
					 t->roots[i].path);
		room = (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize;
		if (need > room)
			return err_set(
				e, ERR_IO, -ENOSPC,
				"no space left: %s are to be written and the file system of %s has %s free; nothing was written",
				util_format_bytes(need_text, need), t->roots[i].path,
				util_format_bytes(room_text, room));
	}
	return 0;
}

/* ---- staging ---- */

static int make_root(const struct restore_target *t, struct root *root, struct err *e)
{
	int r;

	if (root->fd >= 0)
		return 0;
	if (mkdir(root->path, 0700) < 0 && errno != EEXIST)
		return err_errno(e, -errno, "cannot make the directory %s", root->path);
	root->made = root->ours = true;
	r = open_root(t, root, -1, e);
	if (r == 0 && root->fd < 0)
		r = err_errno(e, -ENOENT, "cannot open the directory %s", root->path);
	return r;
}

/* What a restore that was killed left. */
static int clean_staging(const struct root *root, struct err *e)
{
	int fd = openat(root->staging, ".", OPEN_DIRECTORY), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!d)
		return err_errno(e, -errno, "cannot read %s/%s", root->path, RESTORE_STAGING_NAME);
	while (r == 0 && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = io_remove_tree(root->staging, entry->d_name);
	closedir(d);
	return r < 0 ? err_errno(e, r, "cannot remove what an earlier restore left in %s/%s",
				 root->path, RESTORE_STAGING_NAME)
		     : 0;
}

/* The staging directory is ours: what is in it is removed; the mark of a root that restore made is made anew. */
static int take_staging(struct root *root, struct err *e)
{
	int r, fd;

	if (faccessat(root->staging, MADE, F_OK, 0) == 0)
		root->ours = true;
	r = clean_staging(root, e);
	if (r < 0 || !root->ours)
		return r;
	fd = openat(root->staging, MADE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(e, -errno, "cannot write to %s", root->path);
	close(fd);
	return 0;
}

/* > 0: it was removed by its user meanwhile. */
static int lock_staging(struct root *root, struct err *e)
{
	struct stat mine, there;

	if (flock(root->staging, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return err_set(e, ERR_CONFLICT, -EBUSY,
				       "another restore is writing to %s: wait for its end",
				       root->path);
		return err_errno(e, -errno, "cannot lock %s/%s", root->path, RESTORE_STAGING_NAME);
	}
	if (fstat(root->staging, &mine) < 0 ||
	    fstatat(root->fd, RESTORE_STAGING_NAME, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : err_errno(e, -errno, "cannot lock %s", root->path);
	if (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
		return 1;
	if (mine.st_uid != geteuid())
		return err_set(e, ERR_CONFLICT, -EPERM,
			       "%s/%s belongs to another user: remove it if no restore runs",
			       root->path, RESTORE_STAGING_NAME);
	return 0;
}

static int open_staging(struct root *root, struct err *e)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < LOCK_ATTEMPTS; i++) {
		if (root->staging >= 0)
			close(steal_fd(&root->staging));
		if (mkdirat(root->fd, RESTORE_STAGING_NAME, 0700) < 0 && errno != EEXIST)
			return err_errno(e, -errno, "cannot write to %s", root->path);
		root->staging = openat(root->fd, RESTORE_STAGING_NAME, OPEN_DIRECTORY);
		if (root->staging < 0 && errno != ENOENT)
			return err_errno(e, -errno, "cannot open %s/%s", root->path,
					 RESTORE_STAGING_NAME);
		if (root->staging >= 0)
			r = lock_staging(root, e);
	}
	if (r > 0)
		r = err_set(e, ERR_CONFLICT, -EBUSY, "another restore is writing to %s",
			    root->path);
	if (r == 0)
		return take_staging(root, e);
	if (root->staging >= 0)
		close(steal_fd(&root->staging)); /* somebody else's: stays */
	return r;
}

int restore_target_begin(struct restore_target *t, const bool *use, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < t->root_count && r == 0; i++) {
		if (!use[i])
			continue;
		r = make_root(t, &t->roots[i], e);
		if (r == 0)
			r = open_staging(&t->roots[i], e);
		t->roots[i].used = r == 0;
	}
	return r;
}

/* ---- the end ---- */

int restore_target_rename(int from_fd, const char *name, int to_fd, const char *new_name,
			  bool replace)
{
	if (!replace)
		return io_rename_new(from_fd, name, to_fd, new_name);
	return renameat(from_fd, name, to_fd, new_name) < 0 ? -errno : 0;
}

int restore_target_sync(const struct restore_target *t, struct err *e)
{
	for (size_t i = 0; i < t->root_count; i++) {
		const struct root *root = &t->roots[i];
		bool done = !root->used;

		for (size_t k = 0; k < i && !done; k++)
			done = t->roots[k].used && t->roots[k].dev == root->dev;
		if (!done && syncfs(root->fd) < 0)
			return err_errno(e, -errno, "cannot write the files of %s to disk",
					 root->path);
	}
	return 0;
}

int restore_target_end(struct restore_target *t, struct err *e)
{
	int result = 0;

	for (size_t i = 0; i < t->root_count; i++) {
		int r = remove_staging(&t->roots[i]);

		t->roots[i].made = false;
		if (r < 0 && result == 0)
			result = err_errno(
				e, r,
				"everything is restored, but %s/%s, which must go before the files are used, cannot be removed",
				t->roots[i].path, RESTORE_STAGING_NAME);
	}
	return result;
}
