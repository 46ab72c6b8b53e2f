/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "base/io.h"

#define BLOCKS_MAX 64 /* of an object */
#define NO_SLOT UINT32_MAX
#define STATE_KEY "ring"
#define BLOCK_KEY_BYTES (SHA256_BYTES + 4)
#define SLOT_KEY_BYTES 4
#define ENTRY_BYTES 8

struct ring {
	int fd;
	struct kv *kv;
	struct metric *errors, *written;
	pthread_mutex_t lock; /* slots and cursor */
	uint32_t slots;	      /* 0: not used */
	uint32_t cursor;      /* the next slot to be written, < slots */
};

/* Where each block of an object lies; NO_SLOT: nowhere. */
struct layout {
	uint32_t slot[BLOCKS_MAX];
	uint32_t len[BLOCKS_MAX];
};

static uint32_t block_length(uint32_t plain_bytes, unsigned block)
{
	return (uint32_t)MIN_OF(RING_SLOT_BYTES, plain_bytes - block * RING_SLOT_BYTES);
}

static void put_u32(uint8_t *out, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(v >> 8 * i);
}

static void block_key(uint8_t out[BLOCK_KEY_BYTES], const struct id256 *id, unsigned block)
{
	memcpy(out, id->b, SHA256_BYTES);
	put_u32(out + SHA256_BYTES, block);
}

/* ---- open and close ---- */

static uint32_t remembered_cursor(struct kv *kv, uint32_t slots)
{
	uint8_t state[4];
	struct rbuf b;
	uint32_t cursor;
	size_t len;

	if (kv_read(kv, KV_STATE, STATE_KEY, strlen(STATE_KEY), state, sizeof(state), &len, NULL))
		return 0;
	b = rbuf_over(state, len);
	cursor = rbuf_u32(&b);
	return rbuf_end(&b) == 0 && cursor < slots ? cursor : 0;
}

/* What is no plain file, and so not of this cache, goes. */
static int clear_place(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(st.st_mode) && st.st_nlink == 1 ? 0 : io_remove_tree(AT_FDCWD, path);
}

static int open_file(const char *path, uint64_t max_bytes)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = clear_place(path);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > max_bytes && ftruncate(fd, (off_t)max_bytes) < 0)
		return -errno;
	return steal_fd(&fd);
}

int ring_open(const char *path, uint64_t ring_bytes, struct kv *kv, struct metrics *m,
	      struct ring **ret, struct err *e)
{
	struct ring *r = calloc(1, sizeof(*r));

