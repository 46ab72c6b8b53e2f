/* SPDX-License-Identifier: Apache-2.0 */
#include "base/util.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int util_grow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t new_cap = MAX_OF(*cap, (size_t)8), bytes;
	void *old, *grown;

	if (need <= *cap)
		return 0;
	while (new_cap < need) {
		if (__builtin_mul_overflow(new_cap, (size_t)2, &new_cap))
			return -ENOMEM;
	}
	if (__builtin_mul_overflow(new_cap, size, &bytes) || bytes > SSIZE_MAX)
		return -ENOMEM;
	/* `array` points to a pointer of any type: memcpy reads it without breaking the aliasing rules. */
	memcpy(&old, array, sizeof(old));
	grown = realloc(old, bytes);
	if (!grown)
		return -ENOMEM;
	memcpy(array, &grown, sizeof(grown));
	*cap = new_cap;
	return 0;
}

void util_hex(char *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int util_unhex(void *out, size_t len, const char *hex)
{
	uint8_t *bytes = out;

	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(hex[2 * i]);
		int low = high < 0 ? -1 : hex_digit(hex[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * len] == '\0' ? 0 : -EINVAL;
}

char *util_format_bytes(char out[32], uint64_t bytes)
{
	static const char units[][4] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	unsigned unit = 0, shift;
	uint64_t rest, tenths, whole;

	while (unit + 1 < ARRAY_SIZE(units) && bytes >> (10 * (unit + 1)) > 0)
		unit++;
	if (unit == 0) {
		snprintf(out, 32, "%u B", (unsigned)bytes);
		return out;
	}
	/* Rounded to the nearest: the bit after the last one that counts is added. */
	shift = 10 * unit;
	rest = (bytes & ((UINT64_C(1) << shift) - 1)) * 10;
	tenths = (bytes >> shift) * 10 + (rest >> shift) + (rest >> (shift - 1) & 1);
	whole = (bytes >> shift) + (bytes >> (shift - 1) & 1);
	if (tenths < 1000)
		snprintf(out, 32, "%u.%u %s", (unsigned)tenths / 10, (unsigned)tenths % 10,
			 units[unit]);
	else if (whole < 1024)
		snprintf(out, 32, "%u %s", (unsigned)whole, units[unit]);
	else
		snprintf(out, 32, "1.0 %s",
			 units[unit + 1]); /* never past the last: 2^64 is 16 EiB */
	return out;
}

/* The digits after the point, as a number and the power of ten that it counts. At most six digits. */
static int parse_fraction(const char **text, uint64_t *fraction, uint64_t *scale)
{
	const char *p = *text;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (*scale >= 1000000)
			return -EINVAL;
		*fraction = *fraction * 10 + (uint64_t)(*p - '0');
		*scale *= 10;
	}
	*text = p;
	return 0;
}

/* K, M, G or T, then nothing, B or iB. Returns the shift, or -EINVAL. */
static int parse_unit(const char *text)
{
	static const char units[] = "KMGT";
	const char *unit = *text ? strchr(units, *text) : NULL;
	int shift = 0;

	if (unit) {
		shift = 10 * (int)(unit - units + 1);
		text++;
		if (strcmp(text, "iB") == 0)
			return shift;
	}
	return *text == '\0' || strcmp(text, "B") == 0 ? shift : -EINVAL;
}

int util_parse_bytes(const char *text, uint64_t *ret)
{
	uint64_t whole = 0, fraction = 0, scale = 1, value;
	int shift;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole))
			return -ERANGE;
	}
	if (*text == '.') {
		text++;
		if (parse_fraction(&text, &fraction, &scale) < 0)
			return -EINVAL;
	}
	shift = parse_unit(text);
	if (shift < 0 || (shift == 0 && scale > 1))
		return -EINVAL;
	if (__builtin_mul_overflow(whole, UINT64_C(1) << shift, &value))
		return -ERANGE;
	*ret = value +
	       (fraction << shift) / scale; /* less than one unit: the low `shift` bits are free */
	return 0;
}

size_t util_utf8_length(const char *text)
{
	static const struct {
		unsigned char lead_min, lead_max, second_min, second_max;
		size_t len;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *s = (const unsigned char *)text;

	if (s[0] < 0x80)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (s[0] < forms[i].lead_min || s[0] > forms[i].lead_max)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t k = 2; k < forms[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

/* C0, DEL and C1; what ends a line or turns the direction of writing (U+2028 to U+202E, U+2066 to U+2069). */
static bool is_control(const unsigned char *p)
{
	if (p[0] == 0xe2 && p[1] == 0x80)
		return p[2] >= 0xa8 && p[2] <= 0xae;
	if (p[0] == 0xe2 && p[1] == 0x81)
		return p[2] >= 0xa6 && p[2] <= 0xa9;
	return p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && p[1] < 0xa0);
}

char *util_one_line(char *text)
{
	for (char *p = text; *p;) {
		size_t len = util_utf8_length(p);

		/* Bytes that are no UTF-8: terminals of other character sets take some of them for C1. */
		if (len == 0 || is_control((const unsigned char *)p)) {
			len = MAX_OF(len, (size_t)1);
			memset(p, '?', len);
		}
		p += len;
	}
	return text;
}

char *util_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : text;
}
