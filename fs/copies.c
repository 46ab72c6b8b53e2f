/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/copies.h"

#include <string.h>

#define MOST_COPIES 16

struct copies {
	struct fs *fs;
	struct view_node *node;
	uint64_t ino, size_bytes;
	atomic_uint current;  /* the copy that was right last */
	pthread_mutex_t lock; /* what follows; a stream stays until the end */
	unsigned count;
	struct stream *streams[MOST_COPIES];
	bool told[MOST_COPIES];
};

int copies_open(struct fs *f, struct view_node *n, uint64_t ino, const struct entry *entry,
		struct copies **ret, struct err *e)
{
	struct copies *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_nomem(e);
	*c = (struct copies){
		.fs = f, .node = n, .ino = ino, .size_bytes = entry->size_bytes, .count = 1
	};
	pthread_mutex_init(&c->lock, NULL);
	r = stream_open(f->o.reader, view_node_name(n), entry->size_bytes, entry->extents,
			entry->extent_count, &c->streams[0], e);
	if (r < 0) {
		copies_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

void copies_close(struct copies *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->count; i++)
		stream_close(c->streams[i]);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

struct stream *copies_first(struct copies *c)
{
	return c->streams[0];
}

/* ---- one copy ---- */

/* Where one stream_read does not give everything, the pieces are put together: a short answer would mean the end of the file. */
static int gather(struct stream *s, uint64_t offset, size_t len, struct view_wait w,
		  struct fs_read *ret, struct err *e)
{
	_cleanup_free_ char *copy = malloc(len);
	size_t done = 0;

	if (!copy)
		return err_nomem(e);
	while (done < len) {
		struct stream_read piece;
		int r = stream_read(s, offset + done, len - done, w.wait, &piece, w.cancel, e);

		if (r != 0)
			return r;
		if (piece.len_bytes == 0)
			return err_set(e, ERR_IO, -EIO, "a read made no progress");
		for (int i = 0; i < piece.iov_count; i++) {
			memcpy(copy + done, piece.iov[i].iov_base, piece.iov[i].iov_len);
			done += piece.iov[i].iov_len;
		}
		stream_release(s, &piece);
	}
	ret->one = (struct iovec){ copy, len };
	ret->copy = steal_pointer(&copy);
	ret->iov = &ret->one;
	ret->iov_count = 1;
	ret->len_bytes = len;
	return 0;
}

static int read_one(struct stream *s, uint64_t offset, size_t len_bytes, struct view_wait w,
		    struct fs_read *ret, struct err *e)
{
	int r = stream_read(s, offset, len_bytes, w.wait, &ret->stream, w.cancel, e);

	if (r != 0)
		return r;
	if (ret->stream.len_bytes == len_bytes) {
		ret->from = s;
		ret->iov = ret->stream.iov;
		ret->iov_count = ret->stream.iov_count;
		ret->len_bytes = len_bytes;
		return 0;
	}
	stream_release(s, &ret->stream);
	return gather(s, offset, len_bytes, w, ret, e);
}

/* ---- the others ---- */

struct attempt {
	struct copies *c;
	uint64_t offset;
	size_t len_bytes;
	struct view_wait w;
	struct fs_read *ret;
	struct err error; /* of the last one */
	int r;
};

/* Not what a store that cannot be reached answers: that is the same for all copies. */
static bool is_damage(int r, const struct err *e)
{
	return (r == -EBADMSG || r == -ENOENT) && e->kind == ERR_CORRUPT;
}

/* Whether that is the end: it was read, or failed in a way that no other copy helps against. */
static bool try_copy(struct attempt *a, unsigned i, struct stream *s)
{
	a->error = (struct err)ERR_INIT;
	a->r = read_one(s, a->offset, a->len_bytes, a->w, a->ret, &a->error);
	if (a->r == 0)
		atomic_store(&a->c->current, i);
	return !is_damage(a->r, &a->error);
}

/* A stream over the entry, where no copy has the same extents yet; else NULL. */
static struct stream *add_copy(struct copies *c, const struct entry *entry, unsigned *ret_i)
{
	struct stream *s = NULL;
	bool is_new;

	pthread_mutex_lock(&c->lock);
	is_new = c->count < MOST_COPIES;
	for (unsigned i = 0; i < c->count && is_new; i++)
		is_new = !stream_is_over(c->streams[i], entry->extents, entry->extent_count);
	if (is_new && stream_open(c->fs->o.reader, view_node_name(c->node), c->size_bytes,
				  entry->extents, entry->extent_count, &s, NULL) == 0) {
		*ret_i = c->count;
		c->streams[c->count++] = s;
	}
	pthread_mutex_unlock(&c->lock);
	return s;
}

/* As index_run_fn. What cannot be read of another run is no reason to stop. */
static int try_run(void *ctx, const struct place *place, uint32_t entry)
{
	struct attempt *a = ctx;
	struct copies *c = a->c;
	struct stream *s = NULL;
	struct cached *run;
	unsigned i = 0;

	if (cancel_is_set(a->w.cancel)) {
		a->r = err_set(&a->error, ERR_IO, -ECANCELED, "the read was given up");
		return 1;
	}
	if (treecache_run(c->fs->o.trees, view_node_name(c->node), place, true, &run, a->w.cancel,
			  NULL) != 0)
		return 0;
	if (entry < run->run->entry_count && !run->run->entries[entry].inline_data)
		s = add_copy(c, &run->run->entries[entry], &i);
	treecache_unref(c->fs->o.trees, run);
	return s && try_copy(a, i, s);
}

/* Whether any other copy, known or not, ended it. */
static bool try_others(struct attempt *a, unsigned but)
{
	struct copies *c = a->c;
	struct stream *known[MOST_COPIES];
	unsigned count;

	pthread_mutex_lock(&c->lock);
	count = c->count;
	memcpy(known, c->streams, sizeof(known));
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < count; i++)
		if (i != but && try_copy(a, i, known[i]))
			return true;
	view_node_wait_indexed(c->node, a->w, NULL); /* else only what is counted by now */
	return index_runs(c->fs->o.index, view_node_number(c->node), c->ino, try_run, a, NULL) > 0;
}

static void tell(struct copies *c, unsigned i, const struct err *e)
{
	const struct node_name *n = view_node_name(c->node);
	char text[2048];
	bool told;

	pthread_mutex_lock(&c->lock);
	told = c->told[i];
	c->told[i] = true;
	pthread_mutex_unlock(&c->lock);
	if (!told)
		log_write(c->fs->o.log, LOG_LEVEL_ERROR, "copy",
			  "inode %llu is read from another copy (run sstablefs verify --cluster %s "
			  "--node %s): %s",
			  (unsigned long long)c->ino, n->cluster, n->node,
			  err_describe(e, text, sizeof(text)));
}

int copies_read(struct copies *c, uint64_t offset, size_t len_bytes, struct view_wait w,
		struct fs_read *ret, struct err *e)
{
	struct attempt a = { c, offset, len_bytes, w, ret, ERR_INIT, 0 };
	unsigned first = atomic_load(&c->current);
	struct err damage;
	struct stream *s;
	int r;

	pthread_mutex_lock(&c->lock);
	s = c->streams[first];
	pthread_mutex_unlock(&c->lock);
	if (!try_copy(&a, first, s)) {
		if (!w.wait)
			return FS_WOULD_BLOCK;
		damage = a.error;
		r = a.r;
		if (!try_others(&a, first)) { /* what it was opened with says most */
			a.error = damage;
			a.r = r;
		} else if (a.r == 0) {
			tell(c, first, &damage);
		}
	}
	if (a.r < 0 && e)
		*e = a.error;
	return a.r;
}
