/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/object.h"

#include <errno.h>
#include <string.h>

#define OBJECT_PREFIX "sstablefs/1 object" /* hashed with its NUL */
#define OBJECT_MAGIC "SSTFSOB1"
#define OBJECT_MAGIC_BYTES 8

static int corrupt(struct err *e, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "the head of the object is damaged: %s", why);
}

/* The fixed part. NULL, or what is wrong with it. */
static const char *read_fixed(struct rbuf *b, uint16_t *ret_flags, uint32_t *ret_frame_count,
			      uint64_t *ret_plain_bytes)
{
	const uint8_t *magic = rbuf_take(b, OBJECT_MAGIC_BYTES);
	uint16_t version = rbuf_u16(b);

	*ret_flags = rbuf_u16(b);
	*ret_frame_count = rbuf_u32(b);
	*ret_plain_bytes = rbuf_u64(b);
	if (rbuf_error(b) < 0)
		return "it is cut short";
	if (memcmp(magic, OBJECT_MAGIC, OBJECT_MAGIC_BYTES) != 0)
		return "it does not begin with " OBJECT_MAGIC;
	if (version != FORMAT_VERSION)
		return "its version is not 1";
	if (*ret_flags & ~(OBJECT_RAW | OBJECT_UNIFORM))
		return "it has unknown flags";
	if (*ret_frame_count < 1 || *ret_frame_count > FORMAT_PACK_FRAMES)
		return "its number of frames is out of range";
	if (*ret_plain_bytes < *ret_frame_count || *ret_plain_bytes > FORMAT_OBJECT_BYTES)
		return "its size is out of range";
	return NULL;
}

ssize_t object_head_length(const void *first_bytes)
{
	struct rbuf b = rbuf_over(first_bytes, FORMAT_HEAD_FIXED_BYTES);
	uint32_t frame_count;
	uint64_t plain_bytes;
	uint16_t flags;

	if (read_fixed(&b, &flags, &frame_count, &plain_bytes))
		return -EBADMSG;
	return FORMAT_HEAD_FIXED_BYTES + (ssize_t)FORMAT_HEAD_FRAME_BYTES * frame_count;
}

static unsigned flags_of(const struct object_head *h)
{
	unsigned flags = OBJECT_RAW | OBJECT_UNIFORM;

	for (uint32_t i = 0; i < h->frame_count; i++) {
		const struct object_frame *f = &h->frames[i];

		if (f->stored_bytes < f->plain_bytes)
			flags &= ~(unsigned)OBJECT_RAW;
		if (i + 1 < h->frame_count && f->plain_bytes != FORMAT_FRAME_BYTES)
			flags &= ~(unsigned)OBJECT_UNIFORM;
	}
	return flags;
}

/* The frame table, whose length was checked. NULL, or what is wrong with it. */
static const char *read_frames(struct rbuf *b, struct object_head *h)
{
	for (uint32_t i = 0; i < h->frame_count; i++) {
		struct object_frame *f = &h->frames[i];

		f->stored_bytes = rbuf_u32(b);
		f->plain_bytes = rbuf_u32(b);
		memcpy(f->sha256.b, rbuf_take(b, SHA256_BYTES), SHA256_BYTES);
		memcpy(f->xxh.b, rbuf_take(b, XXH128_BYTES), XXH128_BYTES);
		if (f->plain_bytes < 1 || f->plain_bytes > FORMAT_FRAME_BYTES)
			return "a frame's length is out of range";
		if (f->stored_bytes < 1 || f->stored_bytes > f->plain_bytes)
			return "a frame's stored length is out of range";
		f->stored_offset = h->stored_bytes;
		f->plain_offset = h->plain_bytes;
		h->stored_bytes += f->stored_bytes; /* at most 2,048 * 128 KiB: no overflow */
		h->plain_bytes += f->plain_bytes;
	}
	return flags_of(h) == h->flags ? NULL : "its flags do not fit its table of frames";
}

