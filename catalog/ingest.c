/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/ingest.h"

#include <errno.h>
#include <string.h>

#include "base/crc.h"
#include "base/pool.h"
#include "cassandra/component.h"
#include "catalog/buffers.h"

#define READS_AGAIN 3
#define QUEUE_MAX 4096 /* pieces that are begun and not yet taken */

/* A piece on its way. `done` is protected by work->lock; the rest belongs to the hashing thread before it is set, then to the main thread. */
struct item {
	struct ingest *in;
	struct item *next;
	size_t file;
	const struct stamp *expected; /* lives in the file's state or in `stamp` */
	struct stamp stamp;
	uint64_t offset;
	uint32_t len;
	bool own;	      /* becomes an object of its own */
	struct buffer *large; /* own pieces, until they are handed over */
	uint8_t *small;	      /* others */
	struct frame_digest *digests;
	struct object_ref ref; /* own pieces, afterwards */
	bool wants_crc;
	uint32_t crc;
	int result; /* 0 or PIECE_CHANGED */
	bool done;
};

/* The file whose pieces are being taken. */
struct current {
	struct content_hasher *hasher;
	struct content *content; /* NULL: inline */
	uint32_t crc;
	uint32_t taken;
	bool changed;
};

struct ingest {
	struct ingest_options o;
	struct pool *pool;
	struct buffers *buffers;
	struct item *first, **last; /* the queue */
	size_t queued;
	uint64_t small_used;
	size_t next_file; /* the next piece to begin */
	uint64_t next_offset;
	bool wants_buffer; /* it waits for a large buffer, and for nothing else */
	struct current current;
};

static uint32_t piece_count(uint64_t size_bytes)
{
	return (uint32_t)((size_bytes + FORMAT_OBJECT_BYTES - 1) / FORMAT_OBJECT_BYTES);
}

static uint32_t piece_length(uint64_t size_bytes, uint64_t offset)
{
	return (uint32_t)MIN_OF(size_bytes - offset, FORMAT_OBJECT_BYTES);
}

static bool is_last(const struct item *it)
{
	return it->offset + it->len >= it->expected->size_bytes;
}

static void item_free(struct item *it)
{
	if (it->large)
		buffers_give(it->large);
	free(it->small);
	free(it->digests);
	free(it);
}
DEFINE_CLEANUP(struct item *, item_free);

/* ---- hashing threads ---- */

static void on_sent(void *ctx)
{
	buffers_give(ctx);
}

/* The piece as an object: there already, or sent. The buffer is handed over either way. */
static int store_piece(struct item *it, struct err *e)
{
	struct buffer *b = it->large;
	struct object_image image;
	uint32_t offset;
	int r;

	object_builder_reset(b->builder);
	r = object_builder_add(b->builder, b->data, it->len, true, it->digests, &offset, e);
	if (r == 0)
		r = object_builder_finish(b->builder, &image, e);
	if (r < 0)
		return r;
	it->ref = packer_ref(&image, &it->in->o.writer);
	r = known_claim(it->in->o.known, &it->ref);
	if (r < 0)
		return err_nomem(e);
	if (r == KNOWN_THERE)
		return 0;
	r = upload_put(it->in->o.upload, KEY_OBJECT_DATA, &image, on_sent, b, e);
	if (r == 0)
		it->large = NULL;
	return r;
}

static int process(struct item *it, struct err *e)
{
	struct ingest *in = it->in;
	_cleanup_free_ char *path = snapshot_source(&in->o.snapshot->files[it->file]);
	void *data = it->own ? it->large->data : it->small;
	int r = path ? piece_read(path, it->expected, it->offset, data, it->len, it->digests,
				  it->wants_crc ? &it->crc : NULL, &in->o.work->stop, e)
		     : err_nomem(e);

	if (r == 0 && it->own)
		r = store_piece(it, e);
	if (it->large) {
		buffers_give(it->large);
		it->large = NULL;
	}
	if (r == 0 && in->o.progress)
		atomic_fetch_add(&in->o.progress->bytes_done, it->len);
	return r;
}

static void run_item(void *arg)
{
	struct item *it = arg;
	struct work *work = it->in->o.work;
	struct err e = ERR_INIT;
	int r = process(it, &e);

	if (r < 0)
		work_fail(work, r, &e);
	pthread_mutex_lock(&work->lock);
	it->result = r;
	it->done = true;
	work_ring(work);
	pthread_mutex_unlock(&work->lock);
}

/* ---- beginning pieces ---- */

static void expect_file(struct ingest *in, struct item *it)
{
	const struct snapshot_file *f = &in->o.snapshot->files[it->file];

	it->stamp = (struct stamp){ .ino = f->ino,
				    .size_bytes = f->size_bytes,
				    .mtime_ns = f->mtime_ns,
				    .mode = f->mode,
				    .uid = f->uid,
				    .gid = f->gid };
	it->expected = &it->stamp;
}

