/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzzer made up, as a string in memory of its own, so that AddressSanitizer sees a read past its NUL. */
#ifndef SSTABLEFS_TESTS_TEXT_H
#define SSTABLEFS_TESTS_TEXT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline char *text_of(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

#endif
