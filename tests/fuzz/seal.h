/* SPDX-License-Identifier: Apache-2.0 */
/* Seals what a fuzzer made up, so that its documents get past the digest. */
#ifndef SSTABLEFS_TESTS_SEAL_H
#define SSTABLEFS_TESTS_SEAL_H

#include <stdio.h>
#include <string.h>
#include "base/digest.h"

/* A new text: the body (an object without its last brace, ending in a newline) and its seal. */
static inline char *seal_body(const uint8_t *body, size_t len, size_t *ret_len)
{
	struct id256 id = digest_sha256(body, len);
	char *text = malloc(len + 100), hex[SHA256_HEX];

	if (!text)
		abort();
	if (len > 0)
		memcpy(text, body, len);
	util_hex(hex, id.b, sizeof(id.b));
	*ret_len = len + (size_t)sprintf(text + len, "\"sha256\":\"%s\"}\n", hex);
	return text;
}

#endif
