/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a record, and any body with a seal that fits. What is read is written, and read again, without change. */
#include <string.h>
#include "catalog/record.h"
#include "tests/fuzz/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct record *decode(const char *text, size_t len)
{
	struct record *r = NULL;

	if (record_decode("key", text, len, NULL, NULL, NULL, &r, NULL) < 0)
		return NULL;
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	_cleanup_free_ char *sealed = NULL, *a = NULL, *b = NULL;
	size_t sealed_len, a_len, b_len;

	record_free(decode((const char *)data, size));
	sealed = seal_body(data, size, &sealed_len);
	first = decode(sealed, sealed_len);
	if (!first || first->refused)
		return 0;
	if (record_encode(first, &a, &a_len, NULL) < 0)
		abort();
	second = decode(a, a_len);
	if (!second || record_encode(second, &b, &b_len, NULL) < 0)
		abort();
	if (a_len != b_len || memcmp(a, b, a_len) != 0)
		abort();
	return 0;
}
