/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of an object that are checked in place while the bytes behind them still arrive: what was just written is in the caches of the CPU then,
 * and whoever waits for it need not wait for the rest. Raw frames only; others are decoded when all is there. One thread.
 */
#ifndef SSTABLEFS_CATALOG_INTAKE_H
#define SSTABLEFS_CATALOG_INTAKE_H

#include "catalog/decoder.h"
#include "catalog/source.h"

struct intake {
	struct decoder *decoder;
	uint8_t *content;			/* the object's, where it is put */
	const struct source_listener *listener; /* may be NULL */
	const struct object_head *head;		/* NULL: not begun */
	/* Frames: that the answer begins with, the first one that was not found right yet, and the one behind the last that is wanted. */
	uint32_t first, next, end;
	int result; /* < 0: a frame was not right */
	struct err error;
};

/* An answer brings the frames from `first` on, to where they belong in the content. The head is borrowed. */
void intake_begin(struct intake *in, const struct object_head *head, uint32_t first, uint32_t end);
/* So many bytes of the frames are there. */
void intake_arrived(struct intake *in, size_t stored_bytes);
/* All of them are. 0, or -EBADMSG with ERR_CORRUPT: then those before `next` are right, and told of, and the others may not be used. */
int intake_finish(struct intake *in, struct err *e);

#endif
