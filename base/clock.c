/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

int64_t clock_timespec_ns(struct timespec t)
{
	__int128 ns = (__int128)t.tv_sec * NS_PER_S + t.tv_nsec;

	return ns < INT64_MIN ? INT64_MIN : ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return clock_timespec_ns(ts);
}

static int64_t system_wall_ns(void *ctx)
{
	return read_clock(CLOCK_REALTIME);
}

static int64_t system_elapsed_ns(void *ctx)
{
	return read_clock(CLOCK_BOOTTIME);
}

static void system_random(void *ctx, void *out, size_t len_bytes)
{
	char *at = out;

	while (len_bytes > 0) {
		ssize_t n = getrandom(at, len_bytes, 0);

		if (n < 0 && errno == EINTR)
			continue;
		/* A kernel without getrandom: names that two writers share would lose data, so do not go on. */
		if (n <= 0)
			abort();
		at += n;
		len_bytes -= (size_t)n;
	}
}

const struct clock *clock_system(void)
{
	static const struct clock clock = {
		.wall_ns = system_wall_ns,
		.elapsed_ns = system_elapsed_ns,
		.random = system_random,
	};

	return &clock;
}

/* UTC of the second that wall_ns lies in; *ret_ns is what is left, never negative. */
static struct tm split(int64_t wall_ns, int64_t *ret_ns)
{
	int64_t ns = wall_ns % NS_PER_S;
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm tm = { 0 };

	if (ns < 0) {
		ns += NS_PER_S;
		seconds--;
	}
	gmtime_r(&seconds, &tm);
	*ret_ns = ns;
	return tm;
}

char *clock_rfc3339(char out[CLOCK_RFC3339_BYTES], int64_t wall_ns, int with_millis)
{
	int64_t ns;
	struct tm tm = split(wall_ns, &ns);
	size_t n = strftime(out, CLOCK_RFC3339_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);

	if (with_millis)
		snprintf(out + n, CLOCK_RFC3339_BYTES - n, ".%03dZ", (int)(ns / 1000000));
	else
		snprintf(out + n, CLOCK_RFC3339_BYTES - n, "Z");
	return out;
}

char *clock_compact(char out[CLOCK_RFC3339_BYTES], int64_t wall_ns)
{
	int64_t ns;
	struct tm tm = split(wall_ns, &ns);

	strftime(out, CLOCK_RFC3339_BYTES, "%Y%m%dT%H%M%SZ", &tm);
	return out;
}

/* Exactly `digits` digits at *text, moved past them. */
static bool take_number(const char **text, int digits, int *ret)
{
	int v = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*text)[i];

		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*text += digits;
	*ret = v;
	return true;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static bool take_time(const char **text, struct tm *tm)
{
	return take_number(text, 2, &tm->tm_hour) && take_char(text, ':') &&
	       take_number(text, 2, &tm->tm_min) && take_char(text, ':') &&
	       take_number(text, 2, &tm->tm_sec);
}

static bool is_valid(const struct tm *tm)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = tm->tm_year + 1900;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (tm->tm_mon < 0 || tm->tm_mon > 11)
		return false;
	if (tm->tm_mday < 1 || tm->tm_mday > days[tm->tm_mon] + (tm->tm_mon == 1 && leap))
		return false;
	return tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60; /* 60: a leap second */
}

static int join(struct tm *tm, int64_t ns, int64_t *ret_wall_ns)
{
	int64_t wall_ns;

	if (!is_valid(tm))
		return -EINVAL;
	if (__builtin_mul_overflow((int64_t)timegm(tm), NS_PER_S, &wall_ns) ||
	    __builtin_add_overflow(wall_ns, ns, &wall_ns))
		return -EINVAL;
	*ret_wall_ns = wall_ns;
	return 0;
}

/* ".123" at *text, as nanoseconds; digits beyond the ninth are dropped. */
static bool take_fraction(const char **text, int64_t *ret_ns)
{
	int64_t unit = NS_PER_S / 10, ns = 0;
	const char *p = *text + 1;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		ns += unit * (*p - '0');
		unit /= 10;
	}
	*text = p;
	*ret_ns = ns;
	return true;
}

int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ns)
{
	struct tm tm = { 0 };
	int64_t ns = 0;

	if (!take_number(&text, 4, &tm.tm_year) || !take_char(&text, '-') ||
	    !take_number(&text, 2, &tm.tm_mon) || !take_char(&text, '-') ||
	    !take_number(&text, 2, &tm.tm_mday) || !take_char(&text, 'T') || !take_time(&text, &tm))
		return -EINVAL;
	if (*text == '.' && !take_fraction(&text, &ns))
		return -EINVAL;
	if (strcmp(text, "Z") != 0)
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return join(&tm, ns, ret_wall_ns);
}

/* Which of the three-letter names in `names` stands at *text, moved past it. */
static bool take_name(const char **text, const char *names, int *ret)
{
	for (int i = 0; names[3 * i]; i++) {
		if (strncmp(*text, names + (ptrdiff_t)3 * i, 3) == 0) {
			*text += 3;
			*ret = i;
			return true;
		}
	}
	return false;
}

int clock_parse_http_date(const char *text, int64_t *ret_wall_ns)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = { 0 };

	if (!take_name(&text, days, &tm.tm_wday) || !take_char(&text, ',') ||
	    !take_char(&text, ' ') || !take_number(&text, 2, &tm.tm_mday) ||
	    !take_char(&text, ' ') || !take_name(&text, months, &tm.tm_mon) ||
	    !take_char(&text, ' ') || !take_number(&text, 4, &tm.tm_year) ||
	    !take_char(&text, ' ') || !take_time(&text, &tm) || strcmp(text, " GMT") != 0)
		return -EINVAL;
	tm.tm_year -= 1900;
	return join(&tm, 0, ret_wall_ns);
}
