/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a sealed document, and any body with a seal that fits. What is taken can be sealed again, and is the same then. */
#include "base/json.h"
#include "tests/fuzz/seal.h"

#define MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *unseal(const char *text, size_t len)
{
	struct err e = ERR_INIT;
	json_t *object = NULL;

	if (json_unseal("document", text, len, MAX_BYTES, &object, &e) < 0) {
		if (e.kind != ERR_CORRUPT || !e.message[0])
			abort();
		return NULL;
	}
	if (len > MAX_BYTES)
		abort();
	return object;
}

static void check_members(json_t *object)
{
	const char *key, *text;
	json_t *value;
	uint64_t n;

	json_object_foreach(object, key, value) {
		if (json_get_string(object, key, 100, &text, NULL) == 0 &&
		    (!json_is_string(value) || strlen(text) > 100))
			abort();
		if (json_get_u64(object, key, &n, NULL) == 0 &&
		    (!json_is_integer(value) || n > INT64_MAX))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *first = NULL, *second = NULL;
	_cleanup_free_ char *sealed = NULL, *again = NULL;
	size_t len;

	json_decref(unseal((const char *)data, size));
	sealed = seal_body(data, size, &len);
	first = unseal(sealed, len);
	if (!first)
		return 0;
	check_members(first);
	if (json_seal(first, &again, &len, NULL) < 0)
		abort();
	/* Written with spaces it may be longer than what is taken. */
	second = len > MAX_BYTES ? NULL : unseal(again, len);
	if (second && !json_equal(first, second))
		abort();
	if (!second && len <= MAX_BYTES)
		abort();
	return 0;
}
