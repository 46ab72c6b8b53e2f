/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/linkfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "fs/spill.h"

#define BLOCK_BYTES LINKCACHE_BLOCK_BYTES
#define TAG_AT (BLOCK_BYTES - 16)
#define SUM_AT (BLOCK_BYTES - 8)
#define MAGIC UINT64_C(0x32534b4e4c465353) /* "SSFLNKS2", where bytes are in this order */
#define READ_BLOCKS 64

static const size_t record_bytes[LINKFILE_PARTS] = {
	[LINKFILE_RUNS] = sizeof(struct link_run),
	[LINKFILE_LISTS] = sizeof(uint32_t),
	[LINKFILE_BACKUPS] = sizeof(struct link_backup),
	[LINKFILE_LINKS] = sizeof(struct link),
};

struct head {
	uint64_t magic, nonce;
	struct id256 node;			  /* of its name */
	uint64_t record_bytes[LINKFILE_PARTS];	  /* as they are here */
	uint64_t first_block[LINKFILE_PARTS + 1]; /* the last: behind the file */
	uint64_t count[LINKFILE_PARTS];
	uint64_t has_moved;
	uint8_t first_bytes[32]; /* a bit for each */
};

struct linkfile {
	atomic_uint refs;
	atomic_bool damaged; /* a block was not what was written */
	atomic_bool *note;   /* that one, for who only reads */
	int fd;
	struct linkcache *cache; /* or NULL */
	uint64_t cached_as;
	atomic_ullong reads; /* of blocks */
	atomic_ullong *read; /* that one, for who only reads */
	struct head head;
};

struct linkfile_writer {
	int dir_fd, fd;
	uint64_t max_bytes, block_number;
	enum linkfile_part part;
	size_t in_block; /* records */
	char name[LINKFILE_NAME_BYTES];
	struct head head;
	uint8_t block[BLOCK_BYTES];
};

static struct id256 digest_of_name(const struct node_name *n)
{
	return digest_sha256_2(n->cluster, strlen(n->cluster) + 1, n->node, strlen(n->node));
}

void linkfile_name(const struct node_name *n, char out[LINKFILE_NAME_BYTES])
{
	struct id256 d = digest_of_name(n);

	memcpy(out, LINKFILE_PREFIX, strlen(LINKFILE_PREFIX));
	util_hex(out + strlen(LINKFILE_PREFIX), d.b, 16);
}

static uint64_t per_block(enum linkfile_part part)
{
	return TAG_AT / record_bytes[part];
}

/* ---- reading ---- */

static bool block_fits(const struct linkfile *f, uint64_t number, const void *block)
{
	uint64_t tag, sum;

	memcpy(&tag, (const uint8_t *)block + TAG_AT, sizeof(tag));
	memcpy(&sum, (const uint8_t *)block + SUM_AT, sizeof(sum));
	return tag == f->head.nonce + number && sum == digest_xxh64(block, SUM_AT);
}

static int read_block(const struct linkfile *f, uint64_t number, void *block)
{
	ssize_t n = io_pread_full(f->fd, block, BLOCK_BYTES, number * BLOCK_BYTES);

	atomic_fetch_add_explicit(f->read, 1, memory_order_relaxed);
	if (n == BLOCK_BYTES && block_fits(f, number, block))
		return 0;
	atomic_store(f->note, true);
	return n < 0 ? (int)n : -EBADMSG;
}

static bool head_is_fine(const struct head *h, const struct node_name *n, uint64_t size_bytes)
{
	struct id256 node = digest_of_name(n);
	uint64_t at = 1;

	if (h->magic != MAGIC || memcmp(&h->node, &node, sizeof(node)) != 0)
		return false;
	for (int p = 0; p < LINKFILE_PARTS; p++) {
		if (h->record_bytes[p] != record_bytes[p] || h->first_block[p] != at ||
		    h->count[p] > size_bytes)
			return false;
		at += (h->count[p] + per_block(p) - 1) / per_block(p);
	}
	return h->first_block[LINKFILE_PARTS] == at && at * BLOCK_BYTES == size_bytes;
}

