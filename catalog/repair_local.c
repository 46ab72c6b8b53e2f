/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/repair_local.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "cassandra/walkdir.h"
#include "catalog/seen.h"

#define DEPTH_MAX 32
#define PIECE_FRAMES (FORMAT_OBJECT_BYTES / FORMAT_FRAME_BYTES)

struct wanted { /* sorted by (size, content) */
	uint64_t size_bytes;
	struct id256 content;
	char *path; /* NULL: not found yet */
	struct stamp stamp;
};

struct repair_local {
	struct wanted *wanted;
	size_t count;
};

struct scan {
	struct repair_local *l;
	const struct cancel *c;
	void *buffer;
	struct seen files; /* (device, inode): hard links are read once */
	unsigned depth;
};

static int compare(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->size_bytes != y->size_bytes)
		return x->size_bytes < y->size_bytes ? -1 : 1;
	return memcmp(&x->content, &y->content, sizeof(x->content));
}

static struct wanted *find(const struct repair_local *l, uint64_t size, const struct id256 *content)
{
	const struct wanted key = { .size_bytes = size, .content = *content };

	return l->count ? bsearch(&key, l->wanted, l->count, sizeof(key), compare) : NULL;
}

/* Whether a file of that size is still looked for. */
static bool is_wanted(const struct repair_local *l, uint64_t size)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (l->wanted[middle].size_bytes < size)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < l->count && l->wanted[low].size_bytes == size; low++)
		if (!l->wanted[low].path)
			return true;
	return false;
}

/* ---- one file ---- */

static int content_of(const struct scan *s, const char *path, const struct stamp *stamp,
		      struct id256 *ret, struct err *e)
{
	_cleanup_(content_hasher_freep) struct content_hasher *h =
		content_hasher_new(stamp->size_bytes);
	struct frame_digest digests[PIECE_FRAMES];
	int r = h ? 0 : err_nomem(e);

	for (uint64_t at = 0; r == 0 && at < stamp->size_bytes; at += FORMAT_OBJECT_BYTES) {
		size_t len = (size_t)MIN_OF(stamp->size_bytes - at, FORMAT_OBJECT_BYTES);

		r = piece_read(path, stamp, at, s->buffer, len, digests, NULL, s->c, e);
		for (size_t i = 0; r == 0 && i * FORMAT_FRAME_BYTES < len; i++)
			content_hasher_frame(h, &digests[i].sha256);
	}
	if (r == 0)
		*ret = content_hasher_final(h);
	return r;
}

static int on_file(struct scan *s, const char *path, struct err *e)
{
	struct stamp stamp;
	struct id256 content;
	struct wanted *w;
	int r = piece_stamp(path, &stamp, e);

	if (r == 0)
		r = content_of(s, path, &stamp, &content, e);
	if (r != 0)
		return r == -ECANCELED || r == -ENOMEM ? r : 0;
	w = find(s->l, stamp.size_bytes, &content);
	if (!w || w->path)
		return 0;
	w->path = strdup(path);
	w->stamp = stamp;
	return w->path ? 0 : err_nomem(e);
}

/* ---- directories ---- */

static int on_name(void *ctx, const struct walkdir *at, const char *name, struct err *e);

static int on_directory(struct scan *s, const struct walkdir *at, const char *name,
			const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (s->depth == DEPTH_MAX || walkdir_open(at, name, O_NOFOLLOW, &fd, e) != 0)
		return 0;
	s->depth++;
	r = walkdir_each(&(struct walkdir){ fd, path }, s->c, on_name, s, e);
	s->depth--;
	return r == -ECANCELED || r == -ENOMEM ? r : 0;
}

static int on_name(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s", at->path, name);
	struct scan *s = ctx;
	struct stat st;
	int r;

	if (!path)
		return err_nomem(e);
	if (fstatat(at->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (S_ISDIR(st.st_mode))
		return on_directory(s, at, name, path, e);
	if (!S_ISREG(st.st_mode) || !is_wanted(s->l, (uint64_t)st.st_size))
		return 0;
	r = seen_add(&s->files, (uint64_t[]){ st.st_dev, st.st_ino }, 2 * sizeof(uint64_t));
	if (r < 0)
		return err_nomem(e);
	return r == SEEN_NEW ? on_file(s, path, e) : 0;
}

/* ---- all of it ---- */

static struct repair_local *local_new(const struct plan *p)
{
	_cleanup_(repair_local_freep) struct repair_local *l = calloc(1, sizeof(*l));
	size_t kept = 0;

	if (!l)
		return NULL;
	l->wanted = calloc(p->file_count + 1, sizeof(*l->wanted));
	if (!l->wanted)
		return NULL;
	for (size_t i = 0; i < p->file_count; i++)
		l->wanted[i] = (struct wanted){ .size_bytes = p->files[i].size_bytes,
						.content = p->files[i].content };
	if (p->file_count)
		qsort(l->wanted, p->file_count, sizeof(*l->wanted), compare);
	for (size_t i = 0; i < p->file_count; i++)
		if (kept == 0 || compare(&l->wanted[kept - 1], &l->wanted[i]) != 0)
			l->wanted[kept++] = l->wanted[i];
	l->count = kept;
	return steal_pointer(&l);
}

int repair_local_find(const char *const *dirs, size_t dir_count, const struct plan *p, void *buffer,
		      const struct cancel *c, struct repair_local **ret, struct err *e)
{
	_cleanup_(repair_local_freep) struct repair_local *l = local_new(p);
	struct scan s = { .l = l, .c = c, .buffer = buffer };
	int r = l ? 0 : err_nomem(e);

	for (size_t i = 0; i < dir_count && r == 0; i++) {
		_cleanup_close_ int fd = -1;

		r = walkdir_open_data_dir(dirs[i], &fd, e);
		if (r == 0)
			r = walkdir_each(&(struct walkdir){ fd, dirs[i] }, c, on_name, &s, e);
	}
	seen_deinit(&s.files);
	if (r < 0)
		return r;
	*ret = steal_pointer(&l);
	return 0;
}

void repair_local_free(struct repair_local *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count && l->wanted; i++)
		free(l->wanted[i].path);
	free(l->wanted);
	free(l);
}

int repair_local_read(const struct repair_local *l, const struct plan_file *f, uint64_t offset,
		      void *dst, size_t len_bytes, struct frame_digest *digests,
		      const struct cancel *c, struct err *e)
{
	const struct wanted *w = find(l, f->size_bytes, &f->content);
	int r;

	if (!w || !w->path)
		return REPAIR_NOT_HERE;
	r = piece_read(w->path, &w->stamp, offset, dst, len_bytes, digests, NULL, c, e);
	return r == 0 || r == -ECANCELED || r == -ENOMEM ? r : REPAIR_NOT_HERE;
}
