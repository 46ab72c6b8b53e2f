/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/jsonmem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

#define PARSED_MAX 1024
#define TAIL_BYTES 48 /* of a sealed document: its digest, nearly */

/* A document that was parsed before. */
struct parsed {
	char *text;
	size_t len;
	json_t *value;
};

static struct {
	char *memory;
	size_t used, kept;
	struct parsed parsed[PARSED_MAX];
	unsigned parsed_count, parsed_kept;
} arena;

static void *take(size_t size)
{
	void *p = arena.memory + arena.used;

	arena.used += (size + 15) & ~(size_t)15;
	return arena.used <= ARENA_BYTES ? p : NULL;
}

static void give(void *p)
{
}

void jsonmem_begin(void)
{
	arena.memory = malloc(ARENA_BYTES);
	if (!arena.memory)
		abort();
	json_set_alloc_funcs(take, give);
}

void jsonmem_reset(void)
{
	arena.used = arena.kept;
	arena.parsed_count = arena.parsed_kept;
}

void jsonmem_keep(void)
{
	arena.kept = arena.used;
	arena.parsed_kept = arena.parsed_count;
}

void jsonmem_end(void)
{
	free(arena.memory);
	memset(&arena, 0, sizeof(arena));
}

char *__real_json_dumps(const json_t *json, size_t flags);
char *__wrap_json_dumps(const json_t *json, size_t flags);

/* Its text is freed by free. */
char *__wrap_json_dumps(const json_t *json, size_t flags)
{
	char *text = __real_json_dumps(json, flags);

	return text ? strdup(text) : NULL;
}

json_t *__real_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);

static json_t *find(const char *text, size_t len)
{
	size_t tail = len < TAIL_BYTES ? len : TAIL_BYTES;

	for (unsigned i = 0; i < arena.parsed_count; i++) {
		const struct parsed *p = &arena.parsed[i];

		if (p->len == len && memcmp(p->text + len - tail, text + len - tail, tail) == 0 &&
		    memcmp(p->text, text, len) == 0)
			return p->value;
	}
	return NULL;
}

static void remember(const char *text, size_t len, json_t *value)
{
	char *copy = arena.parsed_count < PARSED_MAX ? take(len) : NULL;

	if (!copy)
		return;
	memcpy(copy, text, len);
	arena.parsed[arena.parsed_count++] = (struct parsed){ copy, len, value };
}

/* Whoever gets a document changes its own members at most. */
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error)
{
	json_t *value = find(text, len);

	if (!value) {
		value = __real_json_loadb(text, len, flags, error);
		if (value)
			remember(text, len, value);
	}
	return value ? json_copy(value) : NULL;
}