/* A piece with everything but its large buffer. NULL: out of memory. */
static struct item *item_new(struct ingest *in, size_t file, uint64_t offset, uint32_t len)
{
	_cleanup_(item_freep) struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->in = in;
	it->file = file;
	it->offset = offset;
	it->len = len;
	it->own = len >= FORMAT_OWN_OBJECT_BYTES;
	it->wants_crc = component_is(in->o.snapshot->files[file].name, "Data.db");
	it->digests = calloc(len / FORMAT_FRAME_BYTES + 1, sizeof(*it->digests));
	if (!it->own)
		it->small = malloc(len + 1);
	if (!it->digests || (!it->own && !it->small))
		return NULL;
	return steal_pointer(&it);
}

static uint64_t small_cost(const struct item *it)
{
	return it->own ? 0 : it->len;
}

/* Whether the next piece may begin: takes its buffer where it is a large one. */
static bool may_begin(struct ingest *in, uint32_t len, struct buffer **ret)
{
	*ret = NULL;
	in->wants_buffer = false;
	if (in->queued >= QUEUE_MAX)
		return false;
	if (len >= FORMAT_OWN_OBJECT_BYTES) {
		*ret = buffers_try(in->buffers);
		in->wants_buffer = *ret == NULL;
		return *ret != NULL;
	}
	return in->small_used == 0 || in->small_used + len <= in->o.small_bytes;
}

static void enqueue(struct ingest *in, struct item *it)
{
	*in->last = it;
	in->last = &it->next;
	in->queued++;
	in->small_used += small_cost(it);
}

static struct item *dequeue(struct ingest *in)
{
	struct item *it = in->first;

	in->first = it->next;
	if (!in->first)
		in->last = &in->first;
	in->queued--;
	in->small_used -= small_cost(it);
	return it;
}

static int begin(struct ingest *in, struct buffer *large, uint32_t len, struct err *e)
{
	const struct snapshot_file *f = &in->o.snapshot->files[in->next_file];
	struct item *it = item_new(in, in->next_file, in->next_offset, len);
	int r;

	if (!it) {
		if (large)
			buffers_give(large);
		return err_nomem(e);
	}
	it->large = large;
	expect_file(in, it);
	r = pool_submit(in->pool, run_item, it);
	if (r < 0) {
		item_free(it);
		return err_errno(e, r, "cannot start a thread that reads");
	}
	enqueue(in, it);
	in->next_offset += len;
	if (in->next_offset >= f->size_bytes) {
		in->next_file++;
		in->next_offset = 0;
	}
	return 0;
}

/* Begins pieces as long as there is room. */
static int begin_all(struct ingest *in, struct err *e)
{
	const struct snapshot *s = in->o.snapshot;
	int r = 0;

	while (r == 0 && in->next_file < s->file_count) {
		uint32_t len = piece_length(s->files[in->next_file].size_bytes, in->next_offset);
		struct buffer *large;

		if (!may_begin(in, len, &large))
			break;
		r = begin(in, large, len, e);
	}
	return r;
}

/* ---- taking pieces ---- */

static void current_reset(struct current *c)
{
	content_hasher_free(c->hasher);
	content_unref(c->content);
	*c = (struct current){ 0 };
}

static int current_begin(struct current *c, const struct stamp *s, struct err *e)
{
	current_reset(c);
	if (s->size_bytes > FORMAT_FILE_BYTES)
		return err_set(e, ERR_IO, -EFBIG, "a file is larger than 1.5 TiB");
	c->hasher = content_hasher_new(s->size_bytes);
	if (s->size_bytes > FORMAT_INLINE_BYTES)
		c->content = content_new(s->size_bytes, piece_count(s->size_bytes));
	return c->hasher && (c->content || s->size_bytes <= FORMAT_INLINE_BYTES) ? 0 : err_nomem(e);
}

static void current_take(struct current *c, const struct item *it)
{
	size_t frames = (it->len + FORMAT_FRAME_BYTES - 1) / FORMAT_FRAME_BYTES;

	for (size_t i = 0; i < frames; i++)
		content_hasher_frame(c->hasher, &it->digests[i].sha256);
	if (it->own)
		c->content->extents[c->taken] =
			(struct extent){ .object = it->ref, .len_bytes = it->len };
	if (it->wants_crc)
		c->crc = crc_join(c->crc, it->crc, it->len);
	c->taken++;
}

/* The whole content is known: what it is made of stays as it was. Else its tail, if it has one, is packed. */
static int settle_content(struct ingest *in, struct current *c, const struct item *tail,
			  struct err *e)
{
	struct content *known = known_find(in->o.known, &c->content->id);
	int r = 0;

	if (known) {
		content_unref(c->content);
		c->content = content_ref(known);
		return 0;
	}
	if (!tail->own)
		r = packer_add(in->o.packer, tail->small, tail->len, tail->digests,
			       &c->content->extents[c->taken - 1], e);
	if (r == 0 && known_add(in->o.known, c->content) < 0)
		r = err_nomem(e);
	return r;
}

