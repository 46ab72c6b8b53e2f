/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/repair_build.h"

#include <errno.h>
#include <string.h>
#include "catalog/fetchbuf.h"

#define OUT_BYTES (FORMAT_OBJECT_BYTES + FORMAT_HEAD_MAX_BYTES)
#define PIECE_FRAMES (FORMAT_OBJECT_BYTES / FORMAT_FRAME_BYTES)

struct repair_build {
	struct object_builder *builder;
	struct zcodec *codec;
	struct fetchbuf *buffer; /* plain bytes */
	uint8_t *out;
	size_t len;
	uint8_t frame[FORMAT_FRAME_BYTES];
};

struct job {
	struct repair_build *b;
	const struct plan *p;
	const struct plan_object *x;
	const struct repair_local *local;
	const uint8_t *left;
	size_t left_bytes;
	const struct cancel *c;
};

struct repair_build *repair_build_new(enum object_compression compression)
{
	_cleanup_(repair_build_freep) struct repair_build *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->builder = object_builder_new(compression);
	b->codec = zcodec_new();
	b->buffer = fetchbuf_new(1);
	b->out = malloc(OUT_BYTES);
	if (!b->builder || !b->codec || !b->buffer || !b->out || !fetchbuf_get(b->buffer, 0))
		return NULL;
	return steal_pointer(&b);
}

void repair_build_free(struct repair_build *b)
{
	if (!b)
		return;
	object_builder_free(b->builder);
	zcodec_free(b->codec);
	fetchbuf_free(b->buffer);
	free(b->out);
	free(b);
}

void *repair_build_buffer(struct repair_build *b)
{
	return fetchbuf_get(b->buffer, 0);
}

static int impossible(struct err *e, const char *why)
{
	err_set(e, ERR_CORRUPT, -ENODATA, "%s", why);
	return REPAIR_IMPOSSIBLE;
}

static int append(struct repair_build *b, const void *data, size_t len)
{
	if (len > OUT_BYTES - b->len)
		return -EFBIG;
	memcpy(b->out + b->len, data, len);
	b->len += len;
	return 0;
}

/* What the builder holds, without its first `skip` bytes. */
static int append_image(struct repair_build *b, const struct object_image *image, size_t skip)
{
	int r = 0;

	for (int i = 0; i < image->iov_count && r == 0; i++) {
		size_t less = MIN_OF(skip, image->iov[i].iov_len);

		r = append(b, (const uint8_t *)image->iov[i].iov_base + less,
			   image->iov[i].iov_len - less);
		skip -= less;
	}
	return r;
}

/* ---- with the head ---- */

/* The plain bytes of a frame that is damaged, into b->frame. */
static int local_frame(const struct job *j, const struct object_frame *f, struct err *e)
{
	const char *why = "a damaged part of it belongs to no backup any more";
	struct frame_digest digest;

	for (uint32_t k = j->x->first_piece; k != PLAN_NONE; k = j->p->pieces[k].next) {
		const struct plan_piece *piece = &j->p->pieces[k];
		uint64_t at = piece->file_offset + f->plain_offset - piece->offset;
		int r;

		if (f->plain_offset < piece->offset ||
		    f->plain_offset + f->plain_bytes > piece->offset + piece->len_bytes)
			continue;
		r = repair_local_read(j->local, &j->p->files[piece->file], at, j->b->frame,
				      f->plain_bytes, &digest, j->c, e);
		if (r < 0)
			return r;
		if (r == 0 && memcmp(&digest.sha256, &f->sha256, sizeof(f->sha256)) == 0)
			return 0;
		why = "no local file has the content of a damaged part of it";
	}
	return impossible(e, why);
}

static int pack_frame(const struct job *j, const struct object_frame *f, struct err *e)
{
	struct object_image image;
	uint32_t offset;
	int r;

	if (f->stored_bytes == f->plain_bytes)
		return append(j->b, j->b->frame, f->plain_bytes);
	object_builder_reset(j->b->builder);
	r = object_builder_add(j->b->builder, j->b->frame, f->plain_bytes, false, NULL, &offset, e);
	if (r == 0)
		r = object_builder_finish(j->b->builder, &image, e);
	if (r < 0)
		return r;
	if (image.head->frames[0].stored_bytes != f->stored_bytes)
		return impossible(
			e,
			"this host's zstd packs a damaged part of it otherwise than the one that stored it");
	return append_image(j->b, &image, image.head->head_bytes);
}

