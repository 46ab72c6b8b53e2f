/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a list of condemned keys, and any body with a seal that fits. */
#include <stdio.h>
#include <string.h>
#include "catalog/condemned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(const char *text, size_t len)
{
	_cleanup_(condemned_freep) struct condemned *c = condemned_new();

	if (!c)
		abort();
	if (condemned_add(c, text, len, NULL) == 0)
		condemned_seal(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct id256 sum = digest_sha256(data, size);
	_cleanup_free_ char *text = malloc(size + 100);
	char hex[SHA256_HEX];

	if (!text)
		abort();
	add((const char *)data, size);
	util_hex(hex, sum.b, sizeof(sum.b));
	if (size > 0)
		memcpy(text, data, size);
	add(text, size + (size_t)sprintf(text + size, "sha256 %s\n", hex));
	return 0;
}
