/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/dirusers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"

#define ANCESTORS_MAX 100
#define NAMED_MAX 20 /* processes named */
#define MOUNTINFO_BYTES_MAX ((size_t)16 * 1024 * 1024)

static bool below(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* ---- mountinfo ---- */

struct mount {
	unsigned major, minor;
	char root[PATH_MAX], where[PATH_MAX]; /* "" for "/" */
};

/* mountinfo writes space, tab, newline and backslash as \ooo. In place; "/" becomes "". */
static void take_path(char *s)
{
	char *out = s;

	for (const char *at = s; *at;) {
		bool escaped = at[0] == '\\' && strspn(at + 1, "01234567") >= 3;

		*out++ = escaped ? (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'))
				 : *at;
		at += escaped ? 4 : 1;
	}
	*out = '\0';
	if (strcmp(s, "/") == 0)
		*s = '\0';
}

/* The next line, "36 35 98:0 /root /mount/point options…"; false at the end. Lines that are none are passed over. */
static bool next_mount(const char **text, struct mount *ret)
{
	while (**text) {
		const char *line = *text, *end = strchrnul(line, '\n');

		*text = *end ? end + 1 : end;
		if (sscanf(line, "%*u %*u %u:%u %4095s %4095s", &ret->major, &ret->minor, ret->root,
			   ret->where) != 4)
			continue;
		take_path(ret->root);
		take_path(ret->where);
		return true;
	}
	return false;
}

bool dirusers_place(const char *mountinfo, const char *path, struct dirusers_place *ret)
{
	struct mount m;
	size_t best = 0;
	bool found = false;

	ret->inside = NULL;
	/* Of mounts on one path the last hides the others. */
	while (next_mount(&mountinfo, &m)) {
		size_t len = strlen(m.where);

		if (!below(path, m.where) || (found && len < best))
			continue;
		free(ret->inside);
		ret->inside = util_printf("%s%s", m.root, path + len);
		ret->major = m.major;
		ret->minor = m.minor;
		best = len;
		found = ret->inside;
	}
	return found;
}

size_t dirusers_paths(const char *mountinfo, const struct dirusers_place *place,
		      char *ret[DIRUSERS_PATHS_MAX])
{
	struct mount m;
	size_t count = 0;

	while (count < DIRUSERS_PATHS_MAX && next_mount(&mountinfo, &m)) {
		const char *rest = NULL;

		if (m.major != place->major || m.minor != place->minor)
			continue;
		if (below(place->inside, m.root))
			rest = place->inside + strlen(m.root);
		else if (below(m.root, place->inside))
			rest = "";
		ret[count] = rest ? util_printf("%s%s", m.where, rest) : NULL;
		count += ret[count] != NULL;
	}
	return count;
}

/* ---- namespaces ---- */

/* As a process sees the mounts. */
struct view {
	char name[64];	     /* of its namespace, "mnt:[4026531841]" */
	char root[PATH_MAX]; /* of the process, "" for "/" */
	char **paths;
	size_t count, cap;
	bool here; /* the first directory is where it was said to be */
};

struct seen {
	const char *const *directories;
	struct dirusers_place *places; /* of these */
	size_t place_count;
	struct view *views; /* [0]: ours */
	size_t count, cap;
};

static void view_deinit(struct view *v)
{
	for (size_t i = 0; i < v->count; i++)
		free(v->paths[i]);
	free(v->paths);
}

static void seen_deinit(struct seen *s)
{
	for (size_t i = 0; i < s->count; i++)
		view_deinit(&s->views[i]);
	for (size_t i = 0; i < s->place_count; i++)
		free(s->places[i].inside);
	free(s->views);
	free(s->places);
}

static bool read_link(const char *pid, const char *name, char *out, size_t size)
{
	char link[300];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%s/%s", pid, name);
	n = readlink(link, out, size - 1);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

static char *read_mountinfo(const char *pid)
{
	char path[300], *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%s/mountinfo", pid);
	return io_read_file(AT_FDCWD, path, MOUNTINFO_BYTES_MAX, &text, &len) < 0 ? NULL : text;
}

/* What mountinfo names is below the process's root, what its links name is not. Takes the path over. */
static void add_path(struct view *v, char *path)
{
	char *full = util_printf("%s%s", v->root, path);

	free(path);
	if (!full || util_grow(&v->paths, &v->cap, v->count + 1, sizeof(*v->paths)) < 0) {
		free(full);
		return;
	}
	v->paths[v->count++] = full;
}

/* Whether it is what a path leads to, and no other mount hides it. */
static bool is_there(const char *mountinfo, const char *path, const struct dirusers_place *place)
{
	struct dirusers_place found;
	bool same = dirusers_place(mountinfo, path, &found) && found.major == place->major &&
		    found.minor == place->minor && strcmp(found.inside, place->inside) == 0;

	free(found.inside);
	return same;
}

static bool look_into(const struct seen *s, const char *pid, struct view *v)
{
	_cleanup_free_ char *text = read_mountinfo(pid);
	char *paths[DIRUSERS_PATHS_MAX];

	for (size_t i = 0; text && i < s->place_count; i++) {
		size_t count = dirusers_paths(text, &s->places[i], paths);

		for (size_t k = 0; k < count; k++)
			add_path(v, paths[k]);
	}
	v->here = text && !*v->root && is_there(text, s->directories[0], &s->places[0]);
	return text;
}

static const struct view *known(const struct seen *s, const struct view *v)
{
	/* In our own namespace a root is no other view: what is open may lie outside. */
	if (s->count > 0 && strcmp(s->views[0].name, v->name) == 0)
		return &s->views[0];
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->views[i].name, v->name) == 0 &&
		    strcmp(s->views[i].root, v->root) == 0)
			return &s->views[i];
	return NULL;
}

/* NULL where the process is gone, or is nobody whom we may ask. */
static const struct view *view_of(struct seen *s, const char *pid)
{
	struct view v = { .count = 0 };
	const struct view *found;

	if (!read_link(pid, "ns/mnt", v.name, sizeof(v.name)) ||
	    !read_link(pid, "root", v.root, sizeof(v.root)))
		return NULL;
	if (strcmp(v.root, "/") == 0)
		*v.root = '\0';
	found = known(s, &v);
	if (found)
		return found;
	if (util_grow(&s->views, &s->cap, s->count + 1, sizeof(*s->views)) < 0 ||
	    !look_into(s, pid, &v)) {
		view_deinit(&v);
		return NULL;
	}
	s->views[s->count] = v;
	return &s->views[s->count++];
}

/* Ours, by which the directories are known. */
static bool seen_init(struct seen *s, const char *const *directories)
{
	_cleanup_free_ char *text = read_mountinfo("self");
	size_t count = 0;

	*s = (struct seen){ .directories = directories };
	while (directories[count])
		count++;
	s->places = calloc(count + 1, sizeof(*s->places));
	for (size_t i = 0; text && s->places && i < count; i++)
		if (dirusers_place(text, directories[i], &s->places[s->place_count]))
			s->place_count++;
	return s->place_count > 0 && view_of(s, "self");
}

/* ---- processes ---- */

static bool is_in(const struct view *v, const char *path)
{
	for (size_t i = 0; i < v->count; i++)
		if (below(path, v->paths[i]))
			return true;
	return false;
}

static bool link_in(const struct view *v, const char *pid, const char *name)
{
	char target[PATH_MAX];

	return read_link(pid, name, target, sizeof(target)) && is_in(v, target);
}

static bool any_fd_in(const struct view *v, const char *pid)
{
	char path[300];
	struct dirent *d;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (d = readdir(dir))) {
		char name[300];

		snprintf(name, sizeof(name), "fd/%s", d->d_name);
		found = link_in(v, pid, name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool any_map_in(const struct view *v, const char *pid)
{
	_cleanup_free_ char *line = NULL;
	char path[300];
	size_t cap = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	f = fopen(path, "re");
	while (f && !found && getline(&line, &cap, f) > 0) {
		char *name = strchr(line, '/');

		if (name) {
			name[strcspn(name, "\n")] = '\0';
			found = is_in(v, name);
		}
	}
	if (f)
		fclose(f);
	return found;
}

static bool uses(const struct view *v, const char *pid)
{
	return v && v->count > 0 &&
	       (link_in(v, pid, "cwd") || link_in(v, pid, "root") || any_fd_in(v, pid) ||
		any_map_in(v, pid));
}

bool dirusers_list(const char *const *directories, char *out, size_t size)
{
	_cleanup_(seen_deinit) struct seen s;
	struct dirent *d;
	size_t used = 0, named = 0;
	bool here = false;
	DIR *proc = seen_init(&s, directories) ? opendir("/proc") : NULL;

	*out = '\0';
	while (proc && named < NAMED_MAX && used + 40 < size && (d = readdir(proc))) {
		const struct view *v;
		_cleanup_free_ char *comm = NULL;
		char file[300];
		size_t len;

		if (*d->d_name < '1' || *d->d_name > '9' || strtol(d->d_name, NULL, 10) == getpid())
			continue;
		v = view_of(&s, d->d_name);
		if (!uses(v, d->d_name))
			continue;
		here = here || v->here;
		snprintf(file, sizeof(file), "/proc/%s/comm", d->d_name);
		if (io_read_file(AT_FDCWD, file, 4096, &comm, &len) < 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		used += (size_t)snprintf(out + used, size - used, "%s%s (%s)", named++ ? ", " : "",
					 d->d_name, comm);
	}
	if (proc)
		closedir(proc);
	return here;
}

/* ---- this process, and those that it comes from ---- */

static long parent_of(long pid)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	const char *at;
	long parent = 0;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	if (io_read_file(AT_FDCWD, path, 4096, &text, &len) < 0)
		return 0;
	/* "12 (a (strange) name) S 11 …" */
	at = strrchr(text, ')');
	return at && sscanf(at, ") %*c %ld", &parent) == 1 ? parent : 0;
}

bool dirusers_among_own(const char *const *directories, long *ret_pid, char out[PATH_MAX])
{
	long pid = getpid();

	for (unsigned depth = 0; pid > 0 && depth < ANCESTORS_MAX; depth++) {
		char text[32];

		snprintf(text, sizeof(text), "%ld", pid);
		for (size_t i = 0; read_link(text, "cwd", out, PATH_MAX) && directories[i]; i++) {
			if (below(out, directories[i])) {
				*ret_pid = pid;
				return true;
			}
		}
		pid = parent_of(pid);
	}
	return false;
}
