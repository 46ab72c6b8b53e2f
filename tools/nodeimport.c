/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeimport.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include "base/io.h"

#define DATA "-Data.db"

struct importing {
	const struct nodetool *nodetool;
	const char *path; /* of `new` */
	nodeimport_fn *done;
	void *ctx;
};

/* The directories in a directory, which the node's user may exchange meanwhile: by descriptors, and no symbolic link is followed. */
typedef int directory_fn(const struct importing *m, int parent, int fd, const char *keyspace,
			 const char *name, struct err *e);

static int each_directory(const struct importing *m, int parent, const char *keyspace,
			  directory_fn *fn, struct err *e)
{
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;

	if (!dir) {
		r = err_errno(e, -errno, "cannot read %s", m->path);
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (r == 0 && (errno = 0, d = readdir(dir))) {
		_cleanup_close_ int fd = -1;

		if (*d->d_name == '.')
			continue;
		fd = openat(parent, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			r = fn(m, parent, fd, keyspace, d->d_name, e);
		else if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
			r = err_errno(e, -errno, "cannot open %s/%s", m->path, d->d_name);
		errno = 0;
	}
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", m->path);
	closedir(dir);
	return r;
}

/* nodetool import of a directory without SSTables is a JVM for nothing. */
static int has_sstables(int fd, const char *path, struct err *e)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;
	int found = 0;

	if (!dir) {
		found = err_errno(e, -errno, "cannot read %s", path);
		if (copy >= 0)
			close(copy);
		return found;
	}
	while (!found && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		found = len > strlen(DATA) && strcmp(d->d_name + len - strlen(DATA), DATA) == 0;
	}
	closedir(dir);
	return found;
}

/* -l, -r: level and repaired state as in the backup. -v: each byte was checked when it was fetched; whether the node owns the rows is looked at all the same. */
static int import(const struct importing *m, const char *keyspace, const char *table,
		  const char *path, struct err *e)
{
	const char *words[] = { "import", "-l", "-r", "-v", keyspace, table, path };
	int r = nodetool_run(m->nodetool, words, ARRAY_SIZE(words), NULL, e);

	if (r < 0)
		return err_wrap(e, r, "%s.%s", keyspace, table);
	return m->done ? m->done(m->ctx, keyspace, table, e) : 0;
}

static int take_table(const struct importing *m, int parent, int fd, const char *keyspace,
		      const char *name, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s/%s", m->path, keyspace, name);
	_cleanup_free_ char *table = strdup(name);
	char *dash = table ? strrchr(table, '-') : NULL;
	int r;

	if (!path || !table)
		return err_nomem(e);
	if (dash)
		*dash = '\0';
	r = has_sstables(fd, path, e);
	if (r > 0)
		r = import(m, keyspace, table, path, e);
	if (r < 0)
		return r;
	r = io_remove_tree(parent, name);
	return r < 0 ? err_errno(e, r, "cannot remove %s", path) : 0;
}

static int take_keyspace(const struct importing *m, _unused_ int parent, int fd,
			 _unused_ const char *keyspace, const char *name, struct err *e)
{
	return each_directory(m, fd, name, take_table, e);
}

int nodeimport_run(const struct nodetool *nodetool, const struct swap_place *p, nodeimport_fn *done,
		   void *ctx, struct err *e)
{
	_cleanup_free_ char *path = swap_path(p, SWAP_NEW);
	const struct importing m = { nodetool, path, done, ctx };
	_cleanup_close_ int fd = -1;
	int r = path ? swap_open_part(p, SWAP_NEW, &fd, e) : err_nomem(e);

	if (r == -ENOENT)
		return err_errno(e, r, "cannot open %s", path);
	return r < 0 ? r : each_directory(&m, fd, NULL, take_keyspace, e);
}
