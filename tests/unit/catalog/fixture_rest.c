/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tests/unit/catalog/fixture.h"

/* ---- objects at rest ---- */

struct key_search {
	const char *part;
	size_t wanted, count;
	char *out;
};

static int search_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct key_search *s = ctx;

	if (!strstr(entry->key, s->part))
		return 0;
	if (s->out && s->count == s->wanted)
		snprintf(s->out, KEY_BYTES, "%s", entry->key);
	s->count++;
	return 0;
}

static size_t search(struct fixture *f, const char *part, size_t wanted, char *out)
{
	struct key_search s = { .part = part, .wanted = wanted, .out = out };

	must(store_list(f->store,
			&(struct store_list){ .prefix = "", .entry = search_key, .ctx = &s }, NULL,
			NULL) == 0);
	return s.count;
}

size_t fixture_count(struct fixture *f, const char *part)
{
	return search(f, part, 0, NULL);
}

void fixture_key(struct fixture *f, const char *part, size_t n, char out[KEY_BYTES])
{
	must(search(f, part, n, out) > n);
}

static char *load(struct fixture *f, const char *key, size_t *ret_len)
{
	struct store_meta meta;
	char *data;

	must(store_get_alloc(f->store, key, STORE_OBJECT_MAX, &data, ret_len, &meta, NULL, NULL) ==
	     0);
	return data;
}

static void save(struct fixture *f, const char *key, const char *data, size_t len)
{
	must(store_put_bytes(f->store, key, data, len, STORE_ALWAYS, NULL, NULL, NULL, NULL) == 0);
}

void fixture_flip(struct fixture *f, const char *key, long offset)
{
	size_t len, at;
	char *data = load(f, key, &len);

	at = offset < 0 ? len - (size_t)-offset : (size_t)offset;
	must(at < len);
	data[at] ^= 0x01;
	save(f, key, data, len);
	free(data);
}

void fixture_truncate(struct fixture *f, const char *key, size_t len_bytes)
{
	size_t len;
	char *data = load(f, key, &len);

	must(len_bytes <= len);
	save(f, key, data, len_bytes);
	free(data);
}

void fixture_delete(struct fixture *f, const char *key)
{
	struct store_delete_error error;
	size_t errors;

	must(store_delete_many(f->store, &key, 1, &error, &errors, NULL, NULL) == 0 && errors == 0);
}

/* ---- bytes ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

void *fixture_random(uint64_t seed, size_t len_bytes)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, word;
	uint8_t *data = malloc(len_bytes + sizeof(word));

	must(data);
	for (size_t i = 0; i < len_bytes; i += sizeof(word)) {
		word = next_random(&state);
		memcpy(data + i, &word, sizeof(word));
	}
	return data;
}

void *fixture_text(uint64_t seed, size_t len_bytes)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	char *data = malloc(len_bytes + 32);

	must(data);
	for (size_t i = 0; i < len_bytes; i += 16)
		snprintf(data + i, 32, "row %03u, token; ", (unsigned)(next_random(&state) % 1000));
	return data;
}
