/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a value is stored in the key-value store: 8 bytes of checksum over table, key and value, then the value. What does not fit counts as absent.
 */
#ifndef SSTABLEFS_CACHE_KVVALUE_H
#define SSTABLEFS_CACHE_KVVALUE_H

#include "cache/kv.h"

#define KVVALUE_EXTRA 8 /* bytes before the value */

struct kvvalue {
	enum kv_table table;
	const void *key; /* at most KV_KEY_MAX bytes */
	size_t key_bytes;
	const void *stored; /* what LMDB holds */
	size_t stored_bytes;
};

/* 0, -EINVAL (keys have 1 to KV_KEY_MAX bytes) or -E2BIG. */
int kvvalue_check(size_t key_bytes, size_t value_bytes, struct err *e);

/* Writes the stored form (KVVALUE_EXTRA + len bytes) to dst. */
void kvvalue_store(void *dst, enum kv_table t, const void *key, size_t key_bytes, const void *value,
		   size_t len_bytes);
/* The value in place: 0 or KV_ABSENT. */
int kvvalue_view(const struct kvvalue *v, const void **ret, size_t *ret_len);

/* Where a value is copied to: memory of the caller, or (is_new) a new buffer with a NUL behind it, which is the caller's even after a failure. */
struct kvvalue_target {
	void *data;
	size_t cap_bytes;
	bool is_new;
};
/* Copies and checks the copy: what is stored may change meanwhile. 0, KV_ABSENT, -ENOMEM, -E2BIG. */
int kvvalue_copy(const struct kvvalue *v, struct kvvalue_target *to, size_t *ret_len,
		 struct err *e);

#endif
