/* SPDX-License-Identifier: Apache-2.0 */
/* An object as somebody could store it who knows how ids are made: any head, taken with the id that it hashes to, and any frames. */
#include <string.h>
#include "catalog/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_frames(const struct object_head *h, const uint8_t *body, size_t size)
{
	_cleanup_(zcodec_freep) struct zcodec *z = zcodec_new();

	for (uint32_t i = 0; i < h->frame_count; i++) {
		const struct object_frame *f = &h->frames[i];
		_cleanup_free_ uint8_t *plain = malloc(f->plain_bytes);

		if (!z || !plain)
			abort();
		if ((uint64_t)f->stored_offset + f->stored_bytes > size)
			return;
		if (object_frame_at(h, f->plain_offset) != i ||
		    object_frame_at(h, f->plain_offset + f->plain_bytes - 1) != i)
			abort();
		if (object_frame_decode(h, i, body + f->stored_offset, plain, z, (int)(i % 2),
					NULL) == 0 &&
		    object_frame_check(h, i, plain, (int)(i % 2), NULL) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char prefix[] = "sstablefs/1 object";
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	_cleanup_free_ uint8_t *again = NULL;
	struct id256 id;
	ssize_t len;

	if (size < FORMAT_HEAD_FIXED_BYTES)
		return 0;
	len = object_head_length(data);
	if (len < 0 || (size_t)len > size)
		return 0;
	id = digest_sha256_2(prefix, sizeof(prefix), data, (size_t)len);
	if (object_head_parse(data, (size_t)len, &id, &h, NULL) < 0)
		return 0;
	again = malloc((size_t)len);
	if (!again)
		abort();
	object_head_encode(h, again);
	if (memcmp(again, data, (size_t)len) != 0 || memcmp(h->id.b, id.b, sizeof(id.b)) != 0)
		abort();
	decode_frames(h, data + len, size - (size_t)len);
	return 0;
}
