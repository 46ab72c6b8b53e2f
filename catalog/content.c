/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/object.h"

#include <assert.h>
#include <string.h>

#define CONTENT_PREFIX "sstablefs/1 content" /* hashed with its NUL */

struct content_hasher {
	struct sha256 *sha256;
};

struct content_hasher *content_hasher_new(uint64_t size_bytes)
{
	_cleanup_(content_hasher_freep) struct content_hasher *h = calloc(1, sizeof(*h));
	uint8_t size[8];

	if (!h)
		return NULL;
	h->sha256 = sha256_new();
	if (!h->sha256)
		return NULL;
	for (unsigned i = 0; i < sizeof(size); i++)
		size[i] = (uint8_t)(size_bytes >> (8 * i));
	sha256_update(h->sha256, CONTENT_PREFIX, sizeof(CONTENT_PREFIX));
	sha256_update(h->sha256, size, sizeof(size));
	return steal_pointer(&h);
}

void content_hasher_free(struct content_hasher *h)
{
	if (!h)
		return;
	sha256_free(h->sha256);
	free(h);
}

void content_hasher_frame(struct content_hasher *h, const struct id256 *frame_sha256)
{
	sha256_update(h->sha256, frame_sha256->b, sizeof(frame_sha256->b));
}

struct id256 content_hasher_final(struct content_hasher *h)
{
	return sha256_final(h->sha256);
}

struct id256 content_id(const void *data, size_t len_bytes)
{
	uint8_t message[sizeof(CONTENT_PREFIX) + 8];
	struct id256 frames[FORMAT_OBJECT_BYTES / FORMAT_FRAME_BYTES];
	size_t count = 0;

	assert(len_bytes <= FORMAT_OBJECT_BYTES);
	memcpy(message, CONTENT_PREFIX, sizeof(CONTENT_PREFIX));
	for (unsigned i = 0; i < 8; i++)
		message[sizeof(CONTENT_PREFIX) + i] = (uint8_t)((uint64_t)len_bytes >> (8 * i));
	for (size_t done = 0; done < len_bytes; done += FORMAT_FRAME_BYTES)
		frames[count++] = digest_sha256((const uint8_t *)data + done,
						MIN_OF(len_bytes - done, FORMAT_FRAME_BYTES));
	return digest_sha256_2(message, sizeof(message), frames, count * sizeof(frames[0]));
}
