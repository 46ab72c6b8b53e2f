/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "base/io.h"
#include "catalog/fetchbuf.h"
#include "catalog/parallel.h"
#include "catalog/plan.h"
#include "catalog/restore_publish.h"
#include "catalog/restore_walk.h"

#define PLAN_SHARE 8 /* one part in so many of the memory is for the plan, the rest for buffers */
#define WRITEBACK_BYTES \
	(1 *            \
	 MIB) /* from here on writing to disk begins at once, so that the batch's syncfs finds little to do */

struct write {
	const struct restore_options *o;
	const struct restore_attr *attr;
	const struct restore_target *t;
	struct restore_dirs *dirs;
	const struct restore_check *k;
	struct plan plan;
	struct restore_publish *publish;
	unsigned workers;
	struct fetchbuf *buffers;
	uint32_t dir; /* that the walk is in */
	_Atomic uint64_t files, bytes;
};

/* ---- one piece ---- */

static int cannot_write(const struct write *w, const struct plan_file *f, int r, struct err *e)
{
	return err_errno(e, r, "cannot write %s/%s",
			 restore_target_name(w->t, restore_target_root(w->t, f->data_dir)),
			 f->path);
}

/* The last piece of a file was written: no other thread is at it any more. */
static int finish_file(struct write *w, uint32_t index, int fd, struct err *e)
{
	const struct plan_file *f = &w->plan.files[index];
	struct attributes attr = restore_attr_of_file(&f->attr);
	int r = restore_attr_apply(w->attr, fd, &attr);

	if (r < 0)
		return cannot_write(w, f, r, e);
	w->files++;
	return restore_publish_add(w->publish, index, e);
}

/* A piece on its way into its file. */
struct writing {
	struct write *w;
	const struct plan_piece *piece;
	const uint8_t *content; /* of the object, while it arrives */
	int fd;			/* -1: not open yet */
	uint32_t done_bytes;
	int result;
	struct err error;
};

