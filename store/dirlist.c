/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "store/dirlist.h"
#include "store/dirput.h"
#include "store/dirtmp.h"

enum { FOUND = 1 };

struct walk {
	struct dirctx *ctx;
	const struct store_list *req;
	size_t batch;
	const struct cancel *c;
	struct err *e;
	bool probing; /* FOUND at the first key, which is not handed out */
	char path[STORE_KEY_MAX +
		  2]; /* the key or directory at hand; a directory ends in '/', the root is "" */
};

/* The smallest names of one directory, directories with a '/' behind. */
struct names {
	char **names;
	size_t count, cap;
	bool truncated; /* there are greater ones than these */
};

static void names_deinit(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->names[i]);
	free(n->names);
	*n = (struct names){ 0 };
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts, and keeps the `batch` smallest. */
static void names_trim(struct names *n, size_t batch)
{
	if (n->count > 0)
		qsort(n->names, n->count, sizeof(*n->names), compare_names);
	if (n->count > batch)
		n->truncated = true;
	while (n->count > batch)
		free(n->names[--n->count]);
}

static int names_add(struct names *n, const char *name, size_t batch)
{
	char *copy = strdup(name);

	if (!copy || util_grow(&n->names, &n->cap, n->count + 1, sizeof(*n->names)) < 0) {
		free(copy);
		return -ENOMEM;
	}
	n->names[n->count++] = copy;
	if (n->count >= 2 * batch)
		names_trim(n, batch);
	return 0;
}

/* Whether w->path, or something below it where it ends in '/', belongs to the listing. */
static bool is_wanted(const struct walk *w)
{
	const char *after = w->req->start_after;
	size_t len = strlen(w->path);

	if (strncmp(w->path, w->req->prefix, strlen(w->req->prefix)) != 0)
		return false;
	if (!after)
		return true;
	return w->path[len - 1] == '/' ? strncmp(w->path, after, len) >= 0
				       : strcmp(w->path, after) > 0;
}

/* Puts name behind the directory in w->path[0..base). False: no key can be so long. */
static bool set_path(struct walk *w, size_t base, const char *name)
{
	size_t len = strlen(name);

	if (base + len >= sizeof(w->path))
		return false;
	memcpy(w->path + base, name, len + 1);
	return true;
}

/* 'd', 'f', or 0 for what is neither directory nor regular file. */
static char kind_of(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type == DT_DIR)
		return 'd';
	if (entry->d_type == DT_REG)
		return 'f';
	if (entry->d_type != DT_UNKNOWN ||
	    fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return S_ISDIR(st.st_mode) ? 'd' : S_ISREG(st.st_mode) ? 'f' : 0;
}

/* Adds one directory entry, where it is a part of the listing behind the name `after`. */
static int take_entry(struct walk *w, size_t base, int dir_fd, const struct dirent *entry,
		      const char *after, struct names *n)
{
	char kind = kind_of(dir_fd, entry);
	char name[sizeof(entry->d_name) + 1];

	if (!kind || store_key_check(entry->d_name) < 0 ||
	    (base == 0 && strcmp(entry->d_name, DIRTMP_NAME) == 0))
		return 0;
	strcpy(stpcpy(name, entry->d_name), kind == 'd' ? "/" : "");
	if (after && strcmp(name, after) <= 0)
		return 0;
	if (n->truncated && strcmp(name, n->names[w->batch - 1]) > 0)
		return 0;
	if (!set_path(w, base, name) || !is_wanted(w))
		return 0;
	if (w->probing && kind == 'f')
		return FOUND;
	return names_add(n, name, w->batch);
}

