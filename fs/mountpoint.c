/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountpoint.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

#define OWN_TYPE "fuse.sstablefs"
#define ASK_SLICE_MS 2
#define ASK_S 2 /* how long a file system may take to tell whether it lives; one that hangs does */
#define LINKS_MAX 40
#define STALE_MAX 16 /* mounts on top of each other */

/* mountinfo writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root /mount/point options… - type source super-options" (proc(5)) */
static bool parse_line(const char *line, char where[PATH_MAX], struct mountpoint_info *ret)
{
	const char *rest = strstr(line, " - ");

	*ret = (struct mountpoint_info){ .mounted = true };
	if (!rest ||
	    sscanf(line, "%*u %*u %u:%u %*s %4095s", &ret->major, &ret->minor, where) != 3 ||
	    sscanf(rest, " - %63s %1023s", ret->type, ret->source) != 2)
		return false;
	unescape(where);
	unescape(ret->source);
	return true;
}

int mountpoint_query(const char *path, struct mountpoint_info *ret)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mountpoint_info info;
	char where[PATH_MAX];
	size_t cap = 0;

	*ret = (struct mountpoint_info){ .mounted = false };
	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0)
		if (parse_line(line, where, &info) && strcmp(where, path) == 0)
			*ret = info;
	fclose(f);
	return 0;
}

int mountpoint_below(const char *path, struct mountpoint_info *ret, char *where)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0, len = strlen(path);
	bool found = false;

	if (!f)
		return -errno;
	while (!found && getline(&line, &cap, f) > 0)
		found = parse_line(line, where, ret) && strncmp(where, path, len) == 0 &&
			(where[len] == '/' || where[len] == '\0');
	fclose(f);
	ret->mounted = found;
	return 0;
}

/* realpath of the parent, and the last component as it is. New string, or NULL. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *copy = strdup(path), *parent = NULL;
	char *slash, *name;
	size_t len;

	if (!copy)
		return NULL;
	for (len = strlen(copy); len > 1 && copy[len - 1] == '/'; len--)
		copy[len - 1] = '\0';
	slash = strrchr(copy, '/');
	name = slash ? slash + 1 : copy;
	if (strcmp(copy, "/") == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return realpath(copy, NULL);
	if (slash)
		*slash = '\0';
	parent = realpath(slash ? (*copy ? copy : "/") : ".", NULL);
	if (!parent)
		return NULL;
	return util_printf("%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
}

char *mountpoint_absolute(const char *path)
{
	_cleanup_free_ char *at = absolute(path);

	for (unsigned i = 0; at && i < LINKS_MAX; i++) {
		char target[PATH_MAX], *slash = strrchr(at, '/');
		_cleanup_free_ char *next = NULL;
		ssize_t n = readlink(at, target, sizeof(target) - 1);

		if (n < 0)
			return steal_pointer(&at);
		target[n] = '\0';
		next = *target == '/' ? strdup(target)
				      : util_printf("%.*s/%s", (int)(slash - at), at, target);
		free(at);
		at = next ? absolute(next) : NULL;
	}
	if (at)
		errno = ELOOP;
	return NULL;
}

/*
 * Asked in a child, as a mount that hangs must not stop us. stat may be answered by what the kernel
 * remembers, statfs is not. A daemon that is stopped keeps even a killed child in the kernel: it is
 * left to whoever reaps after us.
 */
bool mountpoint_is_stale(const char *path)
{
	const struct timespec slice = { .tv_nsec = ASK_SLICE_MS * 1000000L };
	pid_t child = fork(), ended = 0;
	struct statfs fs;
	int status = 0;

	if (child == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(ASK_S);
		_exit(statfs(path, &fs) < 0 && errno == ENOTCONN ? 1 : 0);
	}
	for (int ms = 0; child > 0 && ended == 0 && ms <= ASK_S * 1000; ms += ASK_SLICE_MS) {
		ended = waitpid(child, &status, WNOHANG);
		if (ended == 0)
			nanosleep(&slice, NULL);
	}
	return child > 0 && ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* 0: nothing is there, or something that mountpoint_clear takes away. */
static int check_mounted(const char *path, const char *full, bool *ret_stale, struct err *e)
{
	struct mountpoint_info info;

	*ret_stale = false;
	if (mountpoint_query(full, &info) < 0 || !info.mounted ||
	    strncmp(info.type, "fuse", 4) != 0)
		return 0;
	*ret_stale = mountpoint_is_stale(full);
	if (*ret_stale && strcmp(info.type, OWN_TYPE) == 0)
		return 0;
	if (*ret_stale)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"a stale mount of %s (%s) is on %s: the process that served it is gone (clear it with: umount %s)",
			info.source, info.type, path, path);
	return err_set(
		e, ERR_CONFLICT, -EBUSY,
		"%s is mounted already: %s on it (unmount it first, or choose another directory)",
		path, info.source);
}

static int no_mountpoint(const char *path, int code, struct err *e)
{
	if (code == -ENOENT)
		return err_set(e, ERR_USAGE, code,
			       "mount point %s: no such directory (make it first: mkdir -p %s)",
			       path, path);
	if (code == -ENOMEM)
		return err_nomem(e);
	err_errno(e, code, "mount point %s", path);
	e->kind = ERR_USAGE;
	return code;
}

int mountpoint_check(const char *path, struct err *e)
{
	_cleanup_free_ char *full = mountpoint_absolute(path);
	struct stat st;
	bool stale;
	int r;

	if (!full)
		return no_mountpoint(path, -errno, e);
	r = check_mounted(path, full, &stale, e);
	if (r < 0 || stale)
		return r;
	if (stat(full, &st) < 0)
		return no_mountpoint(path, -errno, e);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, -ENOTDIR, "mount point %s is not a directory", path);
	return 0;
}

int mountpoint_clear(const char *path, unsigned *ret_cleared, struct err *e)
{
	struct mountpoint_info info;
	int r;

	for (*ret_cleared = 0; *ret_cleared < STALE_MAX; ++*ret_cleared) {
		if (mountpoint_query(path, &info) < 0 || !info.mounted ||
		    strcmp(info.type, OWN_TYPE) != 0 || !mountpoint_is_stale(path))
			return 0;
		r = mountpoint_detach(path, true, false);
		if (r < 0)
			return err_errno(
				e, r,
				"%s is a stale mount: the process that served %s is gone; it cannot be cleared (try: umount %s)",
				path, info.source, path);
	}
	return 0;
}

int mountpoint_each_stale(void (*fn)(void *ctx, const char *path, const char *source), void *ctx)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	struct mountpoint_info info;
	char where[PATH_MAX];
	size_t cap = 0;

	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0)
		if (parse_line(line, where, &info) && strcmp(info.type, OWN_TYPE) == 0 &&
		    mountpoint_is_stale(where))
			fn(ctx, where, info.source);
	fclose(f);
	return 0;
}

/* ---- unmounting ---- */

/* Users have fusermount3 for it, which is setuid. */
static int detach_as_user(const char *path, bool lazy)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		execlp("fusermount3", "fusermount3", "-q", lazy ? "-uz" : "-u", path, (char *)NULL);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

/* MNT_FORCE aborts a FUSE connection also where the control file system is not mounted. */
static int detach_as_root(const char *path, bool lazy, bool force)
{
	int flags = (lazy || force ? MNT_DETACH : 0) | (force ? MNT_FORCE : 0);

	return umount2(path, flags) < 0 ? -errno : 0;
}

int mountpoint_detach(const char *path, bool lazy, bool force)
{
	return geteuid() == 0 ? detach_as_root(path, lazy, force)
			      : detach_as_user(path, lazy || force);
}
