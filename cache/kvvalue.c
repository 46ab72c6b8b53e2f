/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/kvvalue.h"

#include <errno.h>
#include <string.h>
#include "base/digest.h"

int kvvalue_check(size_t key_bytes, size_t value_bytes, struct err *e)
{
	if (key_bytes == 0 || key_bytes > KV_KEY_MAX)
		return err_set(e, ERR_IO, -EINVAL, "the local cache: a key of %zu bytes",
			       key_bytes);
	if (value_bytes > KV_VALUE_MAX)
		return err_set(e, ERR_IO, -E2BIG, "the local cache: a value of %zu bytes",
			       value_bytes);
	return 0;
}

static uint64_t checksum(enum kv_table t, const void *key, size_t key_bytes, const void *value,
			 size_t len)
{
	uint8_t all[KVVALUE_EXTRA + 1 + KV_KEY_MAX];
	uint64_t h = digest_xxh64(value, len);

	memcpy(all, &h, KVVALUE_EXTRA);
	all[KVVALUE_EXTRA] = (uint8_t)t;
	memcpy(all + KVVALUE_EXTRA + 1, key, key_bytes);
	return digest_xxh64(all, KVVALUE_EXTRA + 1 + key_bytes);
}

void kvvalue_store(void *dst, enum kv_table t, const void *key, size_t key_bytes, const void *value,
		   size_t len_bytes)
{
	uint64_t sum = checksum(t, key, key_bytes, value, len_bytes);

	memcpy(dst, &sum, KVVALUE_EXTRA);
	if (len_bytes)
		memcpy((uint8_t *)dst + KVVALUE_EXTRA, value, len_bytes);
}

static bool unwrap(const struct kvvalue *v, uint64_t *ret_sum, const void **ret, size_t *ret_len)
{
	if (v->stored_bytes < KVVALUE_EXTRA || v->key_bytes > KV_KEY_MAX)
		return false;
	memcpy(ret_sum, v->stored, KVVALUE_EXTRA);
	*ret = (const uint8_t *)v->stored + KVVALUE_EXTRA;
	*ret_len = v->stored_bytes - KVVALUE_EXTRA;
	return true;
}

int kvvalue_view(const struct kvvalue *v, const void **ret, size_t *ret_len)
{
	const void *value;
	uint64_t sum;
	size_t len;

	if (!unwrap(v, &sum, &value, &len) ||
	    checksum(v->table, v->key, v->key_bytes, value, len) != sum)
		return KV_ABSENT;
	*ret = value;
	*ret_len = len;
	return 0;
}

static int make_room(struct kvvalue_target *to, size_t len, struct err *e)
{
	if (to->is_new) {
		to->data = malloc(len + 1);
		if (!to->data)
			return err_nomem(e);
		((char *)to->data)[len] = '\0';
	} else if (len > to->cap_bytes) {
		return err_set(e, ERR_IO, -E2BIG, "the local cache: a value of %zu bytes", len);
	}
	return 0;
}

int kvvalue_copy(const struct kvvalue *v, struct kvvalue_target *to, size_t *ret_len, struct err *e)
{
	const void *value;
	uint64_t sum;
	size_t len;
	int r;

	if (!unwrap(v, &sum, &value, &len))
		return KV_ABSENT;
	r = make_room(to, len, e);
	if (r < 0)
		return r;
	if (len)
		memcpy(to->data, value, len);
	if (checksum(v->table, v->key, v->key_bytes, to->data, len) != sum)
		return KV_ABSENT;
	*ret_len = len;
	return 0;
}