static int check_all(const struct linkfile *f)
{
	_cleanup_free_ uint8_t *blocks = malloc((size_t)READ_BLOCKS * BLOCK_BYTES);
	uint64_t end = f->head.first_block[LINKFILE_PARTS];

	if (!blocks)
		return -ENOMEM;
	for (uint64_t at = 0; at < end; at += READ_BLOCKS) {
		uint64_t count = MIN_OF(end - at, (uint64_t)READ_BLOCKS);
		ssize_t n = io_pread_full(f->fd, blocks, count * BLOCK_BYTES, at * BLOCK_BYTES);

		if (n != (ssize_t)(count * BLOCK_BYTES))
			return n < 0 ? (int)n : -EBADMSG;
		for (uint64_t i = 0; i < count; i++)
			if (!block_fits(f, at + i, blocks + i * BLOCK_BYTES))
				return -EBADMSG;
	}
	return 0;
}

static int open_checked(struct linkfile *f, const struct node_name *n)
{
	uint8_t block[BLOCK_BYTES];
	struct stat st;
	ssize_t got;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < BLOCK_BYTES)
		return -EBADMSG;
	got = io_pread_full(f->fd, block, BLOCK_BYTES, 0);
	if (got != BLOCK_BYTES)
		return got < 0 ? (int)got : -EBADMSG;
	memcpy(&f->head, block, sizeof(f->head));
	return head_is_fine(&f->head, n, (uint64_t)st.st_size) ? check_all(f) : -EBADMSG;
}

static struct linkfile *linkfile_new(int fd)
{
	struct linkfile *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	atomic_init(&f->refs, 1);
	atomic_init(&f->damaged, false);
	f->note = &f->damaged;
	atomic_init(&f->reads, 0);
	f->read = &f->reads;
	f->fd = fd;
	return f;
}

int linkfile_open(int dir_fd, const struct node_name *n, struct linkfile **ret)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = NULL;
	char name[LINKFILE_NAME_BYTES];
	int fd, r;

	linkfile_name(n, name);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	f = linkfile_new(fd);
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	r = open_checked(f, n);
	if (r == 0)
		*ret = steal_pointer(&f);
	return r;
}

struct linkfile *linkfile_ref(struct linkfile *f)
{
	if (f)
		atomic_fetch_add(&f->refs, 1);
	return f;
}

void linkfile_unref(struct linkfile *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) > 1)
		return;
	close(f->fd);
	free(f);
}

void linkfile_use(struct linkfile *f, struct linkcache *c)
{
	f->cached_as = linkcache_join(c);
	f->cache = c;
}

uint64_t linkfile_reads(const struct linkfile *f)
{
	return atomic_load(&f->reads);
}

uint64_t linkfile_count(const struct linkfile *f, enum linkfile_part part)
{
	return f->head.count[part];
}

uint64_t linkfile_bytes(const struct linkfile *f)
{
	return f->head.first_block[LINKFILE_PARTS] * BLOCK_BYTES;
}

bool linkfile_is_damaged(const struct linkfile *f)
{
	return atomic_load(&f->damaged);
}

bool linkfile_has_moved(const struct linkfile *f)
{
	return f->head.has_moved;
}

bool linkfile_has_byte(const struct linkfile *f, uint8_t first_byte)
{
	return f->head.first_bytes[first_byte / 8] >> first_byte % 8 & 1;
}

void linkfile_cursor_init(struct linkfile_cursor *c, const struct linkfile *f,
			  enum linkfile_part part, uint64_t first)
{
	c->file = f;
	c->part = part;
	c->next = first;
	c->held = 0;
}

int linkfile_next(struct linkfile_cursor *c, void *record)
{
	const struct head *h = &c->file->head;
	uint64_t number = h->first_block[c->part] + c->next / per_block(c->part);

	if (c->next >= h->count[c->part])
		return LINKFILE_ABSENT;
	if (number != c->held) {
		int r = read_block(c->file, number, c->block);

		if (r < 0)
			return r;
		c->held = number;
	}
	memcpy(record,
	       (const uint8_t *)c->block + c->next % per_block(c->part) * record_bytes[c->part],
	       record_bytes[c->part]);
	c->next++;
	return 0;
}

/* ---- looking at one place ---- */

/* As a cursor, but blocks come from the cache and go to it: what is read in order would only push out what others come back to. */
struct place_in {
	const struct linkfile *file;
	enum linkfile_part part;
	uint64_t next, held;
	struct linkcache_block *block; /* that is held */
};

static void place_deinit(struct place_in *p)
{
	linkcache_block_unref(p->block);
}
#define _cleanup_place_ _cleanup_(place_deinit)

