/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clone_place.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include "base/io.h"
#include "base/json.h"
#include "fs/mountpoint.h"

#define NOTE "clone.json"
#define NOTE_BYTES (64 * KIB)

int clone_place_init(struct clone_place *p, const char *directory, struct err *e)
{
	*p = (struct clone_place){ .fd = -1 };
	p->directory = mountpoint_absolute(directory);
	if (!p->directory) {
		int r = err_errno(e, -errno, "%s", directory);

		e->kind = ERR_USAGE;
		return r;
	}
	p->state = util_printf("%s.sstablefs", p->directory);
	p->mountpoint = util_printf("%s.sstablefs/backup", p->directory);
	p->upper = util_printf("%s.sstablefs/upper", p->directory);
	return p->state && p->mountpoint && p->upper ? 0 : err_nomem(e);
}

void clone_place_deinit(struct clone_place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->directory);
	free(p->state);
	free(p->mountpoint);
	free(p->upper);
}

/* ---- clone.json ---- */

static int read_names(const json_t *o, struct clone_place *p, struct err *e)
{
	const char *cluster = "", *node = "", *backup = "", *writer = "";
	int r = json_get_string(o, "cluster", FORMAT_NAME_BYTES, &cluster, e);

	if (r == 0)
		r = json_get_string(o, "node", FORMAT_NAME_BYTES, &node, e);
	if (r == 0)
		r = json_get_string(o, "backup", FORMAT_NAME_BYTES, &backup, e);
	if (r == 0)
		r = json_get_string(o, "writer", ULID_TEXT - 1, &writer, e);
	if (r < 0 || ulid_parse(&p->writer, writer) < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "%s/" NOTE " is damaged", p->state);
	snprintf(p->where.cluster, sizeof(p->where.cluster), "%s", cluster);
	snprintf(p->where.node, sizeof(p->where.node), "%s", node);
	snprintf(p->backup, sizeof(p->backup), "%s", backup);
	p->made_directory = json_is_true(json_object_get(o, "made_directory"));
	p->noted = true;
	return 0;
}

static int read_note(struct clone_place *p, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *o = NULL;
	size_t len;
	int r = io_read_file(p->fd, NOTE, NOTE_BYTES, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_errno(e, r, "cannot read %s/" NOTE, p->state);
	r = json_parse(NOTE, text, len, NOTE_BYTES, &o, e);
	return r < 0 ? err_wrap(e, r, "%s", p->state) : read_names(o, p, e);
}

static int write_note(struct clone_place *p, const struct record *record, struct err *e)
{
	char writer[ULID_TEXT];
	_cleanup_json_ json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "directory",
					     p->directory, "cluster", record->where.cluster, "node",
					     record->where.node, "backup", record->backup, "writer",
					     ulid_format(writer, &record->writer), "made_directory",
					     p->made_directory);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;

	if (!text)
		return err_nomem(e);
	return io_publish_file(p->fd, NOTE, text, strlen(text), 0644, e);
}

/* ---- the directories ---- */

static int busy(const struct clone_place *p, struct err *e)
{
	return err_set(e, ERR_CONFLICT, -EBUSY, "another process is working on the clone at %s",
		       p->directory);
}

int clone_place_open(struct clone_place *p, struct err *e)
{
	_cleanup_close_ int fd = open(p->state, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : err_errno(e, -errno, "cannot open %s", p->state);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return busy(p, e);
	p->fd = steal_fd(&fd);
	return read_note(p, e);
}

int clone_place_is_empty(const char *path)
{
	struct dirent *d;
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		return -errno;
	while (count == 0 && (d = readdir(dir)))
		count += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
	closedir(dir);
	return count == 0;
}

int clone_place_check_empty(const struct clone_place *p, struct err *e)
{
	int r = clone_place_is_empty(p->directory);

	if (r == -ENOENT || r == 1)
		return 0;
	if (r == 0)
		return err_set(e, ERR_CONFLICT, -ENOTEMPTY,
			       "%s is not empty: a clone needs a directory that is empty or does "
			       "not exist",
			       p->directory);
	return err_errno(e, r, "%s", p->directory);
}

static int make(const char *path, mode_t mode, bool *ret_made, struct err *e)
{
	*ret_made = mkdir(path, mode) == 0;
	return *ret_made || errno == EEXIST ? 0 : err_errno(e, -errno, "cannot make %s", path);
}

/* There was none a moment ago: one that is there now is another process's, and so is what is in it. */
static int make_state(struct clone_place *p, struct err *e)
{
	int r;

	if (p->fd >= 0)
		return 0;
	if (mkdir(p->state, 0700) < 0)
		return errno == EEXIST ? busy(p, e)
				       : err_errno(e, -errno, "cannot make %s", p->state);
	r = clone_place_open(p, e);
	if (r == 0 && !p->noted)
		return p->fd >= 0 ? 0 : busy(p, e);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	return r < 0 ? r : busy(p, e);
}

bool clone_place_is_of(const struct clone_place *p, const struct record *record)
{
	return keys_node_equal(&p->where, &record->where) &&
	       strcmp(p->backup, record->backup) == 0 &&
	       memcmp(&p->writer, &record->writer, sizeof(p->writer)) == 0;
}

int clone_place_make(struct clone_place *p, const struct record *record, struct err *e)
{
	static const char *const below[] = { "backup", "upper", "work" };
	struct stat st;
	bool made;
	int r = make_state(p, e);

	if (r == 0 && !p->noted) {
		p->made_directory = lstat(p->directory, &st) < 0;
		r = write_note(p, record, e);
	}
	if (r == 0)
		r = make(p->directory, 0755, &made, e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(below); i++)
		if (mkdirat(p->fd, below[i], 0755) < 0 && errno != EEXIST)
			r = err_errno(e, -errno, "cannot make %s/%s", p->state, below[i]);
	return r;
}

/* ---- the end ---- */

/* What is mounted must never be removed with what it is mounted on. */
static int check_unmounted(const char *path, struct err *e)
{
	struct mountpoint_info info;
	char where[PATH_MAX];
	int r = mountpoint_below(path, &info, where);

	if (r < 0)
		return err_errno(e, r, "cannot see what is mounted");
	if (!info.mounted)
		return 0;
	return err_set(e, ERR_CONFLICT, -EBUSY,
		       "%s of %s is still mounted on %s: nothing was removed", info.type,
		       info.source, where);
}

static int remove_all(struct clone_place *p, struct err *e)
{
	/* clone.json last: what was begun can be undone again. */
	static const char *const below[] = { "probe", "work", "upper", "backup", "mount.log" };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		r = io_remove_tree(p->fd, below[i]);
		if (r < 0)
			return err_errno(e, r, "cannot remove %s/%s", p->state, below[i]);
	}
	/* What somebody put there while nothing was mounted stays. */
	if (p->made_directory && rmdir(p->directory) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return err_errno(e, -errno, "cannot remove %s", p->directory);
	r = io_remove_tree(AT_FDCWD, p->state);
	return r < 0 ? err_errno(e, r, "cannot remove %s", p->state) : 0;
}

int clone_place_remove(struct clone_place *p, struct err *e)
{
	int r = p->fd < 0 ? 0 : check_unmounted(p->state, e);

	if (p->fd < 0)
		return 0;
	if (r == 0)
		r = check_unmounted(p->directory, e);
	return r == 0 ? remove_all(p, e) : r;
}
