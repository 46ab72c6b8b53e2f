/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/alive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

/* Files of backups that nobody continued go after this time. By this machine's clock; where that jumps, the store's time decides in the file's place. */
#define KEPT_SECONDS (INT64_C(8) * 24 * 3600)

struct alive {
	char *path;
	int fd;
};

static char *path_of(const char *dir, const struct ulid *writer)
{
	char name[ULID_TEXT];

	return util_printf("%s/%s", dir, ulid_format(name, writer));
}

/* The descriptor that holds the file's lock, or -errno: -EWOULDBLOCK where somebody else has it. */
static int try_lock(const char *path, int flags)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* What is old and held by nobody. */
static void sweep(const char *dir, int64_t now_s)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct ulid writer;

	while (d && (entry = readdir(d))) {
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int fd = -1;
		struct stat st;

		if (ulid_parse(&writer, entry->d_name) < 0)
			continue;
		path = util_printf("%s/%s", dir, entry->d_name);
		if (!path || stat(path, &st) < 0 || now_s - st.st_mtime < KEPT_SECONDS)
			continue;
		fd = try_lock(path, 0);
		if (fd >= 0)
			unlink(path);
	}
	if (d)
		closedir(d);
}

static struct alive *alive_new(char *path, int fd)
{
	struct alive *a = malloc(sizeof(*a));

	if (a)
		*a = (struct alive){ .path = path, .fd = fd };
	return a;
}

enum alive_state alive_take(const char *dir, const struct ulid *writer, const struct clock *clock,
			    struct alive **ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	bool was_there;

	*ret = NULL;
	if (!dir || io_mkdirs(AT_FDCWD, dir, 0700) < 0)
		return ALIVE_UNKNOWN;
	sweep(dir, clock_wall_ns(clock) / 1000000000);
	path = path_of(dir, writer);
	if (!path)
		return ALIVE_UNKNOWN;
	was_there = access(path, F_OK) == 0;
	fd = try_lock(path, O_CREAT);
	if (fd < 0)
		return was_there && fd == -EWOULDBLOCK ? ALIVE_RUNS : ALIVE_UNKNOWN;
	*ret = alive_new(path, fd);
	if (*ret) {
		(void)steal_pointer(&path);
		(void)steal_fd(&fd);
	}
	return was_there ? ALIVE_ENDED : ALIVE_UNKNOWN;
}

enum alive_state alive_look(const char *dir, const struct ulid *writer)
{
	_cleanup_free_ char *path = dir ? path_of(dir, writer) : NULL;
	_cleanup_close_ int fd = -1;

	if (!path)
		return ALIVE_UNKNOWN;
	fd = try_lock(path, 0);
	if (fd < 0)
		return fd == -EWOULDBLOCK ? ALIVE_RUNS : ALIVE_UNKNOWN;
	return ALIVE_ENDED;
}

void alive_leave(struct alive *a)
{
	if (!a)
		return;
	close(a->fd);
	free(a->path);
	free(a);
}

void alive_end(struct alive *a)
{
	if (a)
		unlink(a->path);
	alive_leave(a);
}