static int open_piece(struct writing *x, struct err *e)
{
	struct plan_file *f = &x->w->plan.files[x->piece->file];
	size_t root = restore_target_root(x->w->t, f->data_dir);
	char name[RESTORE_STAGED_NAME];

	x->fd = openat(restore_target_staging(x->w->t, root),
		       restore_publish_name(name, f->ordinal),
		       O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return x->fd < 0 ? cannot_write(x->w, f, -errno, e) : 0;
}

/* The piece up to here; from `data`, where all of it lies. */
static int write_up_to(struct writing *x, const uint8_t *data, uint32_t end, struct err *e)
{
	const struct plan_piece *piece = x->piece;
	int r = x->fd < 0 ? open_piece(x, e) : 0;

	if (r < 0)
		return r;
	r = io_pwrite_full(x->fd, data + x->done_bytes, end - x->done_bytes,
			   piece->file_offset + x->done_bytes);
	if (r < 0)
		return cannot_write(x->w, &x->w->plan.files[piece->file], r, e);
	x->done_bytes = end;
	return 0;
}

/* Content that was found right goes into its file at once, when it is still in the caches of the CPU. */
static void write_arrived(void *ctx, uint32_t end)
{
	struct writing *x = ctx;
	const struct plan_piece *piece = x->piece;

	if (x->result < 0 || end <= piece->offset + x->done_bytes)
		return;
	x->result = write_up_to(x, x->content + piece->offset,
				MIN_OF(end - piece->offset, piece->len_bytes), &x->error);
}

/* All of it is there. */
static int finish_piece(struct writing *x, const void *data, struct err *e)
{
	const struct plan_piece *piece = x->piece;
	struct write *w = x->w;
	struct plan_file *f = &w->plan.files[piece->file];
	int r;

	if (x->result < 0) {
		*e = x->error;
		return x->result;
	}
	r = write_up_to(x, data, piece->len_bytes, e);
	if (r < 0)
		return r;
	if (piece->len_bytes >= WRITEBACK_BYTES)
		sync_file_range(x->fd, (off_t)piece->file_offset, piece->len_bytes,
				SYNC_FILE_RANGE_WRITE);
	w->bytes += piece->len_bytes;
	if (w->o->progress)
		w->o->progress->bytes_done += piece->len_bytes;
	return atomic_fetch_sub(&f->left, 1) == 1 ? finish_file(w, piece->file, x->fd, e) : 0;
}

static int write_piece(struct write *w, const struct plan_piece *piece, const void *data,
		       struct err *e)
{
	struct writing x = { .w = w, .piece = piece, .fd = -1 };
	int r = finish_piece(&x, data, e);

	util_closep(&x.fd);
	return r;
}

/* ---- one object ---- */

/* The object, or the part of it that is needed where that is less than half. */
static int fetch(struct write *w, const struct plan_object *x, uint8_t *content,
		 const struct source_listener *listener, struct err *e)
{
	uint32_t span = x->end - x->start, from, to;

	if (span < x->ref.plain_bytes / 2)
		return source_fetch_range(w->o->source, x->node, KEY_OBJECT_DATA, &x->ref, x->start,
					  span, content, listener, &from, &to, w->o->cancel, e);
	return source_fetch(w->o->source, x->node, KEY_OBJECT_DATA, &x->ref, content, listener,
			    NULL, w->o->cancel, e);
}

/* An object that is one piece of one file, as those of large files are. */
static int write_alone(struct write *w, const struct plan_object *x, uint8_t *content,
		       struct err *e)
{
	struct writing writing = {
		.w = w, .piece = &w->plan.pieces[x->first_piece], .content = content, .fd = -1
	};
	struct source_listener listener = { write_arrived, &writing };
	int r = fetch(w, x, content, &listener, e);

	if (r == 0)
		r = finish_piece(&writing, content + writing.piece->offset, e);
	util_closep(&writing.fd);
	return r;
}

static int write_object(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct write *w = ctx;
	const struct plan_object *x = &w->plan.objects[i];
	uint8_t *content = NULL;
	int r = 0;

	if (cancel_is_set(w->o->cancel))
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	if (!x->grouped) {
		content = fetchbuf_get(w->buffers, worker);
		if (!content)
			return err_nomem(e);
		if (w->plan.pieces[x->first_piece].next == PLAN_NONE)
			return write_alone(w, x, content, e);
		r = fetch(w, x, content, NULL, e);
	}
	for (uint32_t k = x->first_piece; k != PLAN_NONE && r == 0; k = w->plan.pieces[k].next) {
		const struct plan_piece *piece = &w->plan.pieces[k];
		const void *data = x->grouped ? w->plan.files[piece->file].inline_data
					      : content + piece->offset;

		r = write_piece(w, piece, data, e);
	}
	return r;
}

/* What is planned, to its end. */
static int work_off(struct write *w, struct err *e)
{
	struct err mine = ERR_INIT;
	int r, closed;

	if (w->plan.file_count == 0)
		return 0;
	r = restore_publish_new(w->o, w->t, w->dirs, &w->plan, &w->publish, e);
	if (r < 0)
		return r;
	r = parallel_run("restore", w->workers, w->plan.object_count, write_object, w, e);
	/* After a failure of the store what is finished is kept for the next run. */
	closed = restore_publish_close(w->publish, r != -ECANCELED, &mine);
	if (r == 0 && closed < 0) {
		*e = mine;
		r = closed;
	}
	plan_reset(&w->plan);
	return r;
}

/* ---- the walk ---- */

static int directory(void *ctx, const char *path, const struct attributes *attr, bool empty,
		     struct err *e)
{
	struct write *w = ctx;

	return restore_dirs_add(w->dirs, path, attr, empty, &w->dir, e);
}

/* A file that was there with the same content gets the attributes of the backup too. */
static int touch(struct write *w, const char *path, const struct entry *entry, struct err *e)
{
	struct attributes attr = restore_attr_of_file(&entry->attr);
	size_t root = restore_target_root(w->t, entry->data_dir);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int dir, r = restore_dirs_get(w->dirs, root, w->dir, &dir, e);

	if (r < 0)
		return r;
	fd = openat(dir, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot open %s/%s", restore_target_name(w->t, root),
				 path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFLICT, -EEXIST, "%s/%s was replaced meanwhile",
			       restore_target_name(w->t, root), path);
	if (restore_attr_equal(w->attr, &st, &attr))
		return 0;
	if (st.st_nlink > 1) { /* the other name may lie anywhere, and be anybody's */
		log_write(
			w->o->log, LOG_LEVEL_WARNING, "restore-attributes",
			"%s/%s was there and has other names (hard links): its attributes are left as they are",
			restore_target_name(w->t, root), path);
		return 0;
	}
	r = restore_attr_apply(w->attr, fd, &attr);
	if (r < 0)
		log_write(w->o->log, LOG_LEVEL_WARNING, "restore-attributes",
			  "%s/%s was there; its attributes cannot be set: %s",
			  restore_target_name(w->t, root), path, strerrordesc_np(-r));
	return 0;
}

static int file(void *ctx, const char *path, const struct entry *entry, uint64_t ordinal,
		struct err *e)
{
	struct write *w = ctx;
	struct plan_file *f;
	int r;

	if (restore_check_kept(w->k, ordinal))
		return touch(w, path, entry, e);
	if (plan_memory(&w->plan) > w->o->memory_bytes / PLAN_SHARE) {
		r = work_off(w, e);
		if (r < 0)
			return r;
	}
	r = plan_add(&w->plan, &w->o->record->where, path, entry, e);
	if (r < 0)
		return r;
	f = &w->plan.files[w->plan.file_count - 1];
	f->tag = w->dir;
	f->ordinal = ordinal;
	return 0;
}

int restore_write_run(const struct restore_options *o, const struct restore_attr *a,
		      const struct restore_target *t, struct restore_dirs *dirs,
		      const struct restore_check *k, struct restore_result *result, struct err *e)
{
	struct write w = { .o = o, .attr = a, .t = t, .dirs = dirs, .k = k };
	struct restore_walk walk = { .directory = directory, .file = file, .ctx = &w };
	int r;

	plan_init(&w.plan);
	w.workers =
		fetchbuf_threads(o->memory_bytes - o->memory_bytes / PLAN_SHARE, o->connections);
	w.buffers = fetchbuf_new(w.workers);
	r = w.buffers ? restore_walk_run(o, &walk, e) : err_nomem(e);
	if (r == 0)
		r = work_off(&w, e);
	fetchbuf_free(w.buffers);
	plan_deinit(&w.plan);
	result->files_written = w.files;
	result->bytes_written = w.bytes;
	return r;
}
