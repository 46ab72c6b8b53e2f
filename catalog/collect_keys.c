/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_keys.h"

#include <errno.h>
#include <string.h>

void collect_keys_deinit(struct collect_keys *k)
{
	free(k->writers);
	free(k->left_out);
	free(k->slots);
	free(k->keys);
	*k = (struct collect_keys){ .writers = NULL };
}

/* ---- writers ---- */

/* The slot that holds the writer, or the free one where it belongs. There is always a free one. */
static uint32_t *slot_of(const struct collect_keys *k, const struct ulid *writer)
{
	size_t i = digest_xxh64(writer->b, ULID_BYTES) % k->slot_count;

	while (k->slots[i] && memcmp(k->writers[k->slots[i] - 1].b, writer->b, ULID_BYTES) != 0)
		i = (i + 1) % k->slot_count;
	return &k->slots[i];
}

static int rehash(struct collect_keys *k)
{
	size_t wanted = MAX_OF(k->slot_count * 2, (size_t)64);
	uint32_t *slots;

	if (k->writer_count * 2 < k->slot_count)
		return 0;
	slots = calloc(wanted, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(k->slots);
	k->slots = slots;
	k->slot_count = wanted;
	for (size_t i = 0; i < k->writer_count; i++)
		*slot_of(k, &k->writers[i]) = (uint32_t)i + 1;
	return 0;
}

int64_t collect_keys_writer(struct collect_keys *k, const struct ulid *writer)
{
	uint32_t *slot;

	/* Keys of a writer come one after the other. */
	if (k->writer_count > 0 &&
	    memcmp(k->writers[k->writer_count - 1].b, writer->b, ULID_BYTES) == 0)
		return (int64_t)k->writer_count - 1;
	if (rehash(k) < 0)
		return -ENOMEM;
	slot = slot_of(k, writer);
	if (*slot)
		return *slot - 1;
	if (util_grow(&k->writers, &k->writer_cap, k->writer_count + 1, sizeof(*k->writers)) < 0 ||
	    util_grow(&k->left_out, &k->left_out_cap, k->writer_count + 1, sizeof(*k->left_out)) <
		    0)
		return -ENOMEM;
	k->writers[k->writer_count] = *writer;
	k->left_out[k->writer_count] = false;
	*slot = (uint32_t)++k->writer_count;
	return *slot - 1;
}

/* Its index, or -1. */
static int64_t find_writer(const struct collect_keys *k, const struct ulid *writer)
{
	return k->slot_count > 0 ? (int64_t)*slot_of(k, writer) - 1 : -1;
}

bool collect_keys_has_writer(const struct collect_keys *k, const struct ulid *writer)
{
	return find_writer(k, writer) >= 0;
}

void collect_keys_leave_out(struct collect_keys *k, const struct ulid *writer)
{
	int64_t i = find_writer(k, writer);

	if (i >= 0)
		k->left_out[i] = true;
}

/* ---- keys ---- */

static bool in_slice(const struct collect_keys *k, const struct id256 *id)
{
	uint32_t first = (uint32_t)id->b[0] << 24 | (uint32_t)id->b[1] << 16 |
			 (uint32_t)id->b[2] << 8 | id->b[3];

	return k->bits == 0 || first >> (32 - k->bits) == k->value;
}

int collect_keys_add(struct collect_keys *k, enum key_object kind, const struct ulid *writer,
		     const struct id256 *id, uint64_t size_bytes, unsigned list)
{
	int64_t w = collect_keys_writer(k, writer);

	if (w < 0)
		return -ENOMEM;
	if (!in_slice(k, id))
		return 0;
	if (k->count == k->max)
		return COLLECT_KEYS_FULL;
	if (util_grow(&k->keys, &k->cap, k->count + 1, sizeof(*k->keys)) < 0)
		return -ENOMEM;
	k->keys[k->count++] = (struct collect_key){
		.id = *id,
		.writer = (uint32_t)w,
		.size_bytes = (unsigned)MIN_OF(size_bytes, COLLECT_KEYS_SIZE_MAX) &
			      COLLECT_KEYS_SIZE_MAX,
		.meta = kind == KEY_OBJECT_META,
		.list = list & (COLLECT_KEYS_LISTS - 1),
	};
	return 0;
}

static int compare(const void *pa, const void *pb)
{
	const struct collect_key *a = pa, *b = pb;

	if (a->writer != b->writer)
		return a->writer < b->writer ? -1 : 1;
	if (a->meta != b->meta)
		return a->meta < b->meta ? -1 : 1;
	return memcmp(a->id.b, b->id.b, sizeof(a->id.b));
}

void collect_keys_sort(struct collect_keys *k)
{
	size_t kept = 0;

	for (size_t i = 0; i < k->count; i++)
		if (!k->left_out[k->keys[i].writer])
			k->keys[kept++] = k->keys[i];
	k->count = kept;
	if (k->count > 0)
		qsort(k->keys, k->count, sizeof(*k->keys), compare);
}

struct collect_key *collect_keys_find(const struct collect_keys *k, enum key_object kind,
				      const struct object_ref *ref, size_t *ret_count)
{
	int64_t w = find_writer(k, &ref->writer);
	struct collect_key wanted = { .id = ref->id, .meta = kind == KEY_OBJECT_META };
	size_t low = 0, high = k->count;

	if (w < 0)
		return NULL;
	wanted.writer = (uint32_t)w;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&k->keys[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_count = 0;
	for (size_t i = low; i < k->count && compare(&k->keys[i], &wanted) == 0; i++)
		++*ret_count;
	return *ret_count > 0 ? &k->keys[low] : NULL;
}

int collect_keys_parse(const char *rest, struct ulid *ret_writer, struct id256 *ret_id)
{
	char writer[ULID_TEXT];

	if (strlen(rest) != ULID_TEXT + 2 * SHA256_BYTES || rest[ULID_TEXT - 1] != '/')
		return -EINVAL;
	memcpy(writer, rest, ULID_TEXT - 1);
	writer[ULID_TEXT - 1] = '\0';
	if (ulid_parse(ret_writer, writer) < 0)
		return -EINVAL;
	return util_unhex(ret_id->b, sizeof(ret_id->b), rest + ULID_TEXT);
}