static int scan(struct walk *w, size_t base, const char *after, struct names *n)
{
	int fd = openat(w->ctx->root_fd, base > 0 ? w->path : ".",
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		r = cancel_is_set(w->c) ? -ECANCELED : take_entry(w, base, fd, entry, after, n);
	if (r == 0)
		r = -errno;
	closedir(dir);
	w->path[base] = '\0';
	return r;
}

static int lock_shared(struct walk *w, size_t base)
{
	return dirtmp_lock(w->ctx, w->path, base > 0 ? base - 1 : 0, DIRTMP_SHARED, w->c);
}

/*
 * The names of the directory w->path[0..base), under its lock, so that none hides that is being replaced. Where there is no lock
 * file yet nobody has replaced anything; where one appeared meanwhile, the names are read again. A reader who may not open it goes without.
 */
static int scan_locked(struct walk *w, size_t base, const char *after, struct names *n)
{
	int r;

	for (;;) {
		_cleanup_close_ int lock = lock_shared(w, base);
		_cleanup_close_ int appeared = -1;

		if (lock == -ECANCELED || lock == -ETIMEDOUT)
			return lock;
		r = scan(w, base, after, n);
		if (r || lock != -ENOENT)
			break;
		appeared = lock_shared(w, base);
		if (appeared < 0)
			break;
		names_deinit(n);
	}
	if (r == 0)
		names_trim(n, w->batch);
	return r;
}

static int walk_directory(struct walk *w, size_t base);

static int visit_directory(struct walk *w)
{
	size_t len = strlen(w->path);
	struct store_entry entry = { .key = w->path, .is_prefix = true, .etag = "" };
	int r;

	if (w->probing || !w->req->delimiter)
		return walk_directory(w, len);
	w->probing = true;
	r = walk_directory(w, len);
	w->probing = false;
	w->path[len] = '\0';
	return r == FOUND ? w->req->entry(w->req->ctx, &entry, w->e) : r;
}

static int visit_file(struct walk *w)
{
	char etag[STORE_ETAG_MAX];
	struct store_entry entry = { .key = w->path, .etag = etag };
	struct stat st;

	if (fstatat(w->ctx->root_fd, w->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : dirput_error(w->ctx, -errno, "cannot list objects", w->e);
	if (!S_ISREG(st.st_mode))
		return 0;
	dirput_etag(etag, &st);
	entry.size_bytes = (uint64_t)st.st_size;
	entry.modified_ns = clock_timespec_ns(st.st_mtim);
	return w->req->entry(w->req->ctx, &entry, w->e);
}

static int visit(struct walk *w, size_t base, const char *name)
{
	int r;

	if (cancel_is_set(w->c))
		return dirput_error(w->ctx, -ECANCELED, "", w->e);
	if (!set_path(w, base, name))
		return 0;
	r = name[strlen(name) - 1] == '/' ? visit_directory(w) : visit_file(w);
	w->path[base] = '\0';
	return r;
}

/* Everything below w->path[0..base). > 0: stopped by the callback, or FOUND. */
static int walk_directory(struct walk *w, size_t base)
{
	_cleanup_free_ char *after = NULL;
	bool more = true;

	while (more) {
		_cleanup_(names_deinit) struct names n = { 0 };
		int r = scan_locked(w, base, after, &n);

		if (r == -ENOENT || r == -ENOTDIR || r == -ENAMETOOLONG)
			return 0;
		if (r == -ENOMEM)
			return err_nomem(w->e);
		if (r < 0)
			return dirput_error(w->ctx, r, "cannot list objects", w->e);
		if (r == FOUND)
			return r;
		for (size_t i = 0; i < n.count; i++) {
			r = visit(w, base, n.names[i]);
			if (r)
				return r;
		}
		more = n.truncated;
		free(after);
		after = more ? steal_pointer(&n.names[n.count - 1]) : NULL;
	}
	return 0;
}

/* The part of a prefix that is a directory, with its '/': its length; -1 where no key can begin so. */
static ssize_t directory_of_prefix(const char *prefix)
{
	const char *slash = strrchr(prefix, '/');
	char directory[STORE_KEY_MAX + 1];
	size_t len = slash ? (size_t)(slash - prefix) : 0;

	if (!slash)
		return 0;
	memcpy(directory, prefix, len);
	directory[len] = '\0';
	if (store_key_check(directory) < 0)
		return -1;
	directory[strcspn(directory, "/")] = '\0';
	return strcmp(directory, DIRTMP_NAME) == 0 ? -1 : (ssize_t)len + 1;
}

int dirlist_list(struct dirctx *ctx, const struct store_list *req, size_t batch,
		 const struct cancel *c, struct err *e)
{
	struct walk w = { .ctx = ctx, .req = req, .batch = batch, .c = c, .e = e };
	ssize_t base = directory_of_prefix(req->prefix);
	int r;

	if (base < 0)
		return 0;
	memcpy(w.path, req->prefix, (size_t)base);
	r = walk_directory(&w, (size_t)base);
	return r < 0 ? r : 0; /* stopped by the callback is no error */
}
