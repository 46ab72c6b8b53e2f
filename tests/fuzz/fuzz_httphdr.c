/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an answer, line by line: each header is split, and its value read as everything that a header can be. */
#include "base/clock.h"
#include "base/util.h"
#include "store/httphdr.h"
#include "tests/fuzz/text.h"

#define NOW_NS INT64_C(1795344120000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name, const char *value)
{
	if (!*name || strlen(name) >= HTTPHDR_NAME_MAX || strlen(value) >= HTTPHDR_VALUE_MAX)
		abort();
	for (; *name; name++)
		if (*name >= 'A' && *name <= 'Z')
			abort();
}

static void check_value(const char *value)
{
	struct httphdr_range range;
	char text[CLOCK_RFC3339_BYTES];
	int64_t ns, again;
	uint64_t n;
	int ms;

	if (httphdr_parse_content_range(value, &range) == 0 &&
	    (range.first > range.last || range.last >= range.total))
		abort();
	if (httphdr_parse_u64(value, &n) == 0 && (*value < '0' || *value > '9'))
		abort();
	ms = httphdr_parse_retry_after_ms(value, NOW_NS);
	if (ms < 0 || ms > 3600000)
		abort();
	(void)clock_parse_http_date(value, &ns);
	if (clock_parse_rfc3339(value, &ns) < 0 || ns < 0)
		return;
	/* What is written of a time is read as that time, to the second. */
	if (clock_parse_rfc3339(clock_rfc3339(text, ns, 0), &again) < 0 ||
	    again != ns - ns % 1000000000)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[HTTPHDR_NAME_MAX], value[HTTPHDR_VALUE_MAX];

	for (size_t at = 0; at < size;) {
		const uint8_t *newline = memchr(data + at, '\n', size - at);
		size_t len = newline ? (size_t)(newline - data) + 1 - at : size - at;
		_cleanup_free_ char *line = malloc(len);

		if (!line)
			abort();
		memcpy(line, data + at, len);
		if (httphdr_split(line, len, name, value)) {
			check_name(name, value);
			check_value(value);
		}
		at += len;
	}
	return 0;
}
