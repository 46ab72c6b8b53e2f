/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/reader.h"

#include <string.h>
#include "catalog/reader_state.h"

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
	r->window_memory = o->memory_bytes / 4 * 3;
	r->window_most = o->connections * FORMAT_OBJECT_BYTES;
	r->keep_bytes = on_disk ? o->ring_bytes / 4 : 0;
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
	struct block_object o;
	uint32_t node;

	if (extent_count == 0 || blockload_node(r->loads, n, &node) < 0)
		return;
	o = blockload_object(node, &extents[0].object);
	/* Cassandra opens every Data.db when it starts, and reads none. */
	if (o.whole && note_hint(r, &o))
		blocks_prefetch(r->blocks, &o, extents[0].offset, extents[0].len_bytes, true);
}
