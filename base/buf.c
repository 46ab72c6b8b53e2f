/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <string.h>

#define VARINT_BYTES_MAX 10
#define FIRST_BYTES ((size_t)64)

void wbuf_init(struct wbuf *b, size_t max_bytes)
{
	*b = (struct wbuf){ .max = max_bytes };
}

void wbuf_deinit(struct wbuf *b)
{
	free(b->data);
	*b = (struct wbuf){ .max = b->max };
}

void wbuf_reset(struct wbuf *b)
{
	b->len = 0;
	b->error = 0;
}

/* Doubles the memory, but never beyond the maximum. Reserving nothing gives memory too: it must not return NULL. */
static int grow(struct wbuf *b, size_t need)
{
	size_t cap = MAX_OF(MIN_OF(MAX_OF(2 * b->cap, FIRST_BYTES), b->max), need);
	void *grown;

	if (need <= b->cap && b->data)
		return 0;
	grown = realloc(b->data, MAX_OF(cap, (size_t)1));
	if (!grown)
		return -ENOMEM;
	b->data = grown;
	b->cap = cap;
	return 0;
}

void *wbuf_reserve(struct wbuf *b, size_t len_bytes)
{
	uint8_t *at;

	if (b->error)
		return NULL;
	if (len_bytes > b->max - b->len) {
		b->error = -E2BIG;
		return NULL;
	}
	if (grow(b, b->len + len_bytes) < 0) {
		b->error = -ENOMEM;
		return NULL;
	}
	at = b->data + b->len;
	b->len += len_bytes;
	return at;
}

void wbuf_put(struct wbuf *b, const void *data, size_t len_bytes)
{
	void *at = wbuf_reserve(b, len_bytes);

	if (at && len_bytes > 0)
		memcpy(at, data, len_bytes);
}

static void put_le(struct wbuf *b, uint64_t v, size_t len_bytes)
{
	uint8_t *at = wbuf_reserve(b, len_bytes);

	for (size_t i = 0; at && i < len_bytes; i++)
		at[i] = (uint8_t)(v >> (8 * i));
}

void wbuf_u8(struct wbuf *b, uint8_t v)
{
	put_le(b, v, 1);
}

void wbuf_u16(struct wbuf *b, uint16_t v)
{
	put_le(b, v, 2);
}

void wbuf_u32(struct wbuf *b, uint32_t v)
{
	put_le(b, v, 4);
}

void wbuf_u64(struct wbuf *b, uint64_t v)
{
	put_le(b, v, 8);
}

void wbuf_varint(struct wbuf *b, uint64_t v)
{
	uint8_t bytes[VARINT_BYTES_MAX];
	size_t n = 0;

	while (v >= 0x80) {
		bytes[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	bytes[n++] = (uint8_t)v;
	wbuf_put(b, bytes, n);
}

void wbuf_string(struct wbuf *b, const char *s, size_t len_bytes)
{
	wbuf_varint(b, len_bytes);
	wbuf_put(b, s, len_bytes);
}

int wbuf_error(const struct wbuf *b)
{
	return b->error;
}

const uint8_t *rbuf_take(struct rbuf *b, size_t len_bytes)
{
	const uint8_t *at;

	if (len_bytes > rbuf_left(b))
		b->error = -EBADMSG;
	if (b->error)
		return NULL;
	if (!b->data) /* a view on no bytes: nothing was asked for, and that is no failure */
		return (const uint8_t *)"";
	at = b->data + b->pos;
	b->pos += len_bytes;
	return at;
}

static uint64_t take_le(struct rbuf *b, size_t len_bytes)
{
	const uint8_t *at = rbuf_take(b, len_bytes);
	uint64_t v = 0;

	for (size_t i = 0; at && i < len_bytes; i++)
		v |= (uint64_t)at[i] << (8 * i);
	return v;
}

uint8_t rbuf_u8(struct rbuf *b)
{
	return (uint8_t)take_le(b, 1);
}

uint16_t rbuf_u16(struct rbuf *b)
{
	return (uint16_t)take_le(b, 2);
}

uint32_t rbuf_u32(struct rbuf *b)
{
	return (uint32_t)take_le(b, 4);
}

uint64_t rbuf_u64(struct rbuf *b)
{
	return take_le(b, 8);
}

/* The value of the varint at b, or an error noted in b: too long, beyond 64 bits, or not the shortest form. */
static uint64_t take_varint(struct rbuf *b)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
		uint8_t byte = rbuf_u8(b);

		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		if ((i > 0 && byte == 0) || (i == VARINT_BYTES_MAX - 1 && byte > 1))
			break;
		return v;
	}
	b->error = -EBADMSG;
	return 0;
}

uint64_t rbuf_varint(struct rbuf *b, uint64_t max)
{
	uint64_t v = take_varint(b);

	if (v > max) {
		b->error = -EBADMSG;
		return 0;
	}
	return v;
}

const char *rbuf_string(struct rbuf *b, size_t max_bytes, size_t *ret_len)
{
	size_t len = (size_t)rbuf_varint(b, max_bytes);
	const uint8_t *at = rbuf_take(b, len);

	*ret_len = at ? len : 0;
	return (const char *)at;
}

int rbuf_error(const struct rbuf *b)
{
	return b->error;
}

int rbuf_end(const struct rbuf *b)
{
	return b->error || b->pos != b->len ? -EBADMSG : 0;
}
