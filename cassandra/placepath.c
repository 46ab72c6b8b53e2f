/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/placepath.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel */

struct walk {
	int fd;		/* where it is */
	char *rest;	/* of the path */
	unsigned links; /* that were followed */
	/* Who else than root can have led it here. */
	bool led, by_several, by_a_group;
	uid_t by;
};

static void walk_deinit(struct walk *w)
{
	util_closep(&w->fd);
	free(w->rest);
}
#define _cleanup_walk_ _cleanup_(walk_deinit)

/* ---- who leads ---- */

static void leads(struct walk *w, uid_t user)
{
	if (user == 0)
		return;
	w->by_several = w->by_several || (w->led && w->by != user);
	w->led = true;
	w->by = user;
}

/* Its owner can exchange what is in it; so can others who may write to it, but where the sticky bit leaves each name to whom it belongs. */
static void pass_directory(struct walk *w, const struct stat *st)
{
	leads(w, st->st_uid);
	if (st->st_uid == 0 && (st->st_mode & (S_IWGRP | S_IWOTH)) && !(st->st_mode & S_ISVTX))
		w->by_a_group = true;
}

static int check_leader(const struct placepath *w, const char *path, struct err *e)
{
	uid_t owner = w->st.st_uid;
	bool his = !w->led || (!w->by_several && w->by == owner);

	if (geteuid() != 0 || (his && !(w->by_a_group && owner == 0)))
		return 0;
	if (his)
		return err_set(
			e, ERR_CONFLICT, -EPERM,
			"%s leads to %s of root through a directory that others can write to: take that from them (chmod go-w)",
			path, w->real);
	return err_set(
		e, ERR_CONFLICT, -EPERM,
		"%s leads to %s, which belongs to user %u, through a directory or symbolic link of user %u, who may have made it lead there: give all of the way to root, or %s to that user",
		path, w->real, (unsigned)owner, (unsigned)w->by, w->real);
}

/* ---- the way ---- */

static int open_root(struct walk *w)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	util_closep(&w->fd);
	w->fd = fd;
	return 0;
}

static int follow(struct walk *w, int link, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t len = readlinkat(link, "", target, sizeof(target));
	char *rest;

	if (len < 0)
		return -errno;
	if (len == 0 || (size_t)len == sizeof(target))
		return -ENAMETOOLONG;
	if (++w->links > LINKS_MAX)
		return -ELOOP;
	leads(w, st->st_uid);
	rest = util_printf("%.*s/%s", (int)len, target, w->rest);
	if (!rest)
		return -ENOMEM;
	free(w->rest);
	w->rest = rest;
	return *target == '/' ? open_root(w) : 0;
}

static int step(struct walk *w, const char *name)
{
	_cleanup_close_ int next = -1;
	struct stat here, there;

	if (fstat(w->fd, &here) < 0)
		return -errno;
	pass_directory(w, &here);
	next = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (next < 0 || fstat(next, &there) < 0)
		return -errno;
	if (S_ISLNK(there.st_mode))
		return follow(w, next, &there);
	util_closep(&w->fd);
	w->fd = steal_fd(&next);
	return 0;
}

static int go(struct walk *w)
{
	int r = w->rest ? open_root(w) : -ENOMEM;

	while (r == 0) {
		const char *begin = w->rest + strspn(w->rest, "/");
		size_t len = strcspn(begin, "/");
		_cleanup_free_ char *name = strndup(begin, len);

		if (len == 0)
			return 0;
		if (!name)
			return -ENOMEM;
		memmove(w->rest, begin + len, strlen(begin + len) + 1);
		r = step(w, name);
	}
	return r;
}

static int name_of(int fd, char name[PATH_MAX])
{
	char link[sizeof("/proc/self/fd/") + 11];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, name, PATH_MAX);
	if (len < 0 || len == PATH_MAX)
		return len < 0 ? -errno : -ENAMETOOLONG;
	name[len] = '\0';
	return 0;
}

int placepath_look(const char *path, struct placepath *ret, struct err *e)
{
	_cleanup_walk_ struct walk w = { .fd = -1, .rest = strdup(path) };
	char real[PATH_MAX];
	struct stat st;
	int r;

	if (*path != '/')
		return err_set(e, ERR_USAGE, -EINVAL, "%s is no absolute path: write it from / on",
			       path);
	r = go(&w);
	if (r == 0)
		r = name_of(w.fd, real);
	if (r == 0 && fstat(w.fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r == -ENOENT ? r : err_errno(e, r, "cannot open %s", path);
	*ret = (struct placepath){ .real = strdup(real),
				   .st = st,
				   .led = w.led,
				   .by_several = w.by_several,
				   .by_a_group = w.by_a_group,
				   .by = w.by };
	return ret->real ? 0 : err_nomem(e);
}

int placepath_find(const char *path, char **ret_real, struct stat *ret_st, struct err *e)
{
	struct placepath found;
	int r = placepath_look(path, &found, e);

	if (r == 0)
		r = check_leader(&found, path, e);
	else
		return r;
	if (r < 0) {
		free(found.real);
		return r;
	}
	*ret_real = found.real;
	*ret_st = found.st;
	return 0;
}
