/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeimport.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/io.h"

#define DATA "-Data.db"

#define PAUSE_MS 100
#define WORDS_BYTES_MAX ((size_t)1024 * 1024)
#define EMPTY ".empty" /* in `new` */

struct importing {
	const struct nodeimport *m;
	const char *path; /* of `new` */
};

/* The directories in a directory, which the node's user may exchange meanwhile: by descriptors, and no symbolic link is followed. */
typedef int directory_fn(const struct importing *x, int parent, int fd, const char *keyspace,
			 const char *name, struct err *e);

static int each_directory(const struct importing *x, int parent, const char *keyspace,
			  directory_fn *fn, struct err *e)
{
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *d;

	if (!dir) {
		r = err_errno(e, -errno, "cannot read %s", x->path);
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
			r = fn(x, parent, fd, keyspace, d->d_name, e);
		else if (errno != ENOTDIR && errno != ELOOP && errno != ENOENT)
			r = err_errno(e, -errno, "cannot open %s/%s", x->path, d->d_name);
		errno = 0;
	}
	if (r == 0 && errno != 0)
		r = err_errno(e, -errno, "cannot read %s", x->path);
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
static int import(const struct nodeimport *m, const char *full_name, const char *path,
		  struct err *e)
{
	_cleanup_free_ char *keyspace = strdup(full_name);
	char *table = keyspace ? strchr(keyspace, '.') : NULL;
	const char *words[] = { "import", "-l", "-r", "-v", keyspace, NULL, path };
	int r;

	if (!table)
		return err_nomem(e);
	*table++ = '\0';
	words[5] = table;
	r = nodetool_run(m->nodetool, words, ARRAY_SIZE(words), NULL, e);
	return r < 0 ? err_wrap(e, r, "%s", full_name) : 0;
}

static int take_table(const struct importing *x, int parent, int fd, const char *keyspace,
		      const char *name, struct err *e)
{
	const struct nodeimport *m = x->m;
	const char *dash = strrchr(name, '-');
	int len = dash ? (int)(dash - name) : (int)strlen(name);
	_cleanup_free_ char *path = util_printf("%s/%s/%s", x->path, keyspace, name);
	_cleanup_free_ char *full_name = util_printf("%s.%.*s", keyspace, len, name);
	int r;

	if (!path || !full_name)
		return err_nomem(e);
	r = strcmp(full_name, m->begun_before) == 0 ? 1 : has_sstables(fd, path, e);
	if (r > 0) {
		r = m->begin(m->ctx, full_name, e);
		if (r == 0)
			r = import(m, full_name, path, e);
		if (r == 0)
			r = m->done(m->ctx, full_name, e);
	}
	if (r < 0)
		return r;
	r = io_remove_tree(parent, name);
	return r < 0 ? err_errno(e, r, "cannot remove %s", path) : 0;
}

static int take_keyspace(const struct importing *x, int parent, int fd, const char *keyspace,
			 const char *name, struct err *e)
{
	return each_directory(x, fd, name, take_table, e);
}

static int open_new(const struct swap_place *p, const char *path, int *ret_fd, struct err *e)
{
	int r = path ? swap_open_part(p, SWAP_NEW, ret_fd, e) : err_nomem(e);

	return r == -ENOENT ? err_errno(e, r, "cannot open %s", path) : r;
}

/* ---- what an earlier run left running ---- */

/* Whether a process has a path below `new` in its command line, as a nodetool has whose restore-node was killed. */
static bool nodetool_lives(const char *path)
{
	_cleanup_free_ char *prefix = util_printf("%s/", path);
	DIR *proc = prefix ? opendir("/proc") : NULL;
	struct dirent *d;
	bool found = false;

	while (proc && !found && (d = readdir(proc))) {
		_cleanup_free_ char *words = NULL;
		char file[300];
		size_t len;

		if (*d->d_name < '1' || *d->d_name > '9')
			continue;
		snprintf(file, sizeof(file), "/proc/%s/cmdline", d->d_name);
		found = io_read_file(AT_FDCWD, file, WORDS_BYTES_MAX, &words, &len) == 0 &&
			memmem(words, len, prefix, strlen(prefix));
	}
	if (proc)
		closedir(proc);
	return found;
}

/* Before it has told Cassandra, another import would not wait for it. */
static int await_nodetool(const struct nodeimport *m, const char *path, struct err *e)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };

	for (int64_t ms = 0; *m->begun_before && nodetool_lives(path); ms += PAUSE_MS) {
		if (m->nodetool->cancel && cancel_is_set(m->nodetool->cancel))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		if (ms >= m->nodetool->timeout_ms)
			return err_set(
				e, ERR_CONFLICT, -ETIMEDOUT,
				"a nodetool import of an earlier restore-node, of %s, has not ended: end it",
				m->begun_before);
		nanosleep(&pause, NULL);
	}
	return 0;
}

int nodeimport_run(const struct nodeimport *m, const struct swap_place *p, struct err *e)
{
	_cleanup_free_ char *path = swap_path(p, SWAP_NEW);
	const struct importing x = { m, path };
	_cleanup_close_ int fd = -1;
	int r = open_new(p, path, &fd, e);

	if (r == 0)
		r = await_nodetool(m, path, e);
	return r < 0 ? r : each_directory(&x, fd, NULL, take_keyspace, e);
}

/* Cassandra wants to be able to write to it. */
static int make_empty(const struct swap_place *p, int at, struct err *e)
{
	_cleanup_close_ int place = -1, fd = -1;
	struct stat st;
	int r = swap_open_place(p, &place, e);

	if (r < 0)
		return r;
	if ((mkdirat(at, EMPTY, 0700) < 0 && errno != EEXIST) ||
	    (fd = openat(at, EMPTY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 ||
	    fstat(place, &st) < 0 || (geteuid() == 0 && fchown(fd, st.st_uid, st.st_gid) < 0))
		return err_errno(e, -errno, "cannot make an empty directory in %s", p->path);
	return 0;
}

int nodeimport_await(const struct nodeimport *m, const struct swap_place *places, size_t count,
		     struct err *e)
{
	_cleanup_free_ char *path = swap_path(&places[0], SWAP_NEW);
	_cleanup_free_ char *empty = path ? util_printf("%s/" EMPTY, path) : NULL;
	_cleanup_close_ int fd = -1;
	int r = empty ? swap_open_part(&places[0], SWAP_NEW, &fd, e) : err_nomem(e);

	if (r == -ENOENT) /* an earlier run was past this, and killed at the very end */
		return 0;
	for (size_t i = 0; i < count && r == 0; i++) {
		_cleanup_free_ char *other = swap_path(&places[i], SWAP_NEW);

		r = other ? await_nodetool(m, other, e) : err_nomem(e);
	}
	if (r == 0)
		r = make_empty(&places[0], fd, e);
	return r < 0 ? r : import(m, m->begun_before, empty, e);
}
