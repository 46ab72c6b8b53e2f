/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time and randomness come in from outside, so that tests can choose them. All functions may be called from any thread.
 */
#ifndef SSTABLEFS_BASE_CLOCK_H
#define SSTABLEFS_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct clock {
	int64_t (*wall_ns)(void *ctx);	  /* nanoseconds since 1970 UTC */
	int64_t (*elapsed_ns)(void *ctx); /* CLOCK_BOOTTIME: elapsed time, counts suspend */
	void (*random)(void *ctx, void *out, size_t len_bytes);
	void *ctx;
};

/* The system's own: never NULL, never freed. */
const struct clock *clock_system(void);

static inline int64_t clock_wall_ns(const struct clock *c)
{
	return c->wall_ns(c->ctx);
}
static inline int64_t clock_elapsed_ns(const struct clock *c)
{
	return c->elapsed_ns(c->ctx);
}
static inline int64_t clock_elapsed_ms(const struct clock *c)
{
	return c->elapsed_ns(c->ctx) / 1000000;
}
static inline void clock_random(const struct clock *c, void *out, size_t len_bytes)
{
	c->random(c->ctx, out, len_bytes);
}

/* Nanoseconds since 1970. A file system can hold times before 1677 and after 2262, which 64 bits of nanoseconds cannot: the nearest that they can. */
int64_t clock_timespec_ns(struct timespec t);

#define CLOCK_RFC3339_BYTES 32
/* "2026-11-22T10:42:00Z"; with_millis adds ".123". UTC. Returns out. */
char *clock_rfc3339(char out[CLOCK_RFC3339_BYTES], int64_t wall_ns, int with_millis);
/* Parses RFC 3339 UTC ("…Z", optional fraction): 0 or -EINVAL. */
int clock_parse_rfc3339(const char *text, int64_t *ret_wall_ns);
/* "20261122T104200Z": default backup names and SigV4 dates. Returns out. */
char *clock_compact(char out[CLOCK_RFC3339_BYTES], int64_t wall_ns);
/* An HTTP Date header (RFC 9110, IMF-fixdate) -> ns: 0 or -EINVAL. */
int clock_parse_http_date(const char *text, int64_t *ret_wall_ns);

#endif
