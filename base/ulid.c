/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ulid.h"

#include <errno.h>
#include <string.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct ulid ulid_new(const struct clock *clock)
{
	uint64_t ms = (uint64_t)(clock_wall_ns(clock) / 1000000);
	struct ulid u;

	for (int i = 0; i < 6; i++)
		u.b[i] = (uint8_t)(ms >> (8 * (5 - i)));
	clock_random(clock, u.b + 6, sizeof(u.b) - 6);
	return u;
}

/* 26 characters of 5 bits hold 130 bits: character i begins at bit 5 * i - 2 of the 128, the two before them are zero. */
char *ulid_format(char out[ULID_TEXT], const struct ulid *u)
{
	for (int i = 0; i < ULID_TEXT - 1; i++) {
		unsigned v = 0;

		for (int bit = 5 * i - 2; bit < 5 * i + 3; bit++)
			v = v << 1 |
			    (bit < 0 ? 0u : (unsigned)(u->b[bit / 8] >> (7 - bit % 8)) & 1u);
		out[i] = crockford[v];
	}
	out[ULID_TEXT - 1] = '\0';
	return out;
}

int ulid_parse(struct ulid *ret, const char *text)
{
	struct ulid u = { { 0 } };

	for (int i = 0; i < ULID_TEXT - 1; i++) {
		const char *at = text[i] ? strchr(crockford, text[i]) : NULL;
		unsigned v;

		if (!at)
			return -EINVAL;
		v = (unsigned)(at - crockford);
		if (i == 0 && v > 7)
			return -EINVAL;
		for (int bit = 5 * i - 2, k = 4; k >= 0; bit++, k--) {
			if (bit >= 0)
				u.b[bit / 8] |= (uint8_t)((v >> k & 1u) << (7 - bit % 8));
		}
	}
	if (text[ULID_TEXT - 1] != '\0')
		return -EINVAL;
	*ret = u;
	return 0;
}
