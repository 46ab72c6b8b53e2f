/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ULIDs (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits, as 26 characters of Crockford's base 32 (upper case).
 * Used as names that two writers never share; the time in them is never relied on.
 */
#ifndef SSTABLEFS_BASE_ULID_H
#define SSTABLEFS_BASE_ULID_H

#include <stdint.h>
#include "base/clock.h"

#define ULID_BYTES 16
#define ULID_TEXT 27 /* with the NUL */

struct ulid {
	uint8_t b[ULID_BYTES]; /* big-endian, as in the ULID specification */
};

struct ulid ulid_new(const struct clock *clock);
char *ulid_format(char out[ULID_TEXT], const struct ulid *u);
/* Exactly 26 characters, first at most '7', upper case only: 0 or -EINVAL. */
int ulid_parse(struct ulid *ret, const char *text);

#endif
