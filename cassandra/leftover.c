/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/leftover.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/io.h"
#include "base/json.h"

#define OWNER_BYTES_MAX 4096

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

void leftover_free(struct leftover *l)
{
	if (!l)
		return;
	if (l->lock >= 0)
		close(l->lock);
	free(l->tag);
	free(l->directory);
	free(l);
}

static struct leftover *new (const char *state, const char *tag)
{
	_cleanup_(leftover_freep) struct leftover *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->lock = -1;
	l->tag = strdup(tag);
	l->directory = util_printf("%s/%s", state, tag);
	return l->tag && l->directory ? steal_pointer(&l) : NULL;
}

/* Opens <directory>/lock and locks it. 0, -EWOULDBLOCK, -errno. Closing lets go; programs that we start do not get it. */
static int lock(const char *directory, int how, int *ret)
{
	_cleanup_free_ char *path = util_printf("%s/lock", directory);
	_cleanup_close_ int fd = -1;

	if (!path)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	*ret = steal_fd(&fd);
	return 0;
}

static int write_owner(const struct leftover *l, const char *host_id, struct err *e)
{
	_cleanup_json_ json_t *o =
		json_pack("{s:s, s:o}", "tag", l->tag, "host_id", json_text(host_id));
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	return text ? leftover_write(l, "owner", text, strlen(text), e) : err_nomem(e);
}

int leftover_note(const char *state, const char *tag, const char *host_id, struct leftover **ret,
		  struct err *e)
{
	_cleanup_(leftover_freep) struct leftover *l = new (state, tag);
	_cleanup_close_ int all = -1;
	int r;

	if (!l)
		return err_nomem(e);
	r = io_mkdirs(AT_FDCWD, state, 0700);
	if (r == 0)
		r = lock(state, LOCK_EX, &all);
	if (r == 0 && mkdir(l->directory, 0700) < 0)
		r = -errno;
	if (r == 0)
		r = lock(l->directory, LOCK_EX | LOCK_NB, &l->lock);
	if (r == 0)
		r = io_fsync_dir(AT_FDCWD, state);
	if (r < 0)
		return err_errno(e, r, "cannot note the snapshot in %s", l->directory);
	r = write_owner(l, host_id, e);
	if (r < 0) {
		(void)io_remove_tree(AT_FDCWD, l->directory);
		return r;
	}
	*ret = steal_pointer(&l);
	return 0;
}

int leftover_write(const struct leftover *l, const char *name, const void *data, size_t len,
		   struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s", l->directory, name);

	return path ? io_publish_file(AT_FDCWD, path, data, len, 0600, e) : err_nomem(e);
}

int leftover_forget(struct leftover *l)
{
	int r = io_remove_tree(AT_FDCWD, l->directory);

	leftover_free(l);
	return r;
}

/* Whether the note is of that Cassandra. One without an owner was never finished: no snapshot was taken, and it goes. */
static bool is_of(const struct leftover *l, const char *host_id)
{
	_cleanup_free_ char *path = util_printf("%s/owner", l->directory), *text = NULL;
	_cleanup_json_ json_t *o = NULL;
	const char *owner = NULL, *tag = NULL;
	size_t len;

	if (!path)
		return false;
	if (io_read_file(AT_FDCWD, path, OWNER_BYTES_MAX, &text, &len) < 0) {
		if (access(path, F_OK) < 0 && errno == ENOENT)
			(void)io_remove_tree(AT_FDCWD, l->directory);
		return false;
	}
	if (json_parse("it", text, len, OWNER_BYTES_MAX, &o, NULL) < 0)
		return false;
	return json_get_string(o, "host_id", OWNER_BYTES_MAX, &owner, NULL) == 0 &&
	       json_get_string(o, "tag", OWNER_BYTES_MAX, &tag, NULL) == 0 &&
	       strcmp(owner, host_id) == 0 && strcmp(tag, l->tag) == 0;
}

/* The note of that name if its run is gone; NULL: it is not. */
static struct leftover *claim(const char *state, const char *name, const char *host_id)
{
	_cleanup_(leftover_freep) struct leftover *l = new (state, name);
	struct stat st;

	if (!l || lstat(l->directory, &st) < 0 || !S_ISDIR(st.st_mode))
		return NULL;
	if (lock(l->directory, LOCK_EX | LOCK_NB, &l->lock) < 0 || !is_of(l, host_id))
		return NULL;
	return steal_pointer(&l);
}

int leftover_find(const char *state, const char *host_id, size_t skip, struct leftover **ret,
		  struct err *e)
{
	_cleanup_(closedirp) DIR *dir = opendir(state);
	_cleanup_close_ int all = -1;
	struct dirent *d;
	int r;

	*ret = NULL;
	if (!dir)
		return errno == ENOENT ? 0 : err_errno(e, -errno, "cannot read %s", state);
	r = lock(state, LOCK_EX, &all);
	if (r < 0)
		return err_errno(e, r, "cannot lock %s", state);
	while ((d = readdir(dir))) {
		struct leftover *l = d->d_name[0] == '.' ? NULL : claim(state, d->d_name, host_id);

		if (l && skip == 0) {
			*ret = l;
			return 0;
		}
		skip -= l != NULL;
		leftover_free(l);
	}
	return 0;
}

enum leftover_state leftover_look(const char *state, const char *tag)
{
	_cleanup_free_ char *owner = util_printf("%s/%s/owner", state, tag),
			    *directory = util_printf("%s/%s", state, tag);
	_cleanup_close_ int fd = -1;

	if (!owner || !directory || access(owner, F_OK) < 0)
		return LEFTOVER_UNKNOWN;
	return lock(directory, LOCK_EX | LOCK_NB, &fd) == 0 ? LEFTOVER_DEAD : LEFTOVER_RUNNING;
}
