/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading files of backups through the cache of blocks: the mount's read path. One struct reader serves a mount; a struct stream belongs to one open
 * file (any threads may read through it at once) and watches its pattern (catalog/window.h): sequential readers get objects fetched ahead, in parallel, in
 * windows that double; random readers get the frames that they ask for. Three quarters of the memory are shared by the windows of those who read in order now.
 */
#ifndef SSTABLEFS_CATALOG_READER_H
#define SSTABLEFS_CATALOG_READER_H

#include <sys/uio.h>
#include "cache/blocks.h"
#include "catalog/source.h"
#include "catalog/tree.h"

struct reader_options {
	struct source *source; /* borrowed */
	uint64_t memory_bytes; /* for blocks: at least BLOCKS_MIN_MEMORY */
	unsigned connections;  /* loads at once, at least 1 */
	struct kv *kv;	       /* NULL: no disk cache */
	const char *ring_path;
	uint64_t ring_bytes;
	struct metrics *metrics;
};

struct reader;
int reader_new(const struct reader_options *o, struct reader **ret, struct err *e);
void reader_free(struct reader *r); /* no stream may be open; loads under way are cancelled */
DEFINE_CLEANUP(struct reader *, reader_free);

/* A file of more than FORMAT_INLINE_BYTES; the extents are copied. -EBADMSG (ERR_CORRUPT): they do not make up the file. */
struct stream;
int stream_open(struct reader *r, const struct node_name *n, uint64_t size_bytes,
		const struct extent *extents, size_t extent_count, struct stream **ret,
		struct err *e);
void stream_close(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_close);

#define STREAM_PIECES 12
struct stream_read { /* what was read: iovecs over pinned blocks */
	struct iovec iov[STREAM_PIECES];
	int iov_count;
	size_t len_bytes;
	struct block_pin pins[STREAM_PIECES];
	int pin_count;
};
enum { STREAM_WOULD_BLOCK = 1 };
/*
 * [offset, offset + len) cut at the end of the file. wait = false: STREAM_WOULD_BLOCK where it is not in memory; nothing is started then.
 * A result may be shorter though the file goes on: where more than STREAM_PIECES pieces would be needed, or memory is too short to pin all at once. Then
 * copy, release and call again: nobody may wait here while holding another read.
 */
int stream_read(struct stream *s, uint64_t offset, size_t len_bytes, bool wait,
		struct stream_read *ret, const struct cancel *c, struct err *e);
void stream_release(struct stream *s, struct stream_read *rd);

/* A file was opened: starts fetching the pack that holds a small file. Of a large one nothing: who opens it may not read it. Never blocks. */
void reader_hint(struct reader *r, const struct node_name *n, const struct extent *extents,
		 size_t extent_count);
/*
 * It is likely that the file will be opened next: fetches [from, to) of it, extent by extent, as far as memory
 * allows, and not at the cost of what others fetch ahead. Returns how far it came. Never blocks. as_packed: the files come in the order in which
 * they lie in packs, so that all of a pack is wanted; else perhaps only this part.
 */
uint64_t reader_expect(struct reader *r, const struct node_name *n, const struct extent *extents,
		       size_t extent_count, uint64_t from, uint64_t to, bool as_packed);
/* Whether it reads from these very places. */
bool stream_is_over(const struct stream *s, const struct extent *extents, size_t extent_count);
/* The file was opened because its turn had come: it is fetched as far ahead from its start on as one that was read for long. Before the first read. */
void stream_expected(struct stream *s);
/* How far ahead of a reader in order is fetched now. */
uint64_t reader_window(struct reader *r);
/* Everybody who waits in stream_read looks at its cancel token now. */
void reader_wake(struct reader *r);
uint64_t reader_memory(struct reader *r);
/* Others use so much of memory_bytes now: that and BLOCKS_MIN_MEMORY are at most memory_bytes. Waits for nothing; calls one after the other. */
void reader_lend(struct reader *r, uint64_t bytes);

#endif
