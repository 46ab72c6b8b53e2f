/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded byte buffers: the only way in which untrusted bytes are parsed and in which binary objects are built.
 *
 * struct wbuf grows up to a hard maximum; the first failure sticks (out of memory or over the maximum), so that a
 * sequence of puts is checked once, by wbuf_error(). struct rbuf is a view on bytes that somebody else owns; a read past the end
 * sticks too: later reads return zeros and rbuf_error() says -EBADMSG. All integers are little-endian;
 * a varint is unsigned LEB128 of at most ten bytes in its shortest form, anything else is an error.
 */
#ifndef SSTABLEFS_BASE_BUF_H
#define SSTABLEFS_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include "base/util.h"

struct wbuf {
	uint8_t *data;
	size_t len, cap, max;
	int error;
};

struct rbuf {
	const uint8_t *data;
	size_t len, pos;
	int error;
};

void wbuf_init(struct wbuf *b, size_t max_bytes);
void wbuf_deinit(struct wbuf *b);
void wbuf_reset(struct wbuf *b); /* length 0, no error; memory is kept */
/* Appends len uninitialised bytes; NULL on failure. */
void *wbuf_reserve(struct wbuf *b, size_t len_bytes);
void wbuf_put(struct wbuf *b, const void *data, size_t len_bytes);
void wbuf_u8(struct wbuf *b, uint8_t v);
void wbuf_u16(struct wbuf *b, uint16_t v);
void wbuf_u32(struct wbuf *b, uint32_t v);
void wbuf_u64(struct wbuf *b, uint64_t v);
void wbuf_varint(struct wbuf *b, uint64_t v);
void wbuf_string(struct wbuf *b, const char *s, size_t len_bytes); /* varint length, bytes */
int wbuf_error(const struct wbuf *b);				   /* 0, -ENOMEM or -E2BIG */

static inline struct rbuf rbuf_over(const void *data, size_t len_bytes)
{
	return (struct rbuf){ .data = data, .len = len_bytes };
}

/* len bytes of the view, or NULL (and the error) where fewer are left. */
const uint8_t *rbuf_take(struct rbuf *b, size_t len_bytes);
uint8_t rbuf_u8(struct rbuf *b);
uint16_t rbuf_u16(struct rbuf *b);
uint32_t rbuf_u32(struct rbuf *b);
uint64_t rbuf_u64(struct rbuf *b);
/* A varint of at most `max`; larger is an error. */
uint64_t rbuf_varint(struct rbuf *b, uint64_t max);
/* varint length (at most max_bytes) and a pointer into the view; no NUL is added. NULL and length 0 on an error. */
const char *rbuf_string(struct rbuf *b, size_t max_bytes, size_t *ret_len);
static inline size_t rbuf_left(const struct rbuf *b)
{
	return b->error ? 0 : b->len - b->pos;
}
/* 0, or -EBADMSG after any failed read. */
int rbuf_error(const struct rbuf *b);
/* As rbuf_error, and -EBADMSG too where bytes are left over. */
int rbuf_end(const struct rbuf *b);

#define _cleanup_wbuf_ _cleanup_(wbuf_deinit)

#endif