static int hold(struct place_in *p, uint64_t number)
{
	const struct linkfile *f = p->file;
	int r = 0;

	if (number == p->held)
		return 0;
	linkcache_block_unref(p->block);
	p->held = 0;
	p->block = f->cache ? linkcache_find(f->cache, f->cached_as, number) : NULL;
	if (!p->block) {
		p->block = linkcache_block_new();
		r = p->block ? read_block(f, number, p->block->data) : -ENOMEM;
		if (r == 0 && f->cache)
			linkcache_put(f->cache, f->cached_as, number, p->block);
	}
	if (r == 0)
		p->held = number;
	return r;
}

static int take_next(struct place_in *p, void *record)
{
	uint64_t per = per_block(p->part);
	size_t len = record_bytes[p->part];
	int r;

	if (p->next >= p->file->head.count[p->part])
		return LINKFILE_ABSENT;
	r = hold(p, p->file->head.first_block[p->part] + p->next / per);
	if (r == 0)
		memcpy(record, p->block->data + p->next++ % per * len, len);
	return r;
}

int linkfile_get(const struct linkfile *f, enum linkfile_part part, uint64_t i, void *record)
{
	_cleanup_place_ struct place_in p = { .file = f, .part = part, .next = i };
	int r = take_next(&p, record);

	if (r != LINKFILE_ABSENT)
		return r;
	atomic_store(f->note, true);
	return -EBADMSG;
}

/* The u64 that a record of a sorted part begins with. */
static uint64_t key_at(const void *block, enum linkfile_part part, uint64_t i)
{
	uint64_t key;

	memcpy(&key, (const uint8_t *)block + i * record_bytes[part], sizeof(key));
	return key;
}

