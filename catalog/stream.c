/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/reader.h"
#include "catalog/reader_state.h"
#include "catalog/window.h"

#define PIN_ATTEMPTS 6
#define NEAR_BYTES (3 * FORMAT_OBJECT_BYTES)

struct stream {
	struct reader *r;
	struct reader_share share;
	uint32_t node;
	uint64_t size_bytes;
	size_t count;
	struct extent *extents;
	uint64_t *starts; /* of the extents, in the file; count + 1 of them */
	pthread_mutex_t lock;
	struct windows windows; /* behind the lock */
};

/* ---- open and close ---- */

static int take_extents(struct stream *s, const struct extent *extents, size_t count, struct err *e)
{
	uint64_t at = 0;

	s->count = count;
	s->extents = malloc(count * sizeof(*extents));
	s->starts = malloc((count + 1) * sizeof(*s->starts));
	if (!s->extents || !s->starts)
		return err_nomem(e);
	for (size_t i = 0; i < count; i++) {
		const struct extent *x = &extents[i];

		if (x->len_bytes == 0 || x->offset > x->object.plain_bytes ||
		    x->len_bytes > x->object.plain_bytes - x->offset)
			return err_set(e, ERR_CORRUPT, -EBADMSG,
				       "an extent of the file is not inside its object");
		s->extents[i] = *x;
		s->starts[i] = at;
		at += x->len_bytes;
	}
	s->starts[count] = at;
	if (at != s->size_bytes || count == 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "the extents of the file do not add up to its size");
	return 0;
}

int stream_open(struct reader *r, const struct node_name *n, uint64_t size_bytes,
		const struct extent *extents, size_t extent_count, struct stream **ret,
		struct err *e)
{
	_cleanup_(stream_closep) struct stream *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return err_nomem(e);
	s->r = r;
	s->size_bytes = size_bytes;
	pthread_mutex_init(&s->lock, NULL);
	if (blockload_node(r->loads, n, &s->node) < 0)
		return err_nomem(e);
	code = take_extents(s, extents, extent_count, e);
	if (code < 0)
		return code;
	*ret = steal_pointer(&s);
	return 0;
}

static bool is_same_place(const struct extent *a, const struct extent *b)
{
	return a->offset == b->offset && a->len_bytes == b->len_bytes &&
	       memcmp(&a->object.writer, &b->object.writer, sizeof(a->object.writer)) == 0 &&
	       memcmp(&a->object.id, &b->object.id, sizeof(a->object.id)) == 0;
}

bool stream_is_over(const struct stream *s, const struct extent *extents, size_t extent_count)
{
	bool same = s->count == extent_count;

	for (size_t i = 0; i < s->count && same; i++)
		same = is_same_place(&s->extents[i], &extents[i]);
	return same;
}

void stream_expected(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	windows_expect(&s->windows, reader_window(s->r));
	pthread_mutex_unlock(&s->lock);
}

/* ---- pieces ---- */

/* The piece that begins at `offset` of the file, of at most len bytes. */
static struct piece piece_at(const struct stream *s, uint64_t offset, uint64_t len)
{
	size_t low = 0, high = s->count - 1; /* the last extent that begins at or before it */

	while (low < high) {
		size_t middle = low + (high - low + 1) / 2;

		if (s->starts[middle] <= offset)
			low = middle;
		else
			high = middle - 1;
	}
	return reader_piece(s->r, s->node, &s->extents[low], (uint32_t)(offset - s->starts[low]),
			    len);
}

/* ---- fetching ahead ---- */

/* Pieces of [from, to) one after the other, until memory does not allow more; returns how far it came. */
static uint64_t fetch(struct stream *s, uint64_t from, uint64_t to, unsigned how)
{
	while (from < to) {
		struct piece p = piece_at(s, from, to - from);

		if (!blocks_prefetch(s->r->blocks, &p.object, p.offset, p.len, how))
			break;
		from += p.len;
	}
	return from;
}

/* What is there of it already, because it was guessed, must not give way to what is fetched before it. */
static void expect(struct stream *s, uint64_t from, uint64_t to)
{
	while (from < to) {
		struct piece p = piece_at(s, from, to - from);

		blocks_expect(s->r->blocks, &p.object, p.offset, p.len);
		from += p.len;
	}
}

/* For what the reader at `offset` comes to soon, files that were fetched on a guess give way. What is farther off can wait: most guesses are right, and they would be fetched twice. */
static uint64_t fetch_ahead(struct stream *s, uint64_t offset, uint64_t from, uint64_t to)
{
	uint64_t soon = offset / FORMAT_OBJECT_BYTES * FORMAT_OBJECT_BYTES + NEAR_BYTES;
	uint64_t near = MAX_OF(from, MIN_OF(soon, to));
	uint64_t came_to = fetch(s, from, near, BLOCKS_PASSING);

	return came_to < near ? came_to : fetch(s, near, to, BLOCKS_PASSING | BLOCKS_SPARING);
}

/* Packs stay: others may read from them. */
static void forget(struct stream *s, uint64_t from, uint64_t to)
{
	while (from < to) {
		struct piece p = piece_at(s, from, to - from);

		if (!p.object.whole)
			blocks_forget(s->r->blocks, &p.object);
		from += p.len;
	}
}

/* How the blocks of a read are to be treated: who reads in order is in passing. */
static unsigned how_to_read(struct stream *s, uint64_t offset, uint64_t len)
{
	bool in_order;

	pthread_mutex_lock(&s->lock);
	in_order = windows_in_order(&s->windows, offset, len, s->size_bytes);
	pthread_mutex_unlock(&s->lock);
	return in_order ? BLOCKS_PASSING : 0;
}

