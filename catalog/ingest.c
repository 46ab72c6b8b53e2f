/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/ingest_private.h"

#include <errno.h>
#include <string.h>

#include "base/crc.h"
#include "catalog/decay.h"
#include "catalog/hints.h"

#define READS_AGAIN 3
#define QUEUE_MAX 4096 /* pieces that are begun and not yet taken */
/* Pieces that the main thread sleeps through where the queue is long: to wake for each costs more than a small piece does. */
#define BATCH_MAX 64

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
	r = pool_submit(in->pool, item_run, it);
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

/* ---- files that need not be read ---- */

/* Whether what the hint says is there: in the store, as a committed backup or this one has it, or in the hint itself. */
static bool is_there(const struct ingest *in, const struct hint *hint)
{
	struct content *known;
	struct id256 id;

	if (hint->size_bytes > FORMAT_INLINE_BYTES) {
		known = known_find(in->o.known, &hint->id);
		return known && !decay_declines(in->o.decay, known, hint->size_bytes);
	}
	id = content_id(hint->inline_data, hint->size_bytes);
	return memcmp(&id, &hint->id, sizeof(id)) == 0;
}

/* A piece that was never begun and is done. NULL: out of memory. */
static struct item *item_of_hint(struct ingest *in, const struct hint *hint)
{
	_cleanup_(item_freep) struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->in = in;
	it->file = in->next_file;
	it->hinted = it->done = true;
	it->id = hint->id;
	it->crc = hint->crc;
	expect_file(in, it);
	if (hint->size_bytes > FORMAT_INLINE_BYTES) {
		it->content = content_ref(known_find(in->o.known, &hint->id));
		return steal_pointer(&it);
	}
	it->len = (uint32_t)hint->size_bytes;
	it->small = malloc(it->len + 1);
	if (!it->small)
		return NULL;
	memcpy(it->small, hint->inline_data, it->len);
	return steal_pointer(&it);
}

/* The next file by its hint: > 0 where it has one that can be used. */
static int begin_by_hint(struct ingest *in, struct err *e)
{
	struct hint hint;
	struct item *it;

	if (in->next_offset > 0 || in->queued >= QUEUE_MAX ||
	    !hints_find(in->o.hints, &in->o.snapshot->files[in->next_file], &hint) ||
	    !is_there(in, &hint))
		return 0;
	it = item_of_hint(in, &hint);
	if (!it)
		return err_nomem(e);
	enqueue(in, it);
	in->next_file++;
	return 1;
}

/* The next piece, to be read: > 0 where there is no room for it. */
static int begin_piece(struct ingest *in, struct err *e)
{
	const struct snapshot_file *f = &in->o.snapshot->files[in->next_file];
	uint32_t len = piece_length(f->size_bytes, in->next_offset);
	struct buffer *large;

	return may_begin(in, len, &large) ? begin(in, large, len, e) : 1;
}

/* Begins what there is room for. */
static int begin_all(struct ingest *in, struct err *e)
{
	int r = 0;

	while (r == 0 && in->next_file < in->o.snapshot->file_count) {
		r = begin_by_hint(in, e);
		if (r == 0)
			r = begin_piece(in, e);
		else if (r > 0)
			r = 0;
	}
	return MIN_OF(r, 0);
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

/*
 * Content that is known stays as it was, or its tail is packed anew, for all files that have it. Else its tail, if it has one, is packed.
 */
static int settle_content(struct ingest *in, struct current *c, const struct item *tail,
			  struct err *e)
{
	struct content *known = known_find(in->o.known, &c->content->id);
	bool moves = known && decay_declines(in->o.decay, known, tail->len);
	int r = 0;

	if (known) {
		content_unref(c->content);
		c->content = content_ref(known);
		known->fate = CONTENT_STAYS;
	}
	if (known && !moves)
		return 0;
	if (!tail->own)
		r = packer_add(moves ? in->o.survivors : in->o.packer, tail->small, tail->len,
			       tail->digests, &c->content->extents[c->content->extent_count - 1],
			       e);
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

/* A file that was not read. */
static int finish_by_hint(struct ingest *in, const struct item *it, struct err *e)
{
	struct ingest_file file = { .stamp = it->stamp,
				    .id = it->id,
				    .crc = it->crc,
				    .inline_data = it->small,
				    .content = it->content };
	int r = in->o.file(in->o.ctx, it->file, &file, e);

	if (r == 0 && in->o.progress) {
		atomic_fetch_add(&in->o.progress->bytes_done, it->stamp.size_bytes);
		atomic_fetch_add(&in->o.progress->files_done, 1);
	}
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
	r = item_process(it, e);
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

	if (it->hinted)
		return finish_by_hint(in, it, e);
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

/*
 * With work->lock, where the first piece is not done: has one of those behind it ring that is not done either. At most a quarter of the queue is
 * slept through, so that the hashing threads do not run dry.
 */
static void ask_to_ring(struct ingest *in)
{
	size_t most = MIN_OF(in->queued / 4, BATCH_MAX);
	struct item *last = in->first;

	for (struct item *it = in->first; it && most > 0; it = it->next, most--)
		if (!it->done)
			last = it;
	if (last)
		last->rings = true;
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
		if (!done && !room) {
			ask_to_ring(in);
			work_wait(work);
		}
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