/* All pieces were taken; `last` is the last one. */
static int finish_file(struct ingest *in, struct current *c, const struct item *last, struct err *e)
{
	struct ingest_file file = { .stamp = *last->expected,
				    .id = content_hasher_final(c->hasher),
				    .crc = c->crc,
				    .inline_data = last->small };
	int r = 0;

	if (c->content) {
		c->content->id = file.id;
		r = settle_content(in, c, last, e);
		file.inline_data = NULL;
		file.content = c->content;
	}
	if (r == 0)
		r = in->o.file(in->o.ctx, last->file, &file, e);
	if (r == 0 && in->o.progress)
		atomic_fetch_add(&in->o.progress->files_done, 1);
	current_reset(c);
	return r;
}

/* ---- files that changed ---- */

/* One piece, read by this thread. 0, PIECE_CHANGED, < 0; *ret also in the second case. */
static int read_now(struct ingest *in, size_t file, const struct stamp *s, uint64_t offset,
		    struct item **ret, struct err *e)
{
	_cleanup_(item_freep) struct item *it =
		item_new(in, file, offset, piece_length(s->size_bytes, offset));
	int r;

	if (!it)
		return err_nomem(e);
	it->expected = s;
	if (it->own) {
		it->large = buffers_take(in->buffers);
		if (!it->large)
			return work_failed(in->o.work, e);
	}
	r = process(it, e);
	if (r >= 0)
		*ret = steal_pointer(&it);
	return r;
}

/* The file from its start to its end. 0, PIECE_CHANGED, < 0. */
static int read_file_now(struct ingest *in, size_t file, const struct stamp *s, struct err *e)
{
	struct current c = { 0 };
	uint64_t offset = 0;
	int r = current_begin(&c, s, e);

	do {
		_cleanup_(item_freep) struct item *it = NULL;

		if (r == 0)
			r = read_now(in, file, s, offset, &it, e);
		if (r != 0)
			break;
		current_take(&c, it);
		offset += it->len;
		if (is_last(it))
			r = finish_file(in, &c, it, e);
	} while (r == 0 && offset < s->size_bytes);
	current_reset(&c);
	return r;
}

/* The file is not what it was when it was found: take it as it is now, if it only stays so for as long as it takes to read it. */
static int read_again(struct ingest *in, size_t file, struct err *e)
{
	_cleanup_free_ char *path = snapshot_source(&in->o.snapshot->files[file]);
	int r = PIECE_CHANGED;

	if (!path)
		return err_nomem(e);
	for (int i = 0; i < READS_AGAIN && r == PIECE_CHANGED; i++) {
		struct stamp now;

		r = piece_stamp(path, &now, e);
		if (r == 0)
			r = read_file_now(in, file, &now, e);
	}
	if (r == PIECE_CHANGED) {
		r = err_set(e, ERR_IO, -EBUSY, "%s changes again and again while it is read", path);
		err_key(e, path);
	}
	return r;
}

/* ---- the main thread ---- */

/* Takes the first piece of the queue, which is done. */
static int take(struct ingest *in, struct err *e)
{
	_cleanup_(item_freep) struct item *it = dequeue(in);
	struct current *c = &in->current;
	int r = 0;

	if (it->result < 0)
		return work_failed(in->o.work, e);
	if (it->offset == 0)
		r = current_begin(c, it->expected, e);
	if (r < 0)
		return r;
	if (it->result == PIECE_CHANGED)
		c->changed = true;
	if (!c->changed)
		current_take(c, it);
	if (!is_last(it))
		return 0;
	if (!c->changed)
		return finish_file(in, c, it, e);
	current_reset(c);
	return read_again(in, it->file, e);
}

/* Waits until the first piece is done (> 0), or the next one can be begun. */
static int wait_for_work(struct ingest *in, struct err *e)
{
	struct work *work = in->o.work;
	bool done = false, room = false;
	int code;

	pthread_mutex_lock(&work->lock);
	while (!done && !room && work->code == 0) {
		done = in->first && in->first->done;
		room = in->wants_buffer && buffers_any_free(in->buffers);
		if (!done && !room)
			work_wait(work);
	}
	code = work->code;
	pthread_mutex_unlock(&work->lock);
	return code < 0 ? work_failed(work, e) : done;
}

static int main_loop(struct ingest *in, struct err *e)
{
	int r = 0;

	while (r == 0 && (in->first || in->next_file < in->o.snapshot->file_count)) {
		r = begin_all(in, e);
		if (r == 0)
			r = wait_for_work(in, e);
		if (r > 0)
			r = take(in, e);
	}
	return r;
}

int ingest_run(const struct ingest_options *o, struct err *e)
{
	struct ingest in = { .o = *o };
	struct err mine = ERR_INIT;
	int r;

	in.last = &in.first;
	in.pool = pool_new("hash", o->jobs);
	in.buffers = buffers_new(o->work, o->large_buffers, o->compression);
	r = in.pool && in.buffers ? main_loop(&in, &mine) : err_nomem(&mine);
	if (r < 0)
		work_fail(o->work, r, &mine);
	pool_free(in.pool);
	upload_drain(o->upload); /* it sends from our buffers */
	while (in.first)
		item_free(dequeue(&in));
	current_reset(&in.current);
	buffers_free(in.buffers);
	return work_failed(o->work, e);
}
