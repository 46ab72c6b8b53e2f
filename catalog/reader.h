/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files of backups through the cache of blocks: the mount's read path. One struct reader serves a mount; a struct stream belongs to one open
 * file (any threads may read through it at once) and watches its pattern: sequential readers get objects fetched ahead, in parallel, in
 * windows that double; random readers get the frames that they ask for.
 */
#ifndef SSTABLEFS_CATALOG_READER_H
#define SSTABLEFS_CATALOG_READER_H

#include "cache/blocks.h"
#include "catalog/source.h"
#include "catalog/tree.h"

struct reader_options {
	struct source *source;	 /* borrowed */
	uint64_t memory_bytes;	 /* for blocks */
	unsigned connections;	 /* loads at once */
	struct kv *kv;		 /* NULL: no disk cache */
	const char *ring_path;
	uint64_t ring_bytes;
	struct metrics *metrics;
};

struct reader;
int reader_new(const struct reader_options *o, struct reader **ret, struct err *e);
void reader_free(struct reader *r); /* no stream may be open */
DEFINE_CLEANUP(struct reader *, reader_free);

/* A file of more than FORMAT_INLINE_BYTES; the extents are copied. */
struct stream;
int stream_open(struct reader *r, const struct node_name *n, uint64_t size_bytes, const struct extent *extents, size_t extent_count, struct stream **ret,
		struct err *e);
void stream_close(struct stream *s);

#define STREAM_PIECES 12
struct stream_read { /* what was read: iovecs over pinned blocks */
	struct iovec iov[STREAM_PIECES];
	int iov_count;
	size_t len_bytes;
	struct block_pin pins[STREAM_PIECES];
	int pin_count;
};
enum { STREAM_WOULD_BLOCK = 1 };
/* [offset, offset + len) cut at the end of the file, and where more than STREAM_PIECES pieces would be needed (then copied into one buffer by the caller's further calls: a short result that is not at the end of file means "call again"). wait = false: STREAM_WOULD_BLOCK. */
int stream_read(struct stream *s, uint64_t offset, size_t len_bytes, bool wait, struct stream_read *ret, const struct cancel *c, struct err *e);
void stream_release(struct stream *s, struct stream_read *rd);

/* Starts fetching what holds this file's content (a small file's pack; a large file's first object): a hint by directory order. Never blocks. */
void reader_hint(struct reader *r, const struct node_name *n, const struct extent *extents, size_t extent_count);
uint64_t reader_memory(struct reader *r);

#endif
