/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header lines and header values of HTTP answers. Pure: they come from the network and are
 * believed in nothing. Any thread.
 */
#ifndef SSTABLEFS_STORE_HTTPHDR_H
#define SSTABLEFS_STORE_HTTPHDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTPHDR_NAME_MAX 64
#define HTTPHDR_VALUE_MAX 1024

/*
 * Splits "Name: value\r\n" (len bytes, no NUL): the name in lower case, the value without blanks
 * at its ends. False: no header line, or one longer than these limits.
 */
bool httphdr_split(const char *line, size_t len, char name[HTTPHDR_NAME_MAX],
		   char value[HTTPHDR_VALUE_MAX]);

/* Digits only. 0 or -EINVAL. */
int httphdr_parse_u64(const char *text, uint64_t *ret);

struct httphdr_range {
	uint64_t first, last, total; /* first <= last < total */
};

/* "bytes 0-99/200", the total known. 0 or -EINVAL. */
int httphdr_parse_content_range(const char *text, struct httphdr_range *ret);

/*
 * Retry-After, seconds or a date, as milliseconds from now_ns (wall time), at most an hour. 0
 * where it says nothing usable.
 */
int httphdr_parse_retry_after_ms(const char *text, int64_t now_ns);

#endif
