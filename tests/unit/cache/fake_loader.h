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
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;	    /* the gate: loads wait before it */
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
	return (uint8_t)(n * 67 + offset / BLOCKS_BLOCK_BYTES);
}

/* Whether all bytes are those of the object. */
static inline bool fake_fits(const struct block_object *o, uint32_t offset, uint32_t len,
			     const uint8_t *data)
{
	while (len > 0) {
		uint32_t n = (uint32_t)(BLOCKS_BLOCK_BYTES - offset % BLOCKS_BLOCK_BYTES);

		n = MIN_OF(n, len);
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
	while (f->closed && !cancel_is_set(c)) {
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_nsec += 10 * 1000000;
		at.tv_sec += at.tv_nsec / 1000000000;
		at.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&f->changed, &f->lock, &at);
	}
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

/* Until so many loads wait at the gate. */
static inline void fake_wait_at_gate(struct fake_loader *f, unsigned count)
{
	pthread_mutex_lock(&f->lock);
	while (f->at_gate < count)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static inline int fake_load(void *ctx, const struct block_object *o, uint32_t offset,
			    uint32_t len_bytes, void *base, const struct cancel *c, struct err *e)
{
	struct fake_loader *f = ctx;
	uint32_t end = offset + len_bytes;
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
	}
	if (len_bytes == o->plain_bytes)
		memset((uint8_t *)base - BLOCKS_HEADROOM, 0xdd, BLOCKS_HEADROOM);
	for (; offset < end; offset += (uint32_t)BLOCKS_BLOCK_BYTES) {
		uint32_t n = (uint32_t)MIN_OF(BLOCKS_BLOCK_BYTES, end - offset);

		/* A load that fails leaves wrong bytes. */
		memset((uint8_t *)base + offset,
		       r < 0 ? ~fake_byte(o, offset) : fake_byte(o, offset), n);
		atomic_fetch_add(&f->loaded_blocks, 1);
	}
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
