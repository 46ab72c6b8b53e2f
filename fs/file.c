/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include "fs/copies.h"
#include "fs/follow.h"

/* An open file: streams over extents, or bytes in memory (inline content, generated text). */
struct fs_file {
	struct handle handle; /* first */
	struct fs *fs;
	struct copies *copies;
	uint64_t size_bytes;
	uint64_t ino;  /* of a file of a backup */
	uint32_t node; /* likewise: the node's number */
	char *text;
	struct autopin_use use;
	uint64_t own;  /* of the overlay: its inode; else 0 */
	bool in_order; /* opened when its turn had come */
};

/* What is in memory once it is open needs no pin. */
static int open_stream(struct fs *f, struct view_node *n, const struct entry *entry,
		       struct view_wait w, struct fs_file *file, struct err *e)
{
	int r = f->o.autopins ? autopin_open(f->o.autopins, file->node, file->ino, w, &file->use, e)
			      : 0;

	if (r == 0)
		r = copies_open(f, n, file->ino, entry, &file->copies, e);
	if (r == 0)
		reader_hint(f->o.reader, view_node_name(n), entry->extents, entry->extent_count);
	return r;
}

static int open_recorded(struct fs *f, const struct index_node *row, struct view_wait w,
			 struct fs_file *file, struct err *e)
{
	struct view_node *n = view_by_number(f->o.view, row->node);
	const struct entry *entry;
	struct cached *run;
	int r = treecache_run(f->o.trees, view_node_name(n), &row->run, w.wait, &run, w.cancel, e);

	if (r != 0)
		return r;
	entry = &run->run->entries[row->entry];
	file->size_bytes = entry->size_bytes;
	if (entry->inline_data) {
		file->text = malloc(entry->size_bytes + 1);
		if (file->text)
			memcpy(file->text, entry->inline_data, entry->size_bytes);
		else
			r = err_nomem(e);
	} else {
		r = open_stream(f, n, entry, w, file, e);
	}
	treecache_unref(f->o.trees, run);
	if (r == 0)
		file->in_order = follow_open(f, file->ino, file->size_bytes,
					     file->copies ? copies_first(file->copies) : NULL);
	return r;
}

static int open_text(struct fs *f, const struct position *p, struct fs_file *file, struct err *e)
{
	struct wbuf out;
	int r;

	wbuf_init(&out, 64 * MIB);
	(p->kind == PLACE_STATUS ? f->o.status : f->o.metrics)(f->o.ctx, &out);
	r = wbuf_error(&out);
	if (r < 0) {
		wbuf_deinit(&out);
		return err_errno(e, r, "cannot write %s", p->path);
	}
	file->text = (char *)out.data;
	file->size_bytes = out.len;
	return 0;
}

static int open_json(struct fs *f, const struct position *p, uint64_t ino, struct view_wait w,
		     struct fs_file *file, struct err *e)
{
	struct view_backup b;
	struct view_node *n;
	double timeout_s;
	size_t len;
	int r = fs_find_backup(f, p, &n, &b, e);

	if (r < 0)
		return r;
	if (!w.wait)
		return FS_WOULD_BLOCK;
	r = view_backup_json(n, &b, &file->text, &len, w.cancel, e);
	if (r == 0) {
		file->size_bytes = len;
		r = fs_stat_position(f, p, NULL, ino, w, &file->handle.st, &timeout_s, e);
	}
	return r;
}

static void free_file(struct handle *h)
{
	struct fs_file *file = (struct fs_file *)h;

	if (file->own)
		overlay_close(file->fs->o.overlay, file->own);
	copies_close(file->copies);
	if (file->fs->o.autopins)
		autopin_close(file->fs->o.autopins, &file->use);
	free(file->text);
	free(file);
}

static int open_own(struct fs *f, uint64_t ino, bool truncate, struct fs_file **ret, struct err *e)
{
	struct fs_file *file = calloc(1, sizeof(*file));
	int r;

	if (!file)
		return err_nomem(e);
	r = f->o.overlay ? overlay_open(f->o.overlay, ino, truncate) : -ESTALE;
	if (r < 0) {
		free(file);
		return err_errno(e, r, "cannot open");
	}
	file->fs = f;
	file->own = ino;
	fs_handle_add(f, &file->handle, free_file);
	*ret = file;
	return 0;
}

