/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/loadjournal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include "base/buf.h"
#include "base/io.h"

#define LOADED "loaded"
#define BYTES_MAX (256 * MIB)

struct loadjournal {
	char *directory;
	int fd; /* of the directory */
	int lock;
	json_t *done; /* {"KS.TABLE FROM": true} */
};

/* ---- the file ---- */

static int rewrite(struct loadjournal *j, struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	const char *line;
	json_t *value;

	wbuf_init(&text, BYTES_MAX);
	json_object_foreach(j->done, line, value) {
		wbuf_put(&text, line, strlen(line));
		wbuf_u8(&text, '\n');
	}
	if (wbuf_error(&text))
		return err_nomem(e);
	return io_publish_file(j->fd, LOADED, text.data, text.len, 0600, e);
}

static int take(struct loadjournal *j, char *text, struct err *e)
{
	char *end;

	for (; (end = strchr(text, '\n')); text = end + 1) {
		*end = '\0';
		if (json_object_set_new(j->done, text, json_true()) < 0)
			return err_set(e, ERR_CORRUPT, -EBADMSG,
				       "%s/" LOADED " holds what is no line of it", j->directory);
	}
	return 0;
}

static int read_loaded(struct loadjournal *j, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	bool cut;
	size_t len;
	int r = io_read_file(j->fd, LOADED, BYTES_MAX, &text, &len);

	if (r < 0 && r != -ENOENT)
		return err_errno(e, r, "cannot read %s/" LOADED, j->directory);
	if (r < 0)
		return 0;
	cut = len > 0 && text[len - 1] != '\n';
	r = take(j, text, e);
	/* The next line is to stand by itself. */
	return r == 0 && cut ? rewrite(j, e) : r;
}

static int lock(struct loadjournal *j, struct err *e)
{
	int r = io_mkdirs(AT_FDCWD, j->directory, 0700);

	if (r < 0)
		return err_errno(e, r, "cannot make %s", j->directory);
	j->fd = open(j->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j->fd >= 0)
		j->lock = openat(j->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->fd < 0 || j->lock < 0)
		return err_errno(e, -errno, "cannot open %s", j->directory);
	if (flock(j->lock, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(e, ERR_CONFLICT, -EBUSY,
					 "another restore-cluster loads this backup there")
			       : err_errno(e, -errno, "cannot lock %s", j->directory);
	return 0;
}

int loadjournal_open(const char *cache_dir, const char *id, struct loadjournal **ret, struct err *e)
{
	_cleanup_(loadjournal_freep) struct loadjournal *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_nomem(e);
	j->fd = j->lock = -1;
	j->done = json_object();
	j->directory = util_printf("%s/restore-cluster/%s", cache_dir, id);
	if (!j->done || !j->directory)
		return err_nomem(e);
	r = lock(j, e);
	if (r == 0)
		r = read_loaded(j, e);
	if (r == 0)
		*ret = steal_pointer(&j);
	return r;
}

void loadjournal_free(struct loadjournal *j)
{
	util_closep(&j->lock);
	util_closep(&j->fd);
	json_decref(j->done);
	free(j->directory);
	free(j);
}

const char *loadjournal_directory(const struct loadjournal *j)
{
	return j->directory;
}

bool loadjournal_has(const struct loadjournal *j, const char *table, const char *from)
{
	_cleanup_free_ char *line = util_printf("%s %s", table, from);

	return line && json_object_get(j->done, line);
}

/* ---- writing ---- */

int loadjournal_add(struct loadjournal *j, const char *table, const char *from, struct err *e)
{
	_cleanup_free_ char *line = util_printf("%s %s\n", table, from);
	_cleanup_close_ int fd =
		openat(j->fd, LOADED, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : line ? io_write_full(fd, line, strlen(line)) : -ENOMEM;

	if (r == 0 && fdatasync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = io_fsync_dir(j->fd, ".");
	if (r < 0)
		return err_errno(e, r, "cannot write %s/" LOADED, j->directory);
	line[strlen(line) - 1] = '\0';
	return json_object_set_new(j->done, line, json_true()) == 0 ? 0 : err_nomem(e);
}

static bool is_of(const char *line, const char *table)
{
	size_t len = strlen(table);

	return strncmp(line, table, len) == 0 && line[len] == ' ';
}

int loadjournal_forget(struct loadjournal *j, const char *table, struct err *e)
{
	size_t before = json_object_size(j->done);
	const char *line;
	json_t *value;
	void *next;

	json_object_foreach_safe(j->done, next, line, value)
	{
		if (!table || is_of(line, table))
			json_object_del(j->done, line);
	}
	return json_object_size(j->done) < before ? rewrite(j, e) : 0;
}

int loadjournal_end(struct loadjournal *j, struct err *e)
{
	int r = io_remove_tree(AT_FDCWD, j->directory);

	return r < 0 ? err_errno(e, r, "cannot remove %s", j->directory) : 0;
}
