/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "catalog/object.h"
#include "catalog/parallel.h"
#include "catalog/restore_walk.h"

#define BATCH 1024	 /* files compared at a time */
#define BLOCK_BYTES 4096 /* what a file takes of a disk is a multiple of this */

/* A file that is there with the right size: its content decides. */
struct candidate {
	uint64_t ordinal, size_bytes;
	struct id256 content;
	size_t root;
	char *path;
	bool same;
};

struct check {
	const struct restore_options *o;
	const struct restore_target *t;
	struct restore_check *k;
	struct candidate candidates[BATCH];
	size_t count;
	uint8_t **buffers;	 /* one of FORMAT_FRAME_BYTES for each of o->jobs */
	bool *data_dirs;	 /* seen */
	uint64_t first_conflict; /* ordinal */
	/* the directory that was looked into last */
	int dir_fd; /* -1: is not there */
	size_t dir_root, dir_len;
	char *dir; /* NULL: none yet */
};

void restore_check_deinit(struct restore_check *k)
{
	free(k->first_conflict);
	free(k->kept);
	free(k->need_bytes);
	free(k->use);
}

static size_t dir_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* ---- outcomes ---- */

static int conflict(struct check *c, size_t root, const char *path, uint64_t ordinal, struct err *e)
{
	const char *name = restore_target_name(c->t, root);
	char *full;

	log_write(c->o->log, LOG_LEVEL_WARNING, "restore-conflict",
		  "%s/%s is there with other content", name, path);
	if (c->k->conflicts++ > 0 && ordinal > c->first_conflict)
		return 0;
	full = util_printf("%s/%s", name, path);
	if (!full)
		return err_nomem(e);
	free(c->k->first_conflict);
	c->k->first_conflict = full;
	c->first_conflict = ordinal;
	return 0;
}

