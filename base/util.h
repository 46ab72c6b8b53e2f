/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things that every module needs: automatic cleanup, array sizes, growth of arrays, checked arithmetic.
 *
 * Cleanup: `_cleanup_free_ char *name = NULL;` frees on every exit; hand a value over with `steal_pointer(&name)`.
 * An opaque type declares its own with DEFINE_CLEANUP(struct tree *, tree_free) and is used as
 * `_cleanup_(tree_freep) struct tree *t = NULL;`.
 */
#ifndef SSTABLEFS_BASE_UTIL_H
#define SSTABLEFS_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)                   \
	__attribute__((__cleanup__(f), \
		       __unused__)) /* clang takes one that is only cleaned up for unused */
#define _cleanup_free_ _cleanup_(util_freep)
#define _cleanup_close_ _cleanup_(util_closep)
#define _printf_(a, b) __attribute__((__format__(__printf__, a, b)))
#define _unused_ __attribute__((__unused__))

#define DEFINE_CLEANUP(type, func)          \
	static inline void func##p(type *p) \
	{                                   \
		if (*p)                     \
			func(*p);           \
	}                                   \
	struct util_semicolon

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define steal_pointer(pp)                      \
	({                                     \
		__typeof__(*(pp)) *pp_ = (pp); \
		__typeof__(*(pp)) p_ = *pp_;   \
		*pp_ = NULL;                   \
		p_;                            \
	})

static inline void util_freep(void *p)
{
	free(*(void **)p);
}

static inline void util_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/* Makes room for at least `need` elements of `size` bytes in *array, whose capacity is *cap (elements). 0 or -ENOMEM; *array stays valid. */
int util_grow(void *array, size_t *cap, size_t need, size_t size);

/* Hex. util_hex writes 2 * len lower-case digits and a NUL into out. util_unhex takes exactly 2 * len digits (lower case only): 0 or -EINVAL. */
void util_hex(char *out, const void *data, size_t len);
int util_unhex(void *out, size_t len, const char *hex);

/* Lines such as "1.5 GiB" and "12 B". Returns out. */
char *util_format_bytes(char out[32], uint64_t bytes);

/* "64M", "1G", "512", "1.5G" (binary units, optional iB or B) -> bytes. 0, -EINVAL or -ERANGE. */
int util_parse_bytes(const char *text, uint64_t *ret);

/* The length of the UTF-8 sequence at text (shortest form, no surrogates), which ends with a NUL; 0 where there is none. */
size_t util_utf8_length(const char *text);
/* Replaces every control character (C0, DEL, C1, line separators, changes of direction) and every byte that is no UTF-8 by '?', so that the text is one harmless line. Returns text. */
char *util_one_line(char *text);

/* A new string, or NULL when out of memory. */
char *util_printf(const char *fmt, ...) _printf_(1, 2);

#endif
