/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/intake.h"

void intake_begin(struct intake *in, const struct object_head *head, uint32_t first, uint32_t end)
{
	in->head = head;
	in->first = in->next = first;
	in->end = end;
	in->result = 0;
	in->error = ERR_INIT;
}

/* Frames [next, end) are there. */
static void check(struct intake *in, uint32_t end)
{
	const struct object_frame *last = &in->head->frames[end - 1];

	if (in->result < 0 || end == in->next)
		return;
	in->result = decoder_run(in->decoder, in->head, in->next, end, in->content, &in->error);
	if (in->result < 0)
		return;
	in->next = end;
	if (in->listener)
		in->listener->arrived(in->listener->ctx, last->plain_offset + last->plain_bytes);
}

void intake_arrived(struct intake *in, size_t stored_bytes)
{
	const struct object_frame *frames = in->head->frames;
	uint32_t begin = frames[in->first].stored_offset, end = in->next;

	if (!(in->head->flags & OBJECT_RAW))
		return;
	while (end < in->end &&
	       frames[end].stored_offset + frames[end].stored_bytes - begin <= stored_bytes)
		end++;
	if (end > in->next)
		check(in, end);
}

int intake_finish(struct intake *in, struct err *e)
{
	if (in->next < in->end)
		check(in, in->end);
	if (in->result < 0 && e)
		*e = in->error;
	return in->result;
}