int fs_open(struct fs *f, uint64_t ino, int flags, struct view_wait w, struct fs_file **ret,
	    bool *ret_direct, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct fs_file *file;
	struct position p;
	int r;

	*ret_direct = false;
	if (overlay_owns(ino))
		return open_own(f, ino, flags & O_TRUNC, ret, e);
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC))
		return err_set(e, ERR_IO, -EROFS, "a file of a backup");
	file = calloc(1, sizeof(*file));
	if (!file)
		return err_nomem(e);
	file->fs = f;
	r = fs_row(f, ino, w, &row, &p, e);
	if (r == 0 && row.type == INDEX_FILE) {
		double timeout_s;

		fs_stat_file(f, &row, &file->handle.st, &timeout_s);
		file->ino = ino;
		file->node = row.node;
		r = fs_check_file(f, row.node, ino, e);
		if (r == 0)
			r = open_recorded(f, &row, w, file, e);
	} else if (r == 0 && (p.kind == PLACE_STATUS || p.kind == PLACE_METRICS)) {
		r = open_text(f, &p, file, e);
	} else if (r == 0 && p.kind == PLACE_BACKUP_JSON) {
		r = open_json(f, &p, ino, w, file, e);
	} else if (r == 0) {
		r = err_set(e, ERR_IO, -EISDIR, "%s is a directory", p.path);
	}
	if (r != 0) {
		free_file(&file->handle);
		return r;
	}
	fs_handle_add(f, &file->handle, free_file);
	*ret_direct = row.type != INDEX_FILE;
	*ret = file;
	return 0;
}

uint64_t fs_file_recorded_bytes(const struct fs_file *file)
{
	return file->ino ? file->size_bytes : 0;
}

void fs_close(struct fs_file *file)
{
	fs_handle_unref(&file->handle);
}

void fs_file_ref(struct fs_file *file)
{
	fs_handle_ref(&file->handle);
}

void fs_file_unref(struct fs_file *file)
{
	fs_handle_unref(&file->handle);
}

static int read_own(struct fs_file *file, uint64_t offset, size_t len, struct fs_read *ret,
		    struct err *e)
{
	_cleanup_free_ void *copy = malloc(len + 1);
	ssize_t n;

	if (!copy)
		return err_nomem(e);
	n = overlay_read(file->fs->o.overlay, file->own, offset, copy, len);
	if (n < 0)
		return err_errno(e, (int)n, "cannot read");
	ret->one = (struct iovec){ copy, (size_t)n };
	ret->copy = steal_pointer(&copy);
	ret->iov = &ret->one;
	ret->iov_count = 1;
	ret->len_bytes = (size_t)n;
	return 0;
}

int fs_read(struct fs_file *file, uint64_t offset, size_t len_bytes, struct view_wait w,
	    struct fs_read *ret, struct err *e)
{
	struct autopins *pins;
	int r;

	*ret = (struct fs_read){ .iov = NULL };
	if (file->own)
		return read_own(file, offset, len_bytes, ret, e);
	if (offset >= file->size_bytes)
		return 0;
	len_bytes = (size_t)MIN_OF((uint64_t)len_bytes, file->size_bytes - offset);
	r = file->ino ? fs_check_file(file->fs, file->node, file->ino, e) : 0;
	if (r < 0)
		return r;
	if (!file->copies) {
		ret->one = (struct iovec){ file->text + offset, len_bytes };
		ret->iov = &ret->one;
		ret->iov_count = 1;
		ret->len_bytes = len_bytes;
		return 0;
	}
	pins = file->fs->o.autopins;
	r = pins ? autopin_check(pins, &file->use, w, e) : 0;
	if (r == 0)
		r = copies_read(file->copies, offset, len_bytes, w, ret, e);
	if (r == 0 && file->in_order)
		follow_read(file->fs, file->ino, file->size_bytes, offset + len_bytes);
	return pins && r < 0 ? autopin_explain(pins, &file->use, r, e) : r;
}

void fs_read_done(struct fs_file *file, struct fs_read *rd)
{
	if (rd->from)
		stream_release(rd->from, &rd->stream);
	free(rd->copy);
	rd->from = NULL;
	rd->copy = NULL;
}

ssize_t fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t len_bytes)
{
	return file->own ? overlay_write(file->fs->o.overlay, file->own, offset, data, len_bytes)
			 : -EBADF;
}

int fs_allocate(struct fs_file *file, int mode, uint64_t offset, uint64_t len_bytes)
{
	return file->own ? overlay_allocate(file->fs->o.overlay, file->own, mode, offset, len_bytes)
			 : -EBADF;
}
