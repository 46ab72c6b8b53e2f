/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/blocks.h"

#include <errno.h>
#include "cache/loads.h"

static struct metric *counter(struct metrics *m, const char *name, const char *help)
{
	return m ? metrics_counter(m, name, help) : NULL;
}

static void make_metrics(struct blocks *b, struct metrics *m)
{
	b->hits = counter(m, "cache_hits", "Reads whose blocks were in memory");
	b->misses = counter(m, "cache_misses", "Reads that waited for a load");
	b->loaded_bytes = counter(m, "cache_loaded_bytes", "Bytes loaded from the store");
	b->disk_bytes = counter(m, "cache_disk_read_bytes", "Bytes loaded from the disk cache");
	b->disk_damaged = counter(m, "cache_disk_unfit_blocks",
				  "Blocks of the disk cache that did not fit their digest");
	b->unread_bytes = counter(m, "cache_dropped_unread_bytes",
				  "Bytes that gave way before anybody read them");
	b->memory = counter(m, "cache_memory_bytes", "Memory of the cache of blocks");
}

int blocks_new(const struct blocks_options *o, struct blocks **ret, struct err *e)
{
	_cleanup_(blocks_freep) struct blocks *b = NULL;
	int r;

	if (o->memory_bytes < BLOCKS_MIN_MEMORY || o->threads == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "the cache needs at least %u MiB of memory",
			       (unsigned)(BLOCKS_MIN_MEMORY / MIB + 1));
	b = calloc(1, sizeof(*b));
	if (!b)
		return err_nomem(e);
	pthread_mutex_init(&b->lock, NULL);
	b->threads = o->threads;
	b->loader = o->loader;
	make_metrics(b, o->metrics);
	r = slots_init(&b->slots, o->memory_bytes);
	b->pool = pool_new("load", o->threads);
	if (r < 0 || !b->pool)
		return err_nomem(e);
	if (o->kv && o->ring_path)
		r = ring_open(o->ring_path, o->ring_bytes, o->kv, o->metrics, &b->ring, e);
	if (r < 0)
		return r;
	if (b->ring) {
		b->ghost = ghost_new(ring_capacity(b->ring));
		if (!b->ghost)
			return err_nomem(e);
	}
	*ret = steal_pointer(&b);
	return 0;
}

void blocks_free(struct blocks *b)
{
	if (!b)
		return;
	if (b->pool)
		loads_stop(b);
	ring_close(b->ring);
	ghost_free(b->ghost);
	slots_deinit(&b->slots);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* Pins what is there. The lock is held. */
static void pin(struct blocks *b, struct slot *slot, uint32_t offset, uint32_t len, unsigned how,
		struct block_pin *ret)
{
	slots_pin(slot);
	slots_touch(&b->slots, slot, offset, len, how & BLOCKS_PASSING);
	*ret = (struct block_pin){ .data = slot->base + offset, .slot = slot };
}

/*
 * Sees to it that the blocks of `span` are loaded or loading, and waits for them; or for memory. 0: look again. The lock is held, and given up
 * meanwhile.
 */
static int wait_for(struct blocks *b, const struct block_object *o, uint64_t span, unsigned how,
		    const struct cancel *c, struct err *e)
{
	struct slot *slot = slots_find(&b->slots, &o->id);
	uint64_t missing = o->whole ? slots_all_of(o) : span;
	int r = 0;

	if (slot)
		missing &= ~(slot->present | slot->loading);
	if (missing)
		r = loads_start(b, o, missing, LOADS_DEMANDED, how & BLOCKS_PASSING, &slot);
	if (r == -EAGAIN)
		return waiters_wait(&b->memory_waiters, &b->lock, 0, c, e);
	if (r < 0)
		return err_nomem(e);
	loads_promote(b, slot, span);
	slots_pin(slot);
	r = waiters_wait(&slot->waiters, &b->lock, span, c, e);
	loads_unpin(b, slot);
	return r;
}

int blocks_get(struct blocks *b, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
	       unsigned how, struct block_pin *ret, const struct cancel *c, struct err *e)
{
	uint64_t span;
	bool waited = false;
	int r = 0;

	if (len_bytes == 0 || o->plain_bytes > BLOCKS_OBJECT_BYTES || offset > o->plain_bytes ||
	    len_bytes > o->plain_bytes - offset)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "a read of %u bytes at %u of %u",
			       len_bytes, offset, o->plain_bytes);
	span = slots_span(offset, len_bytes);
	pthread_mutex_lock(&b->lock);
	while (r == 0) {
		struct slot *slot = slots_find(&b->slots, &o->id);

		if (slot && !(span & ~slot->present)) {
			pin(b, slot, offset, len_bytes, how, ret);
			break;
		}
		if (!(how & BLOCKS_WAIT))
			r = BLOCKS_WOULD_BLOCK;
		else if (cancel_is_set(c))
			r = err_set(e, ERR_IO, -ECANCELED, "the read was given up");
		else
			r = wait_for(b, o, span, how, c, e);
		waited = true;
	}
	pthread_mutex_unlock(&b->lock);
	if (r == 0)
		metric_add(waited ? b->misses : b->hits, 1);
	return r;
}