static void needed(struct check *c, size_t root, uint64_t size_bytes)
{
	c->k->need_bytes[root] += (size_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

static int kept(struct check *c, const struct candidate *f, struct err *e)
{
	struct restore_check *k = c->k;
	size_t before = k->kept_cap;

	if (util_grow(&k->kept, &k->kept_cap, f->ordinal / 8 + 1, 1) < 0)
		return err_nomem(e);
	memset(k->kept + before, 0, k->kept_cap - before);
	k->kept[f->ordinal / 8] |= (uint8_t)(1u << (f->ordinal % 8));
	k->kept_files++;
	k->kept_bytes += f->size_bytes;
	return 0;
}

/* ---- content ---- */

static int hash_file(struct check *c, const struct candidate *f, int fd, uint8_t *buffer,
		     struct id256 *ret, struct err *e)
{
	_cleanup_(content_hasher_freep) struct content_hasher *h =
		content_hasher_new(f->size_bytes);

	if (!h)
		return err_nomem(e);
	for (uint64_t done = 0; done < f->size_bytes;) {
		size_t len = MIN_OF(f->size_bytes - done, FORMAT_FRAME_BYTES);
		ssize_t n = io_pread_full(fd, buffer, len, done);
		struct id256 frame;

		if (cancel_is_set(c->o->cancel))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		if (n < 0)
			return err_errno(e, (int)n, "cannot read %s/%s",
					 restore_target_name(c->t, f->root), f->path);
		frame = digest_sha256(buffer, (size_t)n); /* shorter than it was: will not fit */
		content_hasher_frame(h, &frame);
		done += len;
	}
	*ret = content_hasher_final(h);
	return 0;
}

static int compare(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct check *c = ctx;
	struct candidate *f = &c->candidates[i];
	_cleanup_close_ int dir = -1, fd = -1;
	struct id256 actual;
	int r;

	if (!c->buffers[worker]) {
		c->buffers[worker] = malloc(FORMAT_FRAME_BYTES);
		if (!c->buffers[worker])
			return err_nomem(e);
	}
	r = restore_target_open(c->t, f->root, f->path, dir_length(f->path), &dir, e);
	if (r == -ENOENT)
		return 0; /* gone: will be written */
	if (r < 0)
		return r;
	/* It was a regular file; by now it may be a FIFO, on which an open would wait for ever. */
	fd = openat(dir, base_name(f->path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, -errno, "cannot read %s/%s, which is there already",
				 restore_target_name(c->t, f->root), f->path);
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	r = hash_file(c, f, fd, c->buffers[worker], &actual, e);
	if (r < 0)
		return r;
	f->same = memcmp(&actual, &f->content, sizeof(actual)) == 0;
	return 0;
}

static int compare_candidates(struct check *c, struct err *e)
{
	int r = parallel_run("compare", c->o->jobs, c->count, compare, c, e);

	for (size_t i = 0; i < c->count; i++) {
		struct candidate *f = &c->candidates[i];

		if (r == 0 && f->same) {
			r = kept(c, f, e);
			if (r == 0 && c->o->progress) {
				c->o->progress->files_done++;
				c->o->progress->bytes_done += f->size_bytes;
			}
		} else if (r == 0) {
			needed(c, f->root, f->size_bytes);
			r = conflict(c, f->root, f->path, f->ordinal, e);
		}
		free(f->path);
	}
	c->count = 0;
	return r;
}

/* ---- the walk ---- */

static int enter_directory(struct check *c, size_t root, const char *path, struct err *e)
{
	size_t len = dir_length(path);
	int r;

	if (c->dir && c->dir_root == root && c->dir_len == len && memcmp(c->dir, path, len) == 0)
		return 0;
	if (c->dir_fd >= 0)
		close(steal_fd(&c->dir_fd));
	free(c->dir);
	c->dir = strndup(path, len);
	if (!c->dir)
		return err_nomem(e);
	c->dir_root = root;
	c->dir_len = len;
	r = restore_target_open(c->t, root, path, len, &c->dir_fd, e);
	return r == -ENOENT ? 0 : r;
}

static int add_candidate(struct check *c, size_t root, const char *path, const struct entry *entry,
			 uint64_t ordinal, struct err *e)
{
	struct candidate *f = &c->candidates[c->count];

	*f = (struct candidate){ .ordinal = ordinal,
				 .size_bytes = entry->size_bytes,
				 .content = entry->content,
				 .root = root,
				 .path = strdup(path) };
	if (!f->path)
		return err_nomem(e);
	return ++c->count == BATCH ? compare_candidates(c, e) : 0;
}

static int look(struct check *c, size_t root, const char *path, const struct entry *entry,
		uint64_t ordinal, struct err *e)
{
	struct stat st;
	int r = enter_directory(c, root, path, e);

	if (r < 0)
		return r;
	if (c->dir_fd < 0 || fstatat(c->dir_fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (c->dir_fd >= 0 && errno != ENOENT)
			return err_errno(e, -errno, "cannot look at %s/%s",
					 restore_target_name(c->t, root), path);
		needed(c, root, entry->size_bytes);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_CONFLICT, -EEXIST,
			       "%s/%s is in the way: it is no regular file; nothing was changed",
			       restore_target_name(c->t, root), path);
	if ((uint64_t)st.st_size == entry->size_bytes)
		return add_candidate(c, root, path, entry, ordinal, e);
	needed(c, root, entry->size_bytes);
	return conflict(c, root, path, ordinal, e);
}

static int directory(void *ctx, const char *path, const struct attributes *attr, bool empty,
		     struct err *e)
{
	struct check *c = ctx;

	if (empty)
		c->k->use[restore_target_root(c->t, 0)] = true;
	return 0;
}

static int file(void *ctx, const char *path, const struct entry *entry, uint64_t ordinal,
		struct err *e)
{
	struct check *c = ctx;
	size_t root = restore_target_root(c->t, entry->data_dir);

	c->k->file_count++;
	c->k->total_bytes += entry->size_bytes;
	c->k->use[root] = true;
	if (entry->data_dir < FORMAT_DATA_DIRS)
		c->data_dirs[entry->data_dir] = true;
	if (c->o->progress) {
		c->o->progress->files_total++;
		c->o->progress->bytes_total += entry->size_bytes;
	}
	return look(c, root, path, entry, ordinal, e);
}

static int check_maps(const struct check *c, struct err *e)
{
	bool any = c->o->maps_may_be_unused || c->o->only_count > 0;

	for (size_t i = 0; i < c->o->map_count && !any; i++)
		if (!c->data_dirs[c->o->maps[i].data_dir] && c->o->maps[i].data_dir != 0)
			return err_set(e, ERR_NOT_FOUND, -ENOENT,
				       "backup %s has no files of a data directory %u",
				       c->o->record->backup, c->o->maps[i].data_dir);
	return 0;
}

static int report(const struct restore_options *o, const struct restore_check *k, struct err *e)
{
	static const char advice[] =
		"nothing was changed; restore into another directory, or use --overwrite";

	if (k->conflicts == 0 || o->overwrite)
		return 0;
	if (k->conflicts == 1)
		return err_set(e, ERR_CONFLICT, -EEXIST, "%s is there with other content; %s",
			       k->first_conflict, advice);
	return err_set(e, ERR_CONFLICT, -EEXIST,
		       "%llu files are there with other content, the first is %s; %s",
		       (unsigned long long)k->conflicts, k->first_conflict, advice);
}

static void check_deinit(struct check *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->candidates[i].path);
	for (unsigned i = 0; i < c->o->jobs && c->buffers; i++)
		free(c->buffers[i]);
	free(c->buffers);
	free(c->data_dirs);
	if (c->dir_fd >= 0)
		close(c->dir_fd);
	free(c->dir);
	free(c);
}

static void check_deinitp(struct check **c)
{
	if (*c)
		check_deinit(*c);
}

int restore_check_run(const struct restore_options *o, const struct restore_target *t,
		      struct restore_check *k, struct err *e)
{
	_cleanup_(check_deinitp) struct check *c = calloc(1, sizeof(*c));
	struct restore_walk walk = { .directory = directory, .file = file, .ctx = c };
	int r;

	if (!c)
		return err_nomem(e);
	c->o = o;
	c->t = t;
	c->k = k;
	c->dir_fd = -1;
	c->buffers = calloc(o->jobs, sizeof(*c->buffers));
	c->data_dirs = calloc(FORMAT_DATA_DIRS, sizeof(*c->data_dirs));
	k->need_bytes = calloc(restore_target_roots(t), sizeof(*k->need_bytes));
	k->use = calloc(restore_target_roots(t), sizeof(*k->use));
	if (!c->buffers || !c->data_dirs || !k->need_bytes || !k->use)
		return err_nomem(e);
	r = restore_walk_run(o, &walk, e);
	if (r == 0)
		r = compare_candidates(c, e);
	if (r == 0)
		r = check_maps(c, e);
	return r < 0 ? r : report(o, k, e);
}