static bool lacks(struct stream *s, uint64_t offset)
{
	struct piece p = piece_at(s, offset, 1);

	return blocks_lack(s->r->blocks, &p.object, p.offset, p.len);
}

/* Notes the read in the file's pattern and fetches what follows from it. `waits`: it may not be in memory. */
static void follow_pattern(struct stream *s, uint64_t offset, uint64_t len, bool waits)
{
	uint64_t limit = reader_window(s->r), came_to;
	struct window_plan plan;

	pthread_mutex_lock(&s->lock);
	plan = windows_note(&s->windows, offset, len, s->size_bytes, limit);
	pthread_mutex_unlock(&s->lock);
	if (plan.is_open)
		reader_share_use(s->r, &s->share);
	/* What was fetched ahead is gone: it failed, or gave way. All of it at once, not in as many requests as there are reads. */
	if (waits && offset < plan.ahead && lacks(s, offset)) {
		plan.from = offset;
		plan.to = plan.ahead;
	}
	/* Nobody waits any more for what was there and is read to its end. */
	if (!waits && offset + len == s->size_bytes)
		plan.from = plan.to;
	forget(s, plan.forget_from, plan.forget_to);
	expect(s, plan.from, plan.to);
	came_to = fetch_ahead(s, offset, plan.from, plan.to);
	if (came_to == plan.to)
		return;
	pthread_mutex_lock(&s->lock);
	windows_retract(&s->windows, plan.index, came_to);
	pthread_mutex_unlock(&s->lock);
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->windows.begun; i++)
		forget(s, s->windows.w[i].next, s->windows.w[i].ahead);
	reader_share_leave(s->r, &s->share);
	pthread_mutex_destroy(&s->lock);
	free(s->extents);
	free(s->starts);
	free(s);
}

/* ---- reading ---- */

void stream_release(struct stream *s, struct stream_read *rd)
{
	for (int i = 0; i < rd->pin_count; i++)
		blocks_unpin(s->r->blocks, &rd->pins[i]);
	rd->pin_count = rd->iov_count = 0;
	rd->len_bytes = 0;
}

static void add_pin(struct stream_read *rd, const struct block_pin *pin, uint32_t len)
{
	rd->pins[rd->pin_count++] = *pin;
	rd->iov[rd->iov_count++] = (struct iovec){ (void *)(uintptr_t)pin->data, len };
	rd->len_bytes += len;
}

/* Pins piece after piece behind what rd has already. 0, STREAM_WOULD_BLOCK (rd has what comes before the one that is missing), or < 0. */
static int pin_present(struct stream *s, uint64_t offset, uint64_t len, unsigned how,
		       struct stream_read *rd, struct err *e)
{
	while (rd->len_bytes < len && rd->pin_count < STREAM_PIECES) {
		struct piece p = piece_at(s, offset + rd->len_bytes, len - rd->len_bytes);
		struct block_pin pin;
		int r;

		r = blocks_get(s->r->blocks, &p.object, p.offset, p.len, how, &pin, NULL, e);
		if (r == BLOCKS_WOULD_BLOCK)
			return STREAM_WOULD_BLOCK;
		if (r < 0)
			return r;
		add_pin(rd, &pin, p.len);
	}
	return 0;
}

/* Waits for the piece that comes after what rd had, with no pin held; keeps it where it is the first. */
static int wait_for_next(struct stream *s, uint64_t offset, uint64_t len, unsigned how,
			 struct stream_read *rd, const struct cancel *c, struct err *e)
{
	uint64_t had = rd->len_bytes;
	struct piece p = piece_at(s, offset + had, len - had);
	struct block_pin pin;
	int r;

	stream_release(s, rd);
	r = blocks_get(s->r->blocks, &p.object, p.offset, p.len, how | BLOCKS_WAIT, &pin, c, e);
	if (r < 0)
		return r;
	if (had == 0)
		add_pin(rd, &pin, p.len);
	else
		blocks_unpin(s->r->blocks, &pin);
	return 0;
}

static int pin_all(struct stream *s, uint64_t offset, uint64_t len, unsigned how,
		   struct stream_read *rd, const struct cancel *c, struct err *e)
{
	for (int attempt = 0;; attempt++) {
		int r = pin_present(s, offset, len, how, rd, e);

		if (r <= 0)
			return r;
		/* What was waited for goes again before the rest has come: less, then. */
		if (attempt >= PIN_ATTEMPTS && rd->pin_count > 0)
			return 0;
		r = wait_for_next(s, offset, len, how, rd, c, e);
		if (r < 0)
			return r;
	}
}

int stream_read(struct stream *s, uint64_t offset, size_t len_bytes, bool wait,
		struct stream_read *ret, const struct cancel *c, struct err *e)
{
	struct stream_read rd = { .pin_count = 0 };
	unsigned how;
	uint64_t len;
	int r;

	*ret = rd;
	if (offset >= s->size_bytes || len_bytes == 0)
		return 0;
	len = MIN_OF(len_bytes, s->size_bytes - offset);
	how = how_to_read(s, offset, len);
	if (wait) {
		uint64_t first = piece_at(s, offset, len).len;

		follow_pattern(s, offset, len, true);
		fetch(s, offset + first, offset + len, how); /* side by side with the first */
		r = pin_all(s, offset, len, how, &rd, c, e);
	} else {
		r = pin_present(s, offset, len, how, &rd, e);
		if (r == 0)
			follow_pattern(s, offset, rd.len_bytes, false);
	}
	if (r != 0) {
		stream_release(s, &rd);
		return r;
	}
	*ret = rd;
	return 0;
}
