/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/object.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/*
 * Where compression pays is decided for each frame on its own piece alone, so that the same piece always gives the same bytes.
 *
 * A frame is compressed where that saves a quarter of it, and 512 bytes. What Cassandra compressed before (LZ4 as a rule) mostly saves 0 to 20 %
 * and would cost 2 to 5 s of CPU for each GB, and a second more for each GB read; what it did not compress saves 60 % and more. After a frame that did
 * not pay the next 15 of its piece are not tried, for data is alike from one end of a file to the other: the trials that fail cost 0.02 to 0.3 s per GB
 * (measured: docs/format.md, "When a frame is compressed").
 */
#define COMPRESS_LEVEL 1
#define COMPRESS_SAVES_PART 4 /* a quarter */
#define COMPRESS_SAVES_AT_LEAST 512
#define COMPRESS_SKIPS 15 /* frames that are stored raw, untried, after one where it did not pay */

/* Of borrowed segments; more pieces are copied, so that an image stays far below IOV_MAX. */
#define SEGMENTS_MAX 256

struct segment {
	const void *borrowed; /* NULL: in the builder's own buffer, at `offset` */
	size_t offset, len;
};

struct object_builder {
	enum object_compression compression;
	struct zcodec *codec;
	struct object_head *head; /* with room for FORMAT_PACK_FRAMES */
	struct wbuf own;	  /* frames that were compressed or copied */
	struct segment segments[SEGMENTS_MAX];
	size_t segment_count;
	struct iovec iov[SEGMENTS_MAX + 1];
	uint8_t head_bytes[FORMAT_HEAD_MAX_BYTES];
};

struct object_builder *object_builder_new(enum object_compression compression)
{
	_cleanup_(object_builder_freep) struct object_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->compression = compression;
	wbuf_init(&b->own, FORMAT_OBJECT_BYTES);
	b->head = calloc(1, sizeof(*b->head) + FORMAT_PACK_FRAMES * sizeof(b->head->frames[0]));
	b->codec = zcodec_new();
	if (!b->head || !b->codec)
		return NULL;
	return steal_pointer(&b);
}

void object_builder_free(struct object_builder *b)
{
	if (!b)
		return;
	zcodec_free(b->codec);
	free(b->head);
	wbuf_deinit(&b->own);
	free(b);
}

void object_builder_reset(struct object_builder *b)
{
	wbuf_reset(&b->own);
	b->segment_count = 0;
	b->head->frame_count = 0;
	b->head->plain_bytes = 0;
	b->head->stored_bytes = 0;
}

bool object_builder_fits(const struct object_builder *b, size_t len_bytes)
{
	if (len_bytes > FORMAT_OBJECT_BYTES - b->head->plain_bytes)
		return false;
	return (len_bytes + FORMAT_FRAME_BYTES - 1) / FORMAT_FRAME_BYTES <=
	       FORMAT_PACK_FRAMES - b->head->frame_count;
}

uint32_t object_builder_plain_bytes(const struct object_builder *b)
{
	return b->head->plain_bytes;
}

/* The segment that the next bytes belong to, where they follow on; NULL where a new one begins. */
static struct segment *continued(struct object_builder *b, const void *borrowed)
{
	struct segment *s = b->segment_count > 0 ? &b->segments[b->segment_count - 1] : NULL;

	if (!s || !s->borrowed != !borrowed)
		return NULL;
	if (borrowed && (const uint8_t *)s->borrowed + s->len != borrowed)
		return NULL;
	return s;
}

static void append_segment(struct object_builder *b, const void *borrowed, size_t offset,
			   size_t len)
{
	struct segment *s = continued(b, borrowed);

	if (s)
		s->len += len;
	else
		b->segments[b->segment_count++] =
			(struct segment){ .borrowed = borrowed, .offset = offset, .len = len };
}

/* Whether a borrowed segment may still be added: after each one there must be room for an own one that takes the rest. */
static bool may_borrow(const struct object_builder *b)
{
	return b->segment_count + 2 < SEGMENTS_MAX;
}

