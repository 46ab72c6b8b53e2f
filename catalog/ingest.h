/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a snapshot become contents in the store, each byte read once.
 *
 *   main thread                     hashing threads (jobs)            uploading threads (connections)
 *   cuts files into pieces    ->    read, take digests; a piece  ->   PUT, then the buffer is free again
 *   takes finished pieces in        of 1 MiB or more becomes an
 *   order: content ids, reuse,      object of its own here
 *   packs  ----------------------------------------------------->
 *
 * Pieces are begun in order, as far ahead as buffers allow: large ones need one of a fixed number of buffers, which the upload gives back; small
 * ones need a share of a budget, which the main thread gives back when it takes them. So the first piece in the queue always has its memory, and
 * nobody waits for somebody who waits for him.
 */
#ifndef SSTABLEFS_CATALOG_INGEST_H
#define SSTABLEFS_CATALOG_INGEST_H

#include "cassandra/snapshot.h"
#include "catalog/known.h"
#include "catalog/packer.h"
#include "catalog/piece.h"

/* A file that was read, whole and unchanged, or that a hint speaks for. */
struct ingest_file {
	struct stamp stamp; /* as it was while it was read, or when it was found */
	struct id256 id;
	uint32_t crc; /* CRC-32 of the content, of an SSTable's Data.db only */
	const void *
		inline_data; /* where it has at most FORMAT_INLINE_BYTES: borrowed during the call */
	struct content *
		content; /* else: borrowed during the call; its last extent may still be unplaced */
};

/* Called by the main thread for each file, in the snapshot's order. */
typedef int ingest_file_fn(void *ctx, size_t index, const struct ingest_file *file, struct err *e);

struct hints;

struct ingest_options {
	const struct snapshot *snapshot;
	struct known *known;
	struct hints *hints;   /* what need not be read; may be NULL */
	struct decay *decay;   /* what is stored anew; may be NULL */
	struct packer *packer; /* for data */
	struct packer *
		survivors; /* for what is stored anew: apart, as it will live longer than what is new */
	struct upload *upload;
	struct work *work;
	struct ulid writer;
	enum object_compression compression;
	unsigned jobs;
	unsigned large_buffers;	   /* 8 MiB each, twice that with compression; >= 1 */
	uint64_t small_bytes;	   /* for pieces below FORMAT_OWN_OBJECT_BYTES that are under way */
	struct progress *progress; /* may be NULL */
	ingest_file_fn *file;
	void *ctx;
};

/*
 * Runs in the caller's thread. A file that is not what the snapshot says, or that changes while it is read, is read again, at most three times; then ERR_IO naming it. What was
 * handed to the packer last is still in its open object. On failure everything is stopped by work_fail.
 */
int ingest_run(const struct ingest_options *o, struct err *e);

#endif
