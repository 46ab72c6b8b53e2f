/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/age.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define DAY_S INT64_C(86400)
#define LARGEST_S (1000 * 365 * DAY_S)
#define NUMBER_MAX INT64_C(1000000000000)

/* Seconds of a unit; 0: it is none. */
static int64_t unit_seconds(const char *unit)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 },     { 'm', 60 },	  { 'h', 3600 },
		      { 'd', DAY_S }, { 'w', 7 * DAY_S }, { 'y', 365 * DAY_S } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (unit[0] == units[i].letter && unit[1] == '\0')
			return units[i].seconds;
	return 0;
}

int age_parse(const char *what, const char *text, int64_t *ret_ms, struct err *e)
{
	const char *at = text;
	int64_t number = 0, unit;

	for (; isdigit((unsigned char)*at) && number < NUMBER_MAX; at++)
		number = number * 10 + (*at - '0');
	unit = at > text ? unit_seconds(at) : 0;
	if (unit == 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s '%s': an age is a number and its unit, one of s, m (minutes), h, d, w and y, such as 36h or 2w",
			what, text);
	if (number == 0 || number > LARGEST_S / unit)
		return err_set(e, ERR_USAGE, -EINVAL, "%s '%s': 1s to 1000y are possible", what,
			       text);
	*ret_ms = number * unit * 1000;
	return 0;
}

char *age_format(char out[32], int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = { { 2 * DAY_S, "d" }, { 2 * INT64_C(3600), "h" }, { 120, "min" } };
	static const int64_t sizes[] = { DAY_S, 3600, 60 };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (seconds >= units[i].seconds) {
			snprintf(out, 32, "%lld %s", (long long)(seconds / sizes[i]),
				 units[i].name);
			return out;
		}
	snprintf(out, 32, "%lld s", (long long)seconds);
	return out;
}
