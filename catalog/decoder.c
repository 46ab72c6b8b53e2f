/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/decoder.h"

#include <pthread.h>
#include <string.h>

/* What decoding needs: one per thread that is at it, kept for the next. */
struct codec {
	struct codec *next;
	struct zcodec *z;
	uint8_t scratch[FORMAT_FRAME_BYTES];
};

struct decoder {
	enum object_verify how;
	pthread_mutex_t lock;
	struct codec *codecs; /* that nobody uses; lock */
};

struct decoder *decoder_new(enum object_verify how)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->how = how;
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void decoder_free(struct decoder *d)
{
	if (!d)
		return;
	while (d->codecs) {
		struct codec *codec = d->codecs;

		d->codecs = codec->next;
		zcodec_free(codec->z);
		free(codec);
	}
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static struct codec *codec_take(struct decoder *d)
{
	struct codec *codec;

	pthread_mutex_lock(&d->lock);
	codec = d->codecs;
	if (codec)
		d->codecs = codec->next;
	pthread_mutex_unlock(&d->lock);
	if (codec)
		return codec;
	codec = malloc(sizeof(*codec));
	if (!codec)
		return NULL;
	codec->z = zcodec_new();
	if (!codec->z) {
		free(codec);
		return NULL;
	}
	return codec;
}

static void codec_give(struct decoder *d, struct codec *codec)
{
	if (!codec)
		return;
	pthread_mutex_lock(&d->lock);
	codec->next = d->codecs;
	d->codecs = codec;
	pthread_mutex_unlock(&d->lock);
}

/* codec: may be NULL where all frames are raw. */
static int decode_frame(const struct decoder *d, const struct object_head *h, uint32_t i,
			uint8_t *stored, uint8_t *plain, struct codec *codec, struct err *e)
{
	const struct object_frame *f = &h->frames[i];

	if (f->stored_bytes == f->plain_bytes) {
		if (stored != plain)
			memmove(plain, stored, f->plain_bytes);
		return object_frame_decode(h, i, plain, plain, NULL, d->how, e);
	}
	if (stored + f->stored_bytes > plain) { /* it would be written over while it is read */
		memcpy(codec->scratch, stored, f->stored_bytes);
		stored = codec->scratch;
	}
	return object_frame_decode(h, i, stored, plain, codec->z, d->how, e);
}

/* No frame is stored longer than it is plain, so going from the last to the first never writes over stored bytes that are still needed. */
int decoder_run(struct decoder *d, const struct object_head *h, uint32_t first, uint32_t end,
		uint8_t *dst, struct err *e)
{
	uint8_t *stored = dst + h->frames[first].plain_offset;
	struct codec *codec = NULL;
	int r = 0;

	if (!(h->flags & OBJECT_RAW)) {
		codec = codec_take(d);
		if (!codec)
			return err_nomem(e);
	}
	for (uint32_t i = end; i > first && r == 0; i--) {
		const struct object_frame *f = &h->frames[i - 1];
		size_t at = f->stored_offset - h->frames[first].stored_offset;

		r = decode_frame(d, h, i - 1, stored + at, dst + f->plain_offset, codec, e);
	}
	codec_give(d, codec);
	return r;
}
