/* SPDX-License-Identifier: Apache-2.0 */
/* AGE of the command line and the configuration: a number and its unit, as "36h" or "2w". */
#ifndef SSTABLEFS_TOOLS_AGE_H
#define SSTABLEFS_TOOLS_AGE_H

#include "base/err.h"

/*
 * A decimal number without sign, and s, m (minutes), h, d, w or y (365 days): in milliseconds. `what` names the option in messages. -EINVAL (ERR_USAGE):
 * no unit, another unit, 0, or more than 1,000 years.
 */
int age_parse(const char *what, const char *text, int64_t *ret_ms, struct err *e);

/* "40 s", "5 min", "3 h", "2 d": for people. Returns out. */
char *age_format(char out[32], int64_t seconds);

#endif