/* The frame compressed, at the end of the own buffer. Its length; 0 where that does not pay; -ENOMEM. */
static ssize_t compress_frame(struct object_builder *b, const void *data, size_t len)
{
	size_t saved = MAX_OF(len / COMPRESS_SAVES_PART, (size_t)COMPRESS_SAVES_AT_LEAST);
	size_t start = b->own.len;
	ssize_t n;
	void *dst;

	if (len <= saved)
		return 0;
	dst = wbuf_reserve(&b->own, len - saved);
	if (!dst)
		return -ENOMEM;
	n = zcodec_compress(b->codec, dst, len - saved, data, len, COMPRESS_LEVEL);
	b->own.len = start + (n > 0 ? (size_t)n : 0);
	return n == -ENOSPC ? 0 : n;
}

/* Stores a frame in one of the three ways. Stored bytes, or -ENOMEM. */
static ssize_t store_frame(struct object_builder *b, const void *data, size_t len, bool borrow,
			   bool try_compress)
{
	size_t start = b->own.len;
	ssize_t n = 0;

	if (try_compress)
		n = compress_frame(b, data, len);
	if (n < 0)
		return n;
	if (n > 0) {
		append_segment(b, NULL, start, (size_t)n);
	} else if (borrow && may_borrow(b)) {
		append_segment(b, data, 0, len);
	} else {
		wbuf_put(&b->own, data, len);
		if (wbuf_error(&b->own) < 0)
			return -ENOMEM;
		append_segment(b, NULL, start, len);
	}
	return n > 0 ? n : (ssize_t)len;
}

static int add_frames(struct object_builder *b, const uint8_t *data, size_t len_bytes, bool borrow,
		      const struct frame_digest *digests)
{
	struct object_head *h = b->head;
	unsigned skip = 0;

	for (size_t done = 0; done < len_bytes; done += FORMAT_FRAME_BYTES) {
		struct object_frame *f = &h->frames[h->frame_count];
		size_t len = MIN_OF(len_bytes - done, FORMAT_FRAME_BYTES);
		bool try_compress = b->compression == OBJECT_COMPRESS_ZSTD && skip == 0;
		struct frame_digest digest;
		ssize_t n;

		if (digests)
			digest = digests[done / FORMAT_FRAME_BYTES];
		else
			object_digest_frames(data + done, len, &digest);
		n = store_frame(b, data + done, len, borrow, try_compress);
		if (n < 0)
			return (int)n;
		if (skip > 0)
			skip--;
		else if (try_compress && (size_t)n == len)
			skip = COMPRESS_SKIPS;
		*f = (struct object_frame){ .stored_bytes = (uint32_t)n,
					    .plain_bytes = (uint32_t)len,
					    .stored_offset = h->stored_bytes,
					    .plain_offset = h->plain_bytes,
					    .sha256 = digest.sha256,
					    .xxh = digest.xxh };
		h->frame_count++;
		h->stored_bytes += f->stored_bytes;
		h->plain_bytes += f->plain_bytes;
	}
	return 0;
}

int object_builder_add(struct object_builder *b, const void *data, size_t len_bytes, bool borrow,
		       const struct frame_digest *digests, uint32_t *ret_offset, struct err *e)
{
	uint32_t offset = b->head->plain_bytes;
	int r;

	if (len_bytes == 0 || !object_builder_fits(b, len_bytes))
		return err_set(e, ERR_IO, -EINVAL, "a piece of %zu bytes does not fit the object",
			       len_bytes);
	r = add_frames(b, data, len_bytes, borrow, digests);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0)
		return err_set(e, ERR_IO, r, "zstd cannot compress a frame");
	*ret_offset = offset;
	return 0;
}

int object_builder_finish(struct object_builder *b, struct object_image *ret, struct err *e)
{
	struct object_head *h = b->head;

	if (h->frame_count == 0)
		return err_set(e, ERR_IO, -EINVAL, "an object must not be empty");
	object_head_encode(h, b->head_bytes);
	b->iov[0] = (struct iovec){ .iov_base = b->head_bytes, .iov_len = h->head_bytes };
	for (size_t i = 0; i < b->segment_count; i++) {
		const struct segment *s = &b->segments[i];
		const void *base = s->borrowed ? s->borrowed : b->own.data + s->offset;

		b->iov[i + 1] =
			(struct iovec){ .iov_base = (void *)(uintptr_t)base, .iov_len = s->len };
	}
	*ret = (struct object_image){ .id = h->id,
				      .head = h,
				      .iov = b->iov,
				      .iov_count = (int)b->segment_count + 1,
				      .total_bytes = (uint64_t)h->head_bytes + h->stored_bytes };
	return 0;
}
