/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountpoint.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* mountinfo writes space, tab, newline and backslash as \ooo. In place. */
static void unescape(char *s)
{
	char *out = s;

	while (*s) {
		unsigned v;

		if (s[0] == '\\' && sscanf(s + 1, "%3o", &v) == 1) {
			*out++ = (char)v;
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* "36 35 98:0 /root /mount/point options… - type source super-options" (proc(5)) */
static void parse_line(char *line, const char *path, struct mountpoint_info *ret)
{
	char where[PATH_MAX], type[64], source[1024];
	unsigned major, minor;
	char *rest;

	if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &major, &minor, where) != 3)
		return;
	unescape(where);
	rest = strstr(line, " - ");
	if (strcmp(where, path) != 0 || !rest || sscanf(rest, " - %63s %1023s", type, source) != 2)
		return;
	unescape(source);
	*ret = (struct mountpoint_info){ .mounted = true, .major = major, .minor = minor };
	strcpy(ret->type, type);
	strcpy(ret->source, source);
}

int mountpoint_query(const char *path, struct mountpoint_info *ret)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	*ret = (struct mountpoint_info){ .mounted = false };
	if (!f)
		return -errno;
	while (getline(&line, &cap, f) > 0)
		parse_line(line, path, ret);
	fclose(f);
	return 0;
}

char *mountpoint_absolute(const char *path)
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

int mountpoint_check(const char *path, struct err *e)
{
	_cleanup_free_ char *absolute = mountpoint_absolute(path);
	struct mountpoint_info info;
	struct statfs fs;
	struct stat st;

	if (!absolute)
		return err_set(e, ERR_USAGE, -errno,
			       "mount point %s: %s (make the directory first: mkdir -p %s)", path,
			       strerror(errno), path);
	if (mountpoint_query(absolute, &info) == 0 && info.mounted &&
	    strncmp(info.type, "fuse", 4) == 0) {
		/* stat may be answered by what the kernel remembers. */
		if (statfs(absolute, &fs) < 0 && errno == ENOTCONN)
			return err_set(
				e, ERR_CONFLICT, -EBUSY,
				"%s is a stale mount: the process that served %s is gone (clear it with: sstablefs umount %s)",
				path, info.source, path);
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"%s is mounted already: %s on it (unmount it first, or choose another directory)",
			path, info.source);
	}
	if (stat(absolute, &st) < 0)
		return err_set(e, ERR_USAGE, -errno,
			       "mount point %s: %s (make the directory first: mkdir -p %s)", path,
			       strerror(errno), path);
	if (!S_ISDIR(st.st_mode))
		return err_set(e, ERR_USAGE, -ENOTDIR, "mount point %s is not a directory", path);
	return 0;
}
