/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/reader.h"

#include <string.h>
#include "catalog/reader_state.h"

/* A quarter is for packs and whoever reads at random. A window needs more than its size: it ends with an object, and the one that is being read is there until it is through. */
static uint64_t window_memory(uint64_t memory_bytes)
{
	return memory_bytes / 4 * 3 - MIN_OF(2 * FORMAT_OBJECT_BYTES, memory_bytes / 4);
}

int reader_new(const struct reader_options *o, struct reader **ret, struct err *e)
{
	_cleanup_(reader_freep) struct reader *r = calloc(1, sizeof(*r));
	struct blocks_options b = { .memory_bytes = o->memory_bytes,
				    .threads = o->connections,
				    .kv = o->kv,
				    .ring_path = o->ring_path,
				    .ring_bytes = o->ring_bytes,
				    .metrics = o->metrics };
	bool on_disk = o->kv && o->ring_path;
	int code;

	if (!r)
		return err_nomem(e);
	pthread_mutex_init(&r->lock, NULL);
	r->memory_bytes = o->memory_bytes;
	r->window_memory = window_memory(o->memory_bytes);
	r->window_most = o->connections * FORMAT_OBJECT_BYTES;
	r->loads = blockload_new(o->source, on_disk ? o->kv : NULL);
	if (!r->loads)
		return err_nomem(e);
	b.loader = blockload_callbacks(r->loads);
	code = blocks_new(&b, &r->blocks, e);
	if (code < 0)
		return code;
	*ret = steal_pointer(&r);
	return 0;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	blocks_free(r->blocks);
	blockload_free(r->loads);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

uint64_t reader_memory(struct reader *r)
{
	return blocks_memory(r->blocks);
}

void reader_wake(struct reader *r)
{
	blocks_wake(r->blocks);
}

/* ---- sharing the memory ---- */

void reader_lend(struct reader *r, uint64_t bytes)
{
	uint64_t left = r->memory_bytes - bytes;

	pthread_mutex_lock(&r->lock);
	r->window_memory = window_memory(left);
	pthread_mutex_unlock(&r->lock);
	blocks_limit(r->blocks, left);
}

uint64_t reader_window(struct reader *r)
{
	uint64_t bytes;

	pthread_mutex_lock(&r->lock);
	bytes = r->window_memory / MAX_OF(r->active, 1U);
	pthread_mutex_unlock(&r->lock);
	return MIN_OF(bytes, r->window_most);
}

static void forget_recent(struct reader *r, struct reader_share **recent)
{
	if (*recent && --(*recent)->recent_reads == 0)
		r->active--;
	*recent = NULL;
}

void reader_share_use(struct reader *r, struct reader_share *s)
{
	pthread_mutex_lock(&r->lock);
	if (s->recent_reads++ == 0)
		r->active++;
	forget_recent(r, &r->recent[r->recent_next]);
	r->recent[r->recent_next] = s;
	r->recent_next = (r->recent_next + 1) % READER_RECENT;
	pthread_mutex_unlock(&r->lock);
}

void reader_share_leave(struct reader *r, struct reader_share *s)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < READER_RECENT && s->recent_reads > 0; i++)
		if (r->recent[i] == s)
			forget_recent(r, &r->recent[i]);
	pthread_mutex_unlock(&r->lock);
}

/* ---- packs and their parts ---- */

struct piece reader_piece(struct reader *r, uint32_t node, const struct extent *x, uint32_t skip,
			  uint64_t len_bytes)
{
	struct block_object o = blockload_object(node, &x->object);
	uint32_t len = (uint32_t)MIN_OF(len_bytes, x->len_bytes - skip);

	if (o.whole && blockload_has_part(x)) {
		struct block_object part = blockload_part(node, x);

		if (blocks_alone(r->blocks, &part))
			return (struct piece){ .object = part, .offset = skip, .len = len };
	}
	return (struct piece){ .object = o, .offset = x->offset + skip, .len = len };
}

/* ---- hints ---- */

/* Whether the object is new among the hints. */
static bool note_hint(struct reader *r, const struct block_object *o)
{
	bool is_new = true;

	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < READER_HINTS; i++)
		if (memcmp(&r->hints[i].id, &o->id, sizeof(o->id)) == 0)
			is_new = false;
	if (is_new) {
		r->hints[r->hint_next] = *o;
		r->hint_next = (r->hint_next + 1) % READER_HINTS;
	}
	pthread_mutex_unlock(&r->lock);
	return is_new;
}

void reader_hint(struct reader *r, const struct node_name *n, const struct extent *extents,
		 size_t extent_count)
{
	const struct extent *x = extents;
	struct piece p;
	uint32_t node;

	if (extent_count == 0 || x->len_bytes == 0 || blockload_node(r->loads, n, &node) < 0)
		return;
	p = reader_piece(r, node, x, 0, x->len_bytes);
	/* Cassandra opens every Data.db when it starts, and reads none. */
	if (p.object.whole && note_hint(r, &p.object))
		blocks_prefetch(r->blocks, &p.object, p.offset, p.len, BLOCKS_PASSING);
}

/* ---- what will be opened next ---- */

uint64_t reader_expect(struct reader *r, const struct node_name *n, const struct extent *extents,
		       size_t extent_count, uint64_t from, uint64_t to, bool as_packed)
{
	uint64_t start = 0;
	uint32_t node;

	if (blockload_node(r->loads, n, &node) < 0)
		return from;
	for (size_t i = 0; i < extent_count && start < to; i++) {
		const struct extent *x = &extents[i];
		uint64_t end = start + x->len_bytes;

		if (from < end && from >= start) {
			struct piece p = { blockload_object(node, &x->object), x->offset,
					   x->len_bytes };

			if (!as_packed)
				p = reader_piece(r, node, x, 0, x->len_bytes);
			if (to < end || x->len_bytes == 0 ||
			    !blocks_prefetch(r->blocks, &p.object, p.offset, p.len,
					     BLOCKS_PASSING | BLOCKS_GUESSED))
				break;
			from = end;
		}
		start = end;
	}
	return from;
}
