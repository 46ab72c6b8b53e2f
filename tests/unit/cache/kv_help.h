/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the key-value store have in common. */
#ifndef SSTABLEFS_TESTS_KV_HELP_H
#define SSTABLEFS_TESTS_KV_HELP_H

#include <criterion/criterion.h>
#include <string.h>
#include "cache/kv.h"
#include "tests/unit/base/tmpdir.h"

static inline struct kv *open_kv(const char *path)
{
	struct kv *kv = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(kv_open(path, 64 * MIB, &kv, &e), 0, "%s", e.message);
	return kv;
}

static inline void put(struct kv *kv, enum kv_table t, const char *key, const char *value)
{
	struct err e = ERR_INIT;

	cr_assert_eq(kv_put(kv, t, key, strlen(key), value, strlen(value), &e), 0, "%s", e.message);
}

/* The value must be this; NULL: absent. */
static inline void expect(struct kv *kv, enum kv_table t, const char *key, const char *value)
{
	_cleanup_free_ void *data = NULL;
	struct err e = ERR_INIT;
	size_t len = 0;
	int r = kv_get(kv, t, key, strlen(key), &data, &len, &e);

	cr_assert_eq(r, value ? 0 : KV_ABSENT, "%s: %d %s", key, r, e.message);
	if (value) {
		cr_assert_str_eq(data, value);
		cr_assert_eq(len, strlen(value));
	}
}
#endif
