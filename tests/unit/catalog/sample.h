/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up values for the tests of the format. */
#ifndef SSTABLEFS_TESTS_SAMPLE_H
#define SSTABLEFS_TESTS_SAMPLE_H

#include <criterion/criterion.h>
#include <string.h>
#include "catalog/object.h"
#include "catalog/tree.h"

/* xorshift64*: the same bytes on every machine. */
static inline uint64_t sample_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static inline uint8_t *sample_bytes(uint64_t seed, size_t len)
{
	uint8_t *data = malloc(len + 1);
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	cr_assert(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(sample_random(&state) >> 56);
	return data;
}

/* Lines of words and numbers: compresses to about a third. */
static inline uint8_t *sample_text(uint64_t seed, size_t len)
{
	static const char *const words[] = { "sstable ", "keyspace ",	"token ",    "repair ",
					     "row ",	 "compaction ", "memtable ", "\n" };
	uint8_t *data = malloc(len + 32);
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	cr_assert(data);
	for (size_t n = 0; n < len;) {
		uint64_t r = sample_random(&state) >> 32;
		const char *word = words[r % ARRAY_SIZE(words)];

		memcpy(data + n, word, strlen(word));
		n += strlen(word);
		data[n++] = (uint8_t)('0' + r / 16 % 10);
	}
	return data;
}

static inline struct id256 sample_id(uint64_t seed)
{
	return digest_sha256(&seed, sizeof(seed));
}

static inline struct ulid sample_ulid(uint64_t seed)
{
	struct id256 id = sample_id(seed ^ UINT64_C(0xabcdef0123456789));
	struct ulid u;

	memcpy(u.b, id.b, sizeof(u.b));
	u.b[0] = 1;
	return u;
}

static inline uint32_t sample_head_bytes(uint32_t frames)
{
	return FORMAT_HEAD_FIXED_BYTES + FORMAT_HEAD_FRAME_BYTES * frames;
}

/* A whole object of a large file. */
static inline struct object_ref sample_whole(uint64_t writer, uint64_t seed, uint32_t plain_bytes)
{
	return (struct object_ref){
		.writer = sample_ulid(writer),
		.id = sample_id(seed),
		.head_bytes = sample_head_bytes((plain_bytes + 131071) / 131072),
		.plain_bytes = plain_bytes,
		.flags = OBJECT_RAW | OBJECT_UNIFORM,
	};
}

/* An object of many small pieces. */
static inline struct object_ref sample_pack(uint64_t writer, uint64_t seed)
{
	return (struct object_ref){
		.writer = sample_ulid(writer),
		.id = sample_id(seed),
		.head_bytes = sample_head_bytes(600),
		.plain_bytes = 8300000,
	};
}

#endif
