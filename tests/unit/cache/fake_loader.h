/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loader whose content says whose it is: block i of object n is filled with one byte. It counts, can be held at a gate, and fails when asked to.
 */
#ifndef SSTABLEFS_TESTS_FAKE_LOADER_H
#define SSTABLEFS_TESTS_FAKE_LOADER_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "cache/blocks.h"

struct fake_loader {
	atomic_uint loads, loaded_blocks, verifies, kept,
		fail; /* fail: so many loads from now on */
	atomic_uint running, most_running;
	atomic_uint
		part_blocks; /* loads tell of what has arrived in parts of so many blocks; 0: they do not */
	atomic_uint fail_behind; /* a load that fails has so many blocks first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;	 /* the gate: loads wait before it, and with part_blocks behind each part */
	unsigned passes; /* so many may pass all the same */
	unsigned at_gate;   /* how many wait there */
	uint32_t order[64]; /* objects in the order of their loads */
	unsigned order_count;
};

#define FAKE_LOADER_INIT                                                               \
	{                                                                              \
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
	}

static inline struct block_object fake_object(uint32_t n, uint32_t plain_bytes, bool whole)
{
	struct block_object o = { .id = digest_sha256(&n, sizeof(n)),
				  .plain_bytes = plain_bytes,
				  .whole = whole };

	memcpy(o.locator, &n, sizeof(n));
	return o;
}

static inline uint8_t fake_byte(const struct block_object *o, uint32_t offset)
{
	uint32_t n;

	memcpy(&n, o->locator, sizeof(n));
	return (uint8_t)(n * 67 + (o->of.offset + offset) / BLOCKS_BLOCK_BYTES);
}

/* A part of an object that is whole. */
static inline struct block_object fake_part(const struct block_object *whole, uint32_t offset,
					    uint32_t len)
{
	struct block_object o = *whole;

	o.id = digest_sha256((uint32_t[]){ whole->id.b[0], whole->id.b[1], offset, len }, 16);
	o.plain_bytes = len;
	o.of.id = whole->id;
	o.of.plain_bytes = whole->plain_bytes;
	o.of.offset = offset;
	return o;
}

/* From there to where the bytes change. */
static inline uint32_t fake_run(const struct block_object *o, uint32_t offset)
{
	return (uint32_t)(BLOCKS_BLOCK_BYTES - (o->of.offset + offset) % BLOCKS_BLOCK_BYTES);
}

/* Whether all bytes are those of the object. */
static inline bool fake_fits(const struct block_object *o, uint32_t offset, uint32_t len,
			     const uint8_t *data)
{
	while (len > 0) {
		uint32_t n = MIN_OF(fake_run(o, offset), len);

		if (data[0] != fake_byte(o, offset) || memcmp(data, data + 1, n - 1) != 0)
			return false;
		offset += n;
		data += n;
		len -= n;
	}
	return true;
}

static inline int fake_gate(struct fake_loader *f, const struct block_object *o,
			    const struct cancel *c)
{
	struct timespec at;

	pthread_mutex_lock(&f->lock);
	if (f->order_count < ARRAY_SIZE(f->order))
		memcpy(&f->order[f->order_count++], o->locator, sizeof(uint32_t));
	f->at_gate++;
	pthread_cond_broadcast(&f->changed);
	while (f->closed && f->passes == 0 && !cancel_is_set(c)) {
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 10 * 1000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&f->changed, &f->lock, &at);
	}
	if (f->closed && f->passes > 0)
		f->passes--;
	f->at_gate--;
	pthread_mutex_unlock(&f->lock);
	return cancel_is_set(c) ? -ECANCELED : 0;
}

static inline void fake_set_gate(struct fake_loader *f, bool closed)
{
	pthread_mutex_lock(&f->lock);
	f->closed = closed;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* One passes the closed gate, and comes to it again. Only where one load is under way. */
static inline void fake_pass(struct fake_loader *f)
{
	pthread_mutex_lock(&f->lock);
	f->passes = 1;
	pthread_cond_broadcast(&f->changed);
	while (f->passes > 0 || f->at_gate == 0)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

/* Until so many loads wait at the gate. */
static inline void fake_wait_at_gate(struct fake_loader *f, unsigned count)
{
	pthread_mutex_lock(&f->lock);
	while (f->at_gate < count)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static inline void fake_spoil(struct fake_loader *f, const struct block_object *o, uint32_t begin,
			      uint32_t at, uint32_t end, void *base)
{
	uint32_t part = atomic_load(&f->part_blocks) * (uint32_t)BLOCKS_BLOCK_BYTES;

	if (part)
		at = begin + (at - begin) / part * part;
	else
		at = begin;
	for (; at < end; at += (uint32_t)BLOCKS_BLOCK_BYTES)
		memset((uint8_t *)base + at, ~fake_byte(o, at),
		       MIN_OF(BLOCKS_BLOCK_BYTES, end - at));
}

static inline int fake_load(void *ctx, const struct block_object *o, uint32_t offset,
			    uint32_t len_bytes, void *base, const struct block_arrivals *a,
			    const struct cancel *c, struct err *e)
{
	struct fake_loader *f = ctx;
	uint32_t begin = offset, end = offset + len_bytes;
	unsigned running = atomic_fetch_add(&f->running, 1) + 1,
		 most = atomic_load(&f->most_running), fail;
	int r;

	while (most < running && !atomic_compare_exchange_weak(&f->most_running, &most, running))
		;
	atomic_fetch_add(&f->loads, 1);
	r = fake_gate(f, o, c);
	fail = atomic_load(&f->fail);
	if (r == 0 && fail > 0) {
		atomic_store(&f->fail, fail - 1);
		r = -EIO;
		end = MIN_OF(end,
			     begin + atomic_load(&f->fail_behind) * (uint32_t)BLOCKS_BLOCK_BYTES);
	}
	if (len_bytes == o->plain_bytes && !o->of.plain_bytes)
		memset((uint8_t *)base - BLOCKS_HEADROOM, 0xdd, BLOCKS_HEADROOM);
	while (offset < end && r != -ECANCELED) {
		uint32_t n = MIN_OF(fake_run(o, offset), end - offset);
		unsigned part = atomic_load(&f->part_blocks);

		memset((uint8_t *)base + offset, fake_byte(o, offset), n);
		atomic_fetch_add(&f->loaded_blocks, 1);
		offset += n;
		if (part && (offset - begin) % (part * BLOCKS_BLOCK_BYTES) == 0) {
			a->arrived(a->ctx, offset);
			if (fake_gate(f, o, c) < 0)
				r = -ECANCELED;
		}
	}
	if (r < 0) /* A load that fails leaves wrong bytes behind what it told of. */
		fake_spoil(f, o, begin, offset, begin + len_bytes, base);
	atomic_fetch_sub(&f->running, 1);
	return r < 0 ? err_set(e, ERR_STORE, r, "the store of the test failed") : 0;
}

static inline int fake_verify(void *ctx, const struct block_object *o, uint32_t offset,
			      uint32_t len_bytes, const void *base, struct err *e)
{
	struct fake_loader *f = ctx;

	atomic_fetch_add(&f->verifies, 1);
	return fake_fits(o, offset, len_bytes, (const uint8_t *)base + offset) ? 0 : -EBADMSG;
}

static inline void fake_kept(void *ctx, const struct block_object *o, const struct cancel *c)
{
	struct fake_loader *f = ctx;

	atomic_fetch_add(&f->kept, 1);
}

static inline struct block_loader fake_loader_of(struct fake_loader *f)
{
	return (struct block_loader){ fake_load, fake_verify, fake_kept, f };
}

#endif
