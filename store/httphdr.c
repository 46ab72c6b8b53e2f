/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httphdr.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/util.h"

#define RETRY_AFTER_MAX_MS 3600000

bool httphdr_split(const char *line, size_t len, char name[HTTPHDR_NAME_MAX],
		   char value[HTTPHDR_VALUE_MAX])
{
	const char *colon = memchr(line, ':', len), *v;
	size_t name_len = colon ? (size_t)(colon - line) : 0, value_len;

	/* A NUL would end the name early: "etag\0x" is no ETag. */
	if (name_len == 0 || name_len >= HTTPHDR_NAME_MAX || memchr(line, 0, name_len))
		return false;
	for (size_t i = 0; i < name_len; i++)
		name[i] = (char)tolower((unsigned char)line[i]);
	name[name_len] = 0;
	v = colon + 1;
	value_len = len - name_len - 1;
	while (value_len && isspace((unsigned char)*v)) {
		v++;
		value_len--;
	}
	while (value_len && isspace((unsigned char)v[value_len - 1]))
		value_len--;
	if (value_len >= HTTPHDR_VALUE_MAX || memchr(v, 0, value_len))
		return false;
	memcpy(value, v, value_len);
	value[value_len] = 0;
	return true;
}

/* Takes digits from *p on. */
static int take_u64(const char **p, uint64_t *ret)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)**p))
		return -EINVAL;
	for (; isdigit((unsigned char)**p); (*p)++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(**p - '0'), &v))
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static bool take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

int httphdr_parse_u64(const char *text, uint64_t *ret)
{
	uint64_t v;

	if (take_u64(&text, &v) < 0 || *text)
		return -EINVAL;
	*ret = v;
	return 0;
}

int httphdr_parse_content_range(const char *text, struct httphdr_range *ret)
{
	struct httphdr_range r;

	if (strncmp(text, "bytes ", 6) != 0)
		return -EINVAL;
	text += 6;
	if (take_u64(&text, &r.first) < 0 || !take_char(&text, '-') ||
	    take_u64(&text, &r.last) < 0 || !take_char(&text, '/') ||
	    take_u64(&text, &r.total) < 0 || *text || r.first > r.last || r.last >= r.total)
		return -EINVAL;
	*ret = r;
	return 0;
}

int httphdr_parse_retry_after_ms(const char *text, int64_t now_ns)
{
	uint64_t seconds;
	int64_t at_ns;

	if (httphdr_parse_u64(text, &seconds) == 0)
		return (int)(MIN_OF(seconds, (uint64_t)RETRY_AFTER_MAX_MS / 1000) * 1000);
	if (clock_parse_http_date(text, &at_ns) == 0 && at_ns > now_ns)
		return (int)MIN_OF((at_ns - now_ns) / 1000000, (int64_t)RETRY_AFTER_MAX_MS);
	return 0;
}
