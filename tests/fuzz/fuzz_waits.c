/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the list of whom a condemned list waits for, and any body with a seal that fits. What is taken is written the same. */
#include <stdio.h>
#include <string.h>
#include "catalog/waits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const char *text, size_t len)
{
	struct waits w = { .list = NULL };
	_cleanup_free_ uint8_t *again = NULL;
	size_t again_len;

	if (waits_decode(text, len, &w, NULL) < 0)
		return;
	if (waits_encode(&w, &again, &again_len, NULL) < 0 || again_len != len ||
	    memcmp(again, text, len) != 0)
		abort();
	waits_deinit(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id256 sum = digest_sha256(data, size);
	_cleanup_free_ char *text = malloc(size + 100);
	char hex[SHA256_HEX];

	if (!text)
		abort();
	decode((const char *)data, size);
	util_hex(hex, sum.b, sizeof(sum.b));
	if (size > 0)
		memcpy(text, data, size);
	decode(text, size + (size_t)sprintf(text + size, "sha256 %s\n", hex));
	return 0;
}