bool blocks_lack(struct blocks *b, const struct block_object *o, uint32_t offset,
		 uint32_t len_bytes)
{
	uint64_t span = slots_span(offset, len_bytes);
	struct slot *slot;
	bool lack;

	pthread_mutex_lock(&b->lock);
	slot = slots_find(&b->slots, &o->id);
	lack = !slot || (span & ~(slot->present | slot->loading));
	pthread_mutex_unlock(&b->lock);
	return lack;
}

/* Whether there is no use in loading the whole object. */
static bool is_in_vain(const struct blocks *b, const struct id256 *whole)
{
	uint64_t times = ghost_find(b->slots.wasted, whole);

	return times > 1 || (times == 1 && !(b->ghost && ghost_find(b->ghost, whole)));
}

bool blocks_alone(struct blocks *b, const struct block_object *part)
{
	bool alone;

	pthread_mutex_lock(&b->lock);
	alone = slots_find(&b->slots, &part->id) ||
		(!slots_find(&b->slots, &part->of.id) && is_in_vain(b, &part->of.id));
	pthread_mutex_unlock(&b->lock);
	return alone;
}

void blocks_unpin(struct blocks *b, struct block_pin *p)
{
	struct slot *slot = steal_pointer(&p->slot);

	p->data = NULL;
	if (!slot)
		return;
	pthread_mutex_lock(&b->lock);
	loads_unpin(b, slot);
	pthread_mutex_unlock(&b->lock);
}

void blocks_wake(struct blocks *b)
{
	pthread_mutex_lock(&b->lock);
	waiters_wake(b->memory_waiters);
	for (struct slot *slot = b->slots.live.oldest; slot; slot = slot->newer)
		waiters_wake(slot->waiters);
	pthread_mutex_unlock(&b->lock);
}

static enum loads_urgency urgency_of(unsigned how)
{
	if (how & BLOCKS_GUESSED)
		return LOADS_GUESSED;
	return how & BLOCKS_SPARING ? LOADS_SPARING : LOADS_AHEAD;
}

bool blocks_prefetch(struct blocks *b, const struct block_object *o, uint32_t offset,
		     uint32_t len_bytes, unsigned how)
{
	struct slot *slot;
	uint64_t missing;
	int r = 0;

	if (len_bytes == 0 || o->plain_bytes > BLOCKS_OBJECT_BYTES || offset > o->plain_bytes ||
	    len_bytes > o->plain_bytes - offset)
		return false;
	missing = o->whole ? slots_all_of(o) : slots_span(offset, len_bytes);
	pthread_mutex_lock(&b->lock);
	slot = slots_find(&b->slots, &o->id);
	if (slot)
		missing &= ~(slot->present | slot->loading);
	if (missing)
		r = loads_start(b, o, missing, urgency_of(how), how & BLOCKS_PASSING, &slot);
	if (slot)
		slots_expect(&b->slots, slot, slots_span(offset, len_bytes), how & BLOCKS_GUESSED);
	pthread_mutex_unlock(&b->lock);
	return r == 0;
}

void blocks_expect(struct blocks *b, const struct block_object *o, uint32_t offset,
		   uint32_t len_bytes)
{
	struct slot *slot;

	pthread_mutex_lock(&b->lock);
	slot = slots_find(&b->slots, &o->id);
	if (slot)
		slots_expect(&b->slots, slot, slots_span(offset, len_bytes), false);
	pthread_mutex_unlock(&b->lock);
}

void blocks_forget(struct blocks *b, const struct block_object *o)
{
	struct slot *slot;

	pthread_mutex_lock(&b->lock);
	slot = slots_find(&b->slots, &o->id);
	if (slot && slot->loading) {
		loads_drop(b, slot);
		slot = slots_find(&b->slots, &o->id);
	}
	if (slot)
		slots_forget(&b->slots, slot);
	pthread_mutex_unlock(&b->lock);
}

uint64_t blocks_memory(struct blocks *b)
{
	uint64_t bytes;

	pthread_mutex_lock(&b->lock);
	bytes = b->slots.charged_bytes;
	pthread_mutex_unlock(&b->lock);
	return bytes;
}

void blocks_limit(struct blocks *b, uint64_t memory_bytes)
{
	pthread_mutex_lock(&b->lock);
	slots_limit(&b->slots, memory_bytes);
	metric_set(b->memory, b->slots.charged_bytes);
	waiters_done(&b->memory_waiters, 0);
	pthread_mutex_unlock(&b->lock);
}

const char *blocks_check(struct blocks *b)
{
	const char *broken;

	pthread_mutex_lock(&b->lock);
	broken = slots_check(&b->slots);
	pthread_mutex_unlock(&b->lock);
	return broken;
}