	if (!r)
		return err_nomem(e);
	if (ring_bytes >= RING_MIN_BYTES)
		r->slots = (uint32_t)MIN_OF(ring_bytes / RING_SLOT_BYTES, NO_SLOT - 1);
	r->fd = open_file(path, r->slots * RING_SLOT_BYTES);
	if (r->fd < 0) {
		int code = r->fd;

		free(r);
		return err_errno(e, code, "cannot open the cache file %s", path);
	}
	r->kv = kv;
	r->cursor = remembered_cursor(kv, r->slots);
	r->errors = m ? metrics_counter(m, "cache_disk_write_errors",
					"Writes of the disk cache that failed")
		      : NULL;
	r->written = m ? metrics_counter(m, "cache_disk_written_bytes",
					 "Bytes written to the disk cache")
		       : NULL;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

void ring_close(struct ring *r)
{
	uint8_t state[4];

	if (!r)
		return;
	put_u32(state, r->cursor);
	kv_put(r->kv, KV_STATE, STATE_KEY, strlen(STATE_KEY), state, sizeof(state), NULL);
	close(r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

uint64_t ring_capacity(struct ring *r)
{
	uint32_t slots;

	pthread_mutex_lock(&r->lock);
	slots = r->slots;
	pthread_mutex_unlock(&r->lock);
	return slots * RING_SLOT_BYTES;
}

/* ---- reading ---- */

static int note_block(void *ctx, const void *key, size_t key_bytes, const void *value,
		      size_t len_bytes, struct err *e)
{
	struct rbuf k = rbuf_over(key, key_bytes), v = rbuf_over(value, len_bytes);
	struct layout *layout = ctx;
	uint32_t block, slot, len;

	rbuf_take(&k, SHA256_BYTES);
	block = rbuf_u32(&k);
	slot = rbuf_u32(&v);
	len = rbuf_u32(&v);
	if (rbuf_end(&k) == 0 && rbuf_end(&v) == 0 && block < BLOCKS_MAX) {
		layout->slot[block] = slot;
		layout->len[block] = len;
	}
	return 0;
}

/* How many blocks from `first` on can be read at once. */
static unsigned run_length(const struct layout *layout, uint64_t blocks, unsigned first)
{
	unsigned n = 1;

	while (first + n < BLOCKS_MAX && (blocks >> (first + n) & 1) &&
	       layout->slot[first + n] == layout->slot[first] + n)
		n++;
	return n;
}

static uint64_t mask_of(unsigned first, unsigned count)
{
	return (count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) << first;
}

/* Those of `blocks` that are there, and where. */
static uint64_t find_blocks(struct ring *r, const struct id256 *id, uint32_t plain_bytes,
			    uint64_t blocks, struct layout *ret)
{
	uint32_t slots = (uint32_t)(ring_capacity(r) / RING_SLOT_BYTES);

	memset(ret, 0xff, sizeof(*ret));
	if (slots == 0 || kv_each(r->kv, KV_RING, id->b, SHA256_BYTES, note_block, ret, NULL))
		return 0;
	for (unsigned i = 0; i < BLOCKS_MAX; i++)
		if ((blocks >> i & 1) &&
		    (ret->slot[i] >= slots || ret->len[i] != block_length(plain_bytes, i)))
			blocks &= ~(UINT64_C(1) << i);
	return blocks;
}

uint64_t ring_read(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint64_t blocks,
		   uint8_t *base)
{
	struct layout layout;
	uint64_t got = 0;
	unsigned n;

	blocks = find_blocks(r, id, plain_bytes, blocks, &layout);
	for (unsigned i = 0; i < BLOCKS_MAX; i += n) {
		size_t bytes;

		n = 1;
		if (!(blocks >> i & 1))
			continue;
		n = run_length(&layout, blocks, i);
		bytes = (n - 1) * RING_SLOT_BYTES + layout.len[i + n - 1];
		if (io_pread_full(r->fd, base + i * RING_SLOT_BYTES, bytes,
				  layout.slot[i] * RING_SLOT_BYTES) == (ssize_t)bytes)
			got |= mask_of(i, n);
	}
	return got;
}

bool ring_read_range(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint32_t offset,
		     uint32_t len_bytes, uint8_t *dst)
{
	uint32_t end = offset + len_bytes;
	unsigned first = offset / (uint32_t)RING_SLOT_BYTES;
	unsigned last = (end - 1) / (uint32_t)RING_SLOT_BYTES;
	uint64_t blocks = mask_of(first, last - first + 1);
	struct layout layout;

	if (find_blocks(r, id, plain_bytes, blocks, &layout) != blocks)
		return false;
	for (unsigned i = first; i <= last; i++) {
		uint32_t in_slot = offset % (uint32_t)RING_SLOT_BYTES;
		uint32_t bytes = MIN_OF(end - offset, (uint32_t)RING_SLOT_BYTES - in_slot);

		if (io_pread_full(r->fd, dst, bytes, layout.slot[i] * RING_SLOT_BYTES + in_slot) !=
		    (ssize_t)bytes)
			return false;
		dst += bytes;
		offset += bytes;
	}
	return true;
}

void ring_forget(struct ring *r, const struct id256 *id, uint64_t blocks)
{
	uint8_t key[BLOCK_KEY_BYTES];
	struct kv_batch *b;

	if (kv_batch_begin(r->kv, &b, NULL) < 0)
		return;
	for (unsigned i = 0; i < BLOCKS_MAX; i++) {
		if (!(blocks >> i & 1))
			continue;
		block_key(key, id, i);
		kv_batch_delete(b, KV_RING, key, sizeof(key), NULL);
	}
	kv_batch_commit(b, NULL);
}

/* ---- writing ---- */

/* Takes up to `want` slots that lie side by side. */
static uint32_t take_slots(struct ring *r, uint32_t want, uint32_t *ret_first)
{
	uint32_t n;

	pthread_mutex_lock(&r->lock);
	n = MIN_OF(want, r->slots - r->cursor);
	*ret_first = r->cursor;
	r->cursor += n;
	if (r->cursor == r->slots)
		r->cursor = 0;
	pthread_mutex_unlock(&r->lock);
	return n;
}

/* The file ends before `slot`, as the disk is full; or the file can no longer be used. */
static void note_error(struct ring *r, int code, uint32_t slot)
{
	bool is_full = code == -ENOSPC || code == -EDQUOT || code == -EFBIG;

	metric_add(r->errors, 1);
	pthread_mutex_lock(&r->lock);
	if (!is_full || slot * RING_SLOT_BYTES < RING_MIN_BYTES)
		slot = 0;
	if (slot < r->slots)
		r->slots = slot;
	r->cursor = 0;
	pthread_mutex_unlock(&r->lock);
}

/* The entry of what the slot held before goes, unless the block has been written elsewhere since. */
static int drop_old(struct kv_batch *b, const uint8_t slot_key[SLOT_KEY_BYTES])
{
	uint8_t key[BLOCK_KEY_BYTES];
	const void *old;
	size_t len;
	int r;

	r = kv_batch_get(b, KV_RING, slot_key, SLOT_KEY_BYTES, &old, &len, NULL);
	if (r || len != sizeof(key))
		return MIN_OF(r, 0);
	memcpy(key, old, sizeof(key));
	r = kv_batch_get(b, KV_RING, key, sizeof(key), &old, &len, NULL);
	if (r || len != ENTRY_BYTES || memcmp(old, slot_key, SLOT_KEY_BYTES) != 0)
		return MIN_OF(r, 0);
	return kv_batch_delete(b, KV_RING, key, sizeof(key), NULL);
}

static int put_entry(struct kv_batch *b, const struct id256 *id, unsigned block, uint32_t slot,
		     uint32_t len)
{
	uint8_t key[BLOCK_KEY_BYTES], entry[ENTRY_BYTES];
	int r;

	block_key(key, id, block);
	put_u32(entry, slot);
	put_u32(entry + SLOT_KEY_BYTES, len);
	r = drop_old(b, entry);
	if (r == 0)
		r = kv_batch_put(b, KV_RING, key, sizeof(key), entry, sizeof(entry), NULL);
	if (r == 0)
		r = kv_batch_put(b, KV_RING, entry, SLOT_KEY_BYTES, key, sizeof(key), NULL);
	return r;
}

static void put_entries(struct ring *r, const struct id256 *id, uint32_t plain_bytes,
			unsigned block, uint32_t slot, uint32_t count)
{
	struct kv_batch *b;
	int rc = 0;

	if (kv_batch_begin(r->kv, &b, NULL) < 0)
		return;
	for (uint32_t i = 0; i < count && rc == 0; i++)
		rc = put_entry(b, id, block + i, slot + i, block_length(plain_bytes, block + i));
	kv_batch_commit(b, NULL);
}

static unsigned count_run(uint64_t blocks, unsigned first)
{
	unsigned n = 0;

	while (first + n < BLOCKS_MAX && (blocks >> (first + n) & 1))
		n++;
	return n;
}

void ring_write(struct ring *r, const struct id256 *id, uint32_t plain_bytes, uint64_t blocks,
		const uint8_t *base)
{
	for (unsigned i = 0; i < BLOCKS_MAX;) {
		uint32_t want = count_run(blocks, i), first, n;
		int code;
		size_t bytes;

		if (want == 0) {
			i++;
			continue;
		}
		n = take_slots(r, want, &first);
		if (n == 0)
			return;
		bytes = (n - 1) * RING_SLOT_BYTES + block_length(plain_bytes, i + n - 1);
		code = io_pwrite_full(r->fd, base + i * RING_SLOT_BYTES, bytes,
				      first * RING_SLOT_BYTES);
		if (code < 0) {
			note_error(r, code, first);
			return;
		}
		metric_add(r->written, bytes);
		put_entries(r, id, plain_bytes, i, first, n);
		i += n;
	}
}
