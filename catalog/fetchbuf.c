/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/fetchbuf.h"

#include <sys/mman.h>

#define BUFFER_BYTES (SOURCE_HEADROOM + FORMAT_OBJECT_BYTES)

struct fetchbuf {
	unsigned threads;
	void *buffers[];
};

unsigned fetchbuf_threads(uint64_t memory_bytes, unsigned connections)
{
	uint64_t fit = MAX_OF(memory_bytes / BUFFER_BYTES, (uint64_t)1);

	return (unsigned)MIN_OF(MAX_OF(connections, 1u), fit);
}

struct fetchbuf *fetchbuf_new(unsigned threads)
{
	struct fetchbuf *b = calloc(1, sizeof(*b) + threads * sizeof(b->buffers[0]));

	if (b)
		b->threads = threads;
	return b;
}

void fetchbuf_free(struct fetchbuf *b)
{
	for (unsigned i = 0; b && i < b->threads; i++)
		if (b->buffers[i])
			munmap(b->buffers[i], BUFFER_BYTES);
	free(b);
}

uint8_t *fetchbuf_get(struct fetchbuf *b, unsigned thread)
{
	if (!b->buffers[thread]) {
		void *p = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return NULL;
		b->buffers[thread] = p;
	}
	return (uint8_t *)b->buffers[thread] + SOURCE_HEADROOM;
}