/* In the block that is held: the first record whose key is at least `want`; record `last` has such a one. */
static uint64_t first_in(const struct place_in *p, uint64_t want, uint64_t last)
{
	uint64_t low = 0, high = last;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (key_at(p->block->data, p->part, mid) < want)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * The first record whose key is at least `want`, by a guess: keys are digests, spread evenly over `bits` bits. The block that is looked for is the first whose last key
 * is no smaller.
 */
static int seek(struct place_in *p, uint64_t want, int bits)
{
	const struct head *h = &p->file->head;
	uint64_t per = per_block(p->part), count = h->count[p->part], low = 0,
		 high = (count + per - 1) / per, step = 1;
	uint64_t at =
		(uint64_t)((double)want / (double)(UINT64_C(1) << (bits - 1)) / 2 * (double)high);
	bool is_above = false, is_below = false; /* what a block said of where to go on */

	p->next = count;
	while (low < high) {
		uint64_t last;
		int r;

		if (is_above && is_below)
			at = low + (high - low) / 2;
		at = MIN_OF(MAX_OF(at, low), high - 1);
		r = hold(p, h->first_block[p->part] + at);
		if (r < 0)
			return r;
		last = MIN_OF(per, count - at * per) - 1;
		if (key_at(p->block->data, p->part, last) < want) {
			low = at + 1;
			at += step;
			is_above = true;
		} else if (at > low && key_at(p->block->data, p->part, 0) >= want) {
			high = at; /* it may begin in a block before */
			p->next = at * per;
			at = at > step ? at - step : 0;
			is_below = true;
		} else {
			p->next = at * per + first_in(p, want, last);
			return 0;
		}
		step *= 2;
	}
	return 0;
}

int linkfile_find_run(const struct linkfile *f, const struct link_key *key, struct link_run *ret,
		      uint32_t *ret_number)
{
	_cleanup_place_ struct place_in p = { .file = f, .part = LINKFILE_RUNS };
	struct link_run run;
	int r = seek(&p, key->high, 64);

	while (r == 0) {
		r = take_next(&p, &run);
		if (r == 0 && run.key.high != key->high)
			return LINKFILE_ABSENT;
		if (r == 0 && run.key.low == key->low) {
			*ret = run;
			*ret_number = (uint32_t)(p.next - 1);
			return 0;
		}
	}
	return r;
}

int linkfile_each(const struct linkfile *f, uint64_t ino, linkfile_fn *fn, void *ctx)
{
	_cleanup_place_ struct place_in p = { .file = f, .part = LINKFILE_LINKS };
	struct link l;
	int r = seek(&p, ino, 62);

	while (r == 0) {
		r = take_next(&p, &l);
		if (r == LINKFILE_ABSENT || (r == 0 && l.ino != ino))
			return 0;
		if (r == 0)
			r = fn(ctx, &l);
	}
	return r;
}

int linkfile_find_backup(const struct linkfile *f, const struct ulid *writer,
			 struct link_backup *ret)
{
	uint64_t low = 0, high = f->head.count[LINKFILE_BACKUPS];

	while (low < high) {
		uint64_t at = low + (high - low) / 2;
		struct link_backup b;
		int r = linkfile_get(f, LINKFILE_BACKUPS, at, &b), order;

		if (r < 0)
			return r;
		order = memcmp(&b.writer, writer, sizeof(*writer));
		if (order == 0) {
			*ret = b;
			return 0;
		}
		if (order < 0)
			low = at + 1;
		else
			high = at;
	}
	return LINKFILE_ABSENT;
}

/* ---- writing ---- */

int linkfile_writer_new(int dir_fd, const struct node_name *n, uint64_t nonce, uint64_t max_bytes,
			struct linkfile_writer **ret)
{
	struct linkfile_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->dir_fd = dir_fd;
	w->fd = spill_file(dir_fd);
	if (w->fd < 0) {
		r = w->fd;
		free(w);
		return r;
	}
	w->max_bytes = max_bytes;
	w->block_number = 1;
	linkfile_name(n, w->name);
	w->head.magic = MAGIC;
	w->head.node = digest_of_name(n);
	memcpy(w->head.record_bytes, record_bytes, sizeof(record_bytes));
	w->head.first_block[0] = 1;
	w->head.nonce = nonce;
	*ret = w;
	return 0;
}

void linkfile_writer_free(struct linkfile_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

static int put_block(struct linkfile_writer *w, uint64_t number)
{
	uint64_t tag = w->head.nonce + number, sum;

	if ((number + 1) * BLOCK_BYTES > w->max_bytes)
		return -ENOSPC;
	memcpy(w->block + TAG_AT, &tag, sizeof(tag));
	sum = digest_xxh64(w->block, SUM_AT);
	memcpy(w->block + SUM_AT, &sum, sizeof(sum));
	return io_pwrite_full(w->fd, w->block, BLOCK_BYTES, number * BLOCK_BYTES);
}

static int flush_block(struct linkfile_writer *w)
{
	int r = w->in_block > 0 ? put_block(w, w->block_number) : 0;

	if (w->in_block > 0)
		w->block_number++;
	w->in_block = 0;
	memset(w->block, 0, sizeof(w->block));
	return r;
}

static int go_to_part(struct linkfile_writer *w, int part)
{
	int r = 0;

	while (r == 0 && (int)w->part < part) {
		r = flush_block(w);
		w->head.first_block[++w->part] = w->block_number;
	}
	return r;
}

int linkfile_append(struct linkfile_writer *w, enum linkfile_part part, const void *record)
{
	int r = go_to_part(w, part);

	if (r == 0 && w->in_block == per_block(part))
		r = flush_block(w);
	if (r < 0)
		return r;
	memcpy(w->block + w->in_block++ * record_bytes[part], record, record_bytes[part]);
	w->head.count[part]++;
	if (part == LINKFILE_LINKS) {
		uint8_t first = link_first_byte(record);

		w->head.first_bytes[first / 8] |= (uint8_t)(1 << first % 8);
	}
	return 0;
}

/* A name for what has none: in two steps, as a link replaces nothing. */
static void publish(const struct linkfile_writer *w)
{
	char self[48], fresh[LINKFILE_NAME_BYTES + 4];

	if (w->dir_fd < 0)
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", w->fd);
	snprintf(fresh, sizeof(fresh), "%s.new", w->name);
	io_remove_tree(w->dir_fd, fresh);
	if (linkat(AT_FDCWD, self, w->dir_fd, fresh, AT_SYMLINK_FOLLOW) == 0 &&
	    renameat(w->dir_fd, fresh, w->dir_fd, w->name) < 0)
		io_remove_tree(w->dir_fd, fresh);
}

int linkfile_finish(struct linkfile_writer *w, bool has_moved, struct linkfile **ret)
{
	struct linkfile *f;
	int r = go_to_part(w, LINKFILE_PARTS);

	if (r < 0)
		return r;
	w->head.has_moved = has_moved;
	memcpy(w->block, &w->head, sizeof(w->head));
	r = put_block(w, 0);
	if (r < 0)
		return r;
	publish(w);
	f = linkfile_new(w->fd);
	if (!f)
		return -ENOMEM;
	f->head = w->head;
	w->fd = -1;
	*ret = f;
	return 0;
}

void linkfile_remove(int dir_fd, const struct node_name *n)
{
	char name[LINKFILE_NAME_BYTES];

	linkfile_name(n, name);
	if (dir_fd >= 0)
		io_remove_tree(dir_fd, name);
}
