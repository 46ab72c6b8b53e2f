/* SPDX-License-Identifier: Apache-2.0 */
/* Frames as they are stored, decoded and checked in place. Any thread. */
#ifndef SSTABLEFS_CATALOG_DECODER_H
#define SSTABLEFS_CATALOG_DECODER_H

#include "catalog/object.h"

struct decoder;

struct decoder *decoder_new(enum object_verify how); /* NULL: out of memory */
void decoder_free(struct decoder *d);
DEFINE_CLEANUP(struct decoder *, decoder_free);

/*
 * Frames [first, end) of an object whose content belongs to dst: their stored bytes, one after the other, lie from where the first of them belongs
 * (dst + its plain offset) and are replaced by the content. 0, or -EBADMSG with ERR_CORRUPT: then nothing there may be used.
 */
int decoder_run(struct decoder *d, const struct object_head *h, uint32_t first, uint32_t end,
		uint8_t *dst, struct err *e);

#endif