int object_head_parse(const void *head, size_t head_len_bytes, const struct id256 *id,
		      struct object_head **ret, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	struct rbuf b = rbuf_over(head, head_len_bytes);
	uint32_t frame_count;
	uint64_t plain_bytes;
	struct id256 actual;
	const char *wrong;
	uint16_t flags;

	wrong = read_fixed(&b, &flags, &frame_count, &plain_bytes);
	if (wrong)
		return corrupt(e, wrong);
	if (rbuf_left(&b) != (size_t)FORMAT_HEAD_FRAME_BYTES * frame_count)
		return corrupt(e, "its length does not fit its number of frames");
	actual = digest_sha256_2(OBJECT_PREFIX, sizeof(OBJECT_PREFIX), head, head_len_bytes);
	if (memcmp(actual.b, id->b, sizeof(actual.b)) != 0)
		return corrupt(e, "it does not hash to the object's id");
	h = calloc(1, sizeof(*h) + frame_count * sizeof(h->frames[0]));
	if (!h)
		return err_nomem(e);
	h->id = actual;
	h->head_bytes = (uint32_t)head_len_bytes;
	h->flags = flags;
	h->frame_count = frame_count;
	wrong = read_frames(&b, h);
	if (!wrong && h->plain_bytes != plain_bytes)
		wrong = "the lengths of its frames do not add up";
	if (wrong)
		return corrupt(e, wrong);
	*ret = steal_pointer(&h);
	return 0;
}

void object_head_free(struct object_head *h)
{
	free(h);
}

void object_head_encode(struct object_head *h, void *out)
{
	struct wbuf b;

	h->flags = flags_of(h);
	h->head_bytes = FORMAT_HEAD_FIXED_BYTES + FORMAT_HEAD_FRAME_BYTES * h->frame_count;
	wbuf_init(&b, h->head_bytes);
	/* The caller's memory: as large as the maximum, so it is never reallocated. */
	b.data = out;
	b.cap = h->head_bytes;
	wbuf_put(&b, OBJECT_MAGIC, OBJECT_MAGIC_BYTES);
	wbuf_u16(&b, FORMAT_VERSION);
	wbuf_u16(&b, (uint16_t)h->flags);
	wbuf_u32(&b, h->frame_count);
	wbuf_u64(&b, h->plain_bytes);
	for (uint32_t i = 0; i < h->frame_count; i++) {
		wbuf_u32(&b, h->frames[i].stored_bytes);
		wbuf_u32(&b, h->frames[i].plain_bytes);
		wbuf_put(&b, h->frames[i].sha256.b, SHA256_BYTES);
		wbuf_put(&b, h->frames[i].xxh.b, XXH128_BYTES);
	}
	h->id = digest_sha256_2(OBJECT_PREFIX, sizeof(OBJECT_PREFIX), out, h->head_bytes);
}

int object_frame_check(const struct object_head *h, uint32_t i, const void *plain,
		       enum object_verify how, struct err *e)
{
	const struct object_frame *f = &h->frames[i];
	bool same;

	if (how == OBJECT_VERIFY_SHA256) {
		struct id256 actual = digest_sha256(plain, f->plain_bytes);

		same = memcmp(actual.b, f->sha256.b, sizeof(actual.b)) == 0;
	} else {
		struct xxh128 actual = digest_xxh128(plain, f->plain_bytes);

		same = memcmp(actual.b, f->xxh.b, sizeof(actual.b)) == 0;
	}
	if (!same)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "frame %u of the object is damaged: its bytes do not fit its %s", i,
			       how == OBJECT_VERIFY_SHA256 ? "SHA-256" : "XXH3");
	return 0;
}

int object_frame_decode(const struct object_head *h, uint32_t i, const void *stored, void *dst,
			struct zcodec *z, enum object_verify how, struct err *e)
{
	const struct object_frame *f = &h->frames[i];
	int r;

	if (f->stored_bytes == f->plain_bytes) {
		if (dst != stored)
			memcpy(dst, stored, f->plain_bytes);
		return object_frame_check(h, i, dst, how, e);
	}
	r = zcodec_decompress(z, dst, f->plain_bytes, stored, f->stored_bytes);
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r < 0)
		return err_set(e, ERR_CORRUPT, -EBADMSG,
			       "frame %u of the object is damaged: it cannot be decompressed", i);
	return object_frame_check(h, i, dst, how, e);
}

uint32_t object_frame_at(const struct object_head *h, uint32_t offset)
{
	uint32_t low = 0, high = h->frame_count; /* the frame is in [low, high) */

	if (h->flags & OBJECT_UNIFORM)
		return offset / (uint32_t)FORMAT_FRAME_BYTES;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (h->frames[middle].plain_offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

void object_digest_frames(const void *data, size_t len_bytes, struct frame_digest *digests)
{
	for (size_t done = 0; done < len_bytes; done += FORMAT_FRAME_BYTES) {
		const uint8_t *frame = (const uint8_t *)data + done;
		size_t len = MIN_OF(len_bytes - done, FORMAT_FRAME_BYTES);

		digests->sha256 = digest_sha256(frame, len);
		digests->xxh = digest_xxh128(frame, len);
		digests++;
	}
}
