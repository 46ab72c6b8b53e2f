/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file in which a backup remembers what it read (catalog/hints.h): a header, then blocks of entries in the snapshot's order, written and read as a stream so that a
 * million files take no memory. Local state, in the byte order of this host's programs (little-endian), of no other use than this.
 *
 *   header: "SSFSHINT", u32 version, 32 bytes of scope (whose state it is), u64 inode of the file itself, i64 wall clock at the start of the backup; SHA-256 of these
 *   block:  u32 length of the payload, SHA-256(digest before it, payload), payload. "Before it" is the header's for the first.
 *   payload: entries, a directory first: u8 1, string path | u8 2, string name, u32 data directory, u64 inode, u64 size, i64 mtime, i64 birth time,
 *   u32 CRC-32, 32 bytes of content id, and the content itself where it has at most FORMAT_INLINE_BYTES.
 *
 * So a block is believed only in the file, at the place and for the scope for which it was written; a copy has another inode. Whatever does not fit ends the reading. One thread.
 */
#ifndef SSTABLEFS_CATALOG_HINTFILE_H
#define SSTABLEFS_CATALOG_HINTFILE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "catalog/format.h"

#define HINTFILE_VERSION 1
#define HINTFILE_BLOCK_BYTES (64 * KIB) /* a payload is closed once it has so many */
#define HINTFILE_BLOCK_MAX (HINTFILE_BLOCK_BYTES + FORMAT_PATH_BYTES + FORMAT_FILE_NAME_BYTES + KIB)
#define HINTFILE_BYTES (512 * MIB) /* of a file at most: some five million entries */

struct hint {
	const char *dir, *name; /* path below the backup; borrowed from the reader until the next */
	uint32_t data_dir;
	uint64_t ino, size_bytes;
	int64_t mtime_ns, btime_ns;
	uint32_t crc;
	struct id256 id;
	const void *
		inline_data; /* size_bytes of it where these are at most FORMAT_INLINE_BYTES, else NULL */
};

/* ---- entries ---- */

struct hintfile_names { /* of the entry before, and the room for this one's */
	char dir[FORMAT_PATH_BYTES + 1];
	char name[FORMAT_FILE_NAME_BYTES + 1];
	bool has_dir;
};
/* The next entry of a payload: 0, HINTFILE_END at its end, or -EBADMSG. */
enum { HINTFILE_END = 1 };
int hintfile_parse(struct rbuf *b, struct hintfile_names *n, struct hint *ret);

/* ---- reading ---- */

struct hintfile_reader;
/* Owns fd, also where it fails. HINTFILE_END: not of this scope, version or file, or damaged: *ret_why says so. -ENOMEM. */
int hintfile_open(int fd, const struct id256 *scope, struct hintfile_reader **ret,
		  const char **ret_why);
void hintfile_close(struct hintfile_reader *r);
DEFINE_CLEANUP(struct hintfile_reader *, hintfile_close);
int64_t hintfile_started_ns(const struct hintfile_reader *r);
/* 0 or HINTFILE_END; then hintfile_damage says whether that is where it was written to end: NULL, or why not. */
int hintfile_next(struct hintfile_reader *r, struct hint *ret);
const char *hintfile_damage(const struct hintfile_reader *r);

/* ---- writing ---- */

struct hintfile_writer;
/* Into the empty file fd, which is borrowed. 0 or -errno; -EFBIG from HINTFILE_BYTES on. After the first failure all fail. */
int hintfile_create(int fd, const struct id256 *scope, int64_t started_ns,
		    struct hintfile_writer **ret);
int hintfile_add(struct hintfile_writer *w, const struct hint *h);
int hintfile_finish(struct hintfile_writer *w); /* writes what is left */
void hintfile_free(struct hintfile_writer *w);
DEFINE_CLEANUP(struct hintfile_writer *, hintfile_free);

#endif
