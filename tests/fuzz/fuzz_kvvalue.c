/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a value that lies in the local store: the first is the length of its key. It is absent, or exactly what would be stored. */
#include "cache/kvvalue.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_view(const struct kvvalue *v, const void *value, size_t len)
{
	_cleanup_free_ uint8_t *again = malloc(KVVALUE_EXTRA + len);

	if (!again || len + KVVALUE_EXTRA != v->stored_bytes)
		abort();
	kvvalue_store(again, v->table, v->key, v->key_bytes, value, len);
	if (memcmp(again, v->stored, v->stored_bytes) != 0)
		abort();
}

static void check(const struct kvvalue *v)
{
	struct kvvalue_target fresh = { .is_new = true }, small = { .cap_bytes = 16 };
	size_t len = 0, copied = 0;
	const void *value;
	uint8_t own[16];
	int r, viewed;

	small.data = own;
	viewed = kvvalue_view(v, &value, &len);
	if (viewed == 0)
		check_view(v, value, len);
	r = kvvalue_copy(v, &fresh, &copied, NULL);
	if (r != viewed || (r == 0 && (copied != len || memcmp(fresh.data, value, len) != 0)))
		abort();
	free(fresh.data);
	r = kvvalue_copy(v, &small, &copied, NULL);
	if (r != viewed && r != -E2BIG)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kvvalue v = { .table = KV_BLOBS };
	_cleanup_free_ uint8_t *stored = NULL;
	size_t key = size ? data[0] : 0;

	if (size < 1 || size - 1 < key)
		return 0;
	v.key = data + 1;
	v.key_bytes = key;
	v.stored = data + 1 + key;
	v.stored_bytes = size - 1 - key;
	check(&v);
	/* And the same with a checksum that fits. */
	stored = malloc(KVVALUE_EXTRA + v.stored_bytes);
	if (!stored)
		abort();
	kvvalue_store(stored, v.table, v.key, key, v.stored, v.stored_bytes);
	v.stored = stored;
	v.stored_bytes += KVVALUE_EXTRA;
	check(&v);
	return 0;
}
