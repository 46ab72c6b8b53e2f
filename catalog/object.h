/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects: a head and frames (docs/format.md, "Objects"). The same container holds data (objects/) and metadata (trees/).
 *
 *   head  = "SSTFSOB1" u16 version=1 u16 flags u32 frame_count u64 plain_bytes, then for each frame
 *           u32 stored_bytes u32 plain_bytes sha256[32] xxh3_128[16]
 *   flags = bit 0 RAW: every frame is raw; bit 1 UNIFORM: every frame but the last has FORMAT_FRAME_BYTES plain bytes
 *   body  = the stored frames, one after the other
 *   id    = SHA-256("sstablefs/1 object\0" head)
 *
 * A frame is raw where stored_bytes = plain_bytes, zstd where it is smaller; larger is corrupt. Frames have 1 to FORMAT_FRAME_BYTES plain bytes.
 * Both flags must say what the table says. Everything here is pure computation on memory.
 */
#ifndef SSTABLEFS_CATALOG_OBJECT_H
#define SSTABLEFS_CATALOG_OBJECT_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/zstd.h"
#include "catalog/format.h"

enum { OBJECT_RAW = 1, OBJECT_UNIFORM = 2 };

struct object_frame {
	uint32_t stored_bytes, plain_bytes;
	uint32_t stored_offset, plain_offset; /* computed: in the body, in the content */
	struct id256 sha256;
	struct xxh128 xxh;
};

/* A parsed or built head. Free with object_head_free. Immutable once made: may be shared between threads. */
struct object_head {
	struct id256 id;
	uint32_t head_bytes, stored_bytes /* of the body */, plain_bytes;
	unsigned flags;
	uint32_t frame_count;
	struct object_frame frames[];
};

enum object_verify { OBJECT_VERIFY_XXH3, OBJECT_VERIFY_SHA256 };

/* Parses exactly head_len bytes and checks that they hash to `id`. -EBADMSG with ERR_CORRUPT. */
int object_head_parse(const void *head, size_t head_len_bytes, const struct id256 *id,
		      struct object_head **ret, struct err *e);
/* How long the head is that begins with these FORMAT_HEAD_FIXED_BYTES bytes: > 0, or -EBADMSG. */
ssize_t object_head_length(const void *first_bytes);
void object_head_free(struct object_head *h);
/* Writes a head whose counts and frames are filled into out (24 + 56 bytes for each frame), and sets flags, head_bytes and id. */
void object_head_encode(struct object_head *h, void *out);
DEFINE_CLEANUP(struct object_head *, object_head_free);

/*
 * Frame i from its stored bytes into dst (plain_bytes of it), verified. stored may equal dst for a raw frame (then nothing is copied).
 * z may be NULL where the frame is raw. 0, or -EBADMSG with ERR_CORRUPT naming the frame; dst's content is then undefined and must not be used.
 */
int object_frame_decode(const struct object_head *h, uint32_t i, const void *stored, void *dst,
			struct zcodec *z, enum object_verify how, struct err *e);
/* Checks plain bytes of frame i that come from a cache. 0 or -EBADMSG. */
int object_frame_check(const struct object_head *h, uint32_t i, const void *plain,
		       enum object_verify how, struct err *e);
/* The frame that holds plain offset `offset` (< plain_bytes). */
uint32_t object_frame_at(const struct object_head *h, uint32_t offset);

/* ---- building ---- */

enum object_compression { OBJECT_COMPRESS_NONE, OBJECT_COMPRESS_ZSTD };

/* Frame digests of a piece of content that begins at a frame boundary of its file. digests[] has room for (len + FRAME - 1) / FRAME. */
struct frame_digest {
	struct id256 sha256;
	struct xxh128 xxh;
};
void object_digest_frames(const void *data, size_t len_bytes, struct frame_digest *digests);

/* Collects pieces (each begins a new frame) into one object. One thread at a time. */
struct object_builder;
struct object_builder *object_builder_new(
	enum object_compression compression); /* NULL: out of memory */
void object_builder_free(struct object_builder *b);
void object_builder_reset(struct object_builder *b);
/* Whether a piece of that many bytes still fits (plain bytes and frames). */
bool object_builder_fits(const struct object_builder *b, size_t len_bytes);
/* Adds a piece: bytes are compressed where that pays and copied, or (borrow = true and stored raw) only referred to until the object was taken. digests may be NULL: computed. ret_offset: plain offset of the piece. After a failure only reset and free are allowed. */
int object_builder_add(struct object_builder *b, const void *data, size_t len_bytes, bool borrow,
		       const struct frame_digest *digests, uint32_t *ret_offset, struct err *e);
uint32_t object_builder_plain_bytes(const struct object_builder *b);
/* Ends the object: its head, id and the bytes to put, as iovecs valid until reset or free. */
struct object_image {
	struct id256 id;
	const struct object_head *head; /* borrowed */
	const struct iovec *iov;
	int iov_count;
	uint64_t total_bytes; /* head and body */
};
int object_builder_finish(struct object_builder *b, struct object_image *ret, struct err *e);
DEFINE_CLEANUP(struct object_builder *, object_builder_free);

/* ---- content ids ---- */

/* SHA-256("sstablefs/1 content\0" size as u64 sha256 of each frame). */
struct content_hasher;
struct content_hasher *content_hasher_new(uint64_t size_bytes); /* NULL: out of memory */
void content_hasher_free(struct content_hasher *h);
void content_hasher_frame(struct content_hasher *h, const struct id256 *frame_sha256);
struct id256 content_hasher_final(struct content_hasher *h);
DEFINE_CLEANUP(struct content_hasher *, content_hasher_free);
/* Of content in memory: at most FORMAT_OBJECT_BYTES. */
struct id256 content_id(const void *data, size_t len_bytes);

#endif