static int from_head(const struct job *j, const struct object_head *h, struct err *e)
{
	int r = append(j->b, j->left, h->head_bytes);

	for (uint32_t i = 0; i < h->frame_count && r == 0; i++) {
		const struct object_frame *f = &h->frames[i];
		size_t at = (size_t)h->head_bytes + f->stored_offset;
		bool whole = at + f->stored_bytes <= j->left_bytes &&
			     object_frame_decode(h, i, j->left + at, j->b->frame, j->b->codec,
						 OBJECT_VERIFY_SHA256, NULL) == 0;

		if (whole) {
			r = append(j->b, j->left + at, f->stored_bytes);
			continue;
		}
		r = local_frame(j, f, e);
		if (r == 0)
			r = pack_frame(j, f, e);
	}
	return r;
}

/* ---- without it ---- */

/* The piece that begins at `at`, from a local file, into the builder. *ret_len: how long it is. */
static int local_piece(const struct job *j, uint32_t at, uint32_t *ret_len, struct err *e)
{
	const char *why = "a part of it belongs to no backup any more, and its table is damaged";
	struct frame_digest digests[PIECE_FRAMES];
	uint32_t offset;

	for (uint32_t k = j->x->first_piece; k != PLAN_NONE; k = j->p->pieces[k].next) {
		const struct plan_piece *piece = &j->p->pieces[k];
		void *data = repair_build_buffer(j->b);
		int r;

		if (piece->offset != at)
			continue;
		r = repair_local_read(j->local, &j->p->files[piece->file], piece->file_offset, data,
				      piece->len_bytes, digests, j->c, e);
		if (r == 0 && !object_builder_fits(j->b->builder, piece->len_bytes))
			return impossible(e, "its parts do not fit together");
		if (r == 0)
			r = object_builder_add(j->b->builder, data, piece->len_bytes, false,
					       digests, &offset, e);
		if (r <= 0) {
			*ret_len = piece->len_bytes;
			return r;
		}
		why = "no local file has the content of a part of it";
	}
	return impossible(e, why);
}

static int from_pieces(const struct job *j, struct err *e)
{
	struct object_image image;
	uint32_t at = 0, len = 0;
	int r = 0;

	object_builder_reset(j->b->builder);
	for (; at < j->x->ref.plain_bytes && r == 0; at += len)
		r = local_piece(j, at, &len, e);
	if (r == 0)
		r = object_builder_finish(j->b->builder, &image, e);
	if (r != 0)
		return r;
	if (memcmp(&image.id, &j->x->ref.id, sizeof(image.id)) != 0)
		return impossible(
			e,
			"what the local files give is not this object (this host's zstd may pack otherwise than the one that stored it)");
	return append_image(j->b, &image, 0);
}

/* ---- proof ---- */

static int prove(const struct job *j, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	struct repair_build *b = j->b;
	uint32_t head_bytes = j->x->ref.head_bytes;
	int r = b->len < head_bytes ? -EBADMSG
				    : object_head_parse(b->out, head_bytes, &j->x->ref.id, &h, e);

	if (r == 0 && b->len != (size_t)h->head_bytes + h->stored_bytes)
		r = -EBADMSG;
	for (uint32_t i = 0; r == 0 && i < h->frame_count; i++)
		r = object_frame_decode(h, i, b->out + h->head_bytes + h->frames[i].stored_offset,
					b->frame, b->codec, OBJECT_VERIFY_SHA256, e);
	return r == -EBADMSG ? impossible(e, "what was put together is not this object") : r;
}

int repair_build_object(struct repair_build *b, const struct plan *p, const struct plan_object *x,
			const struct repair_local *local, const void *left, size_t left_bytes,
			const void **ret, size_t *ret_len, const struct cancel *c, struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	const struct job j = { b, p, x, local, left, left_bytes, c };
	int r;

	b->len = 0;
	if (left_bytes >= x->ref.head_bytes &&
	    object_head_parse(left, x->ref.head_bytes, &x->ref.id, &h, NULL) == 0)
		r = from_head(&j, h, e);
	else
		r = from_pieces(&j, e);
	if (r == -EFBIG)
		r = impossible(e, "what was put together is larger than an object may be");
	if (r == 0)
		r = prove(&j, e);
	if (r != 0)
		return r;
	*ret = b->out;
	*ret_len = b->len;
	return 0;
}
