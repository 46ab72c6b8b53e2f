/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of our own code that can fail for want of memory, descriptors or threads, and a way to make one of them fail.
 * The linker leads them here (--wrap, CMakeLists.txt); what libraries allocate for themselves is not touched.
 *
 * A call is known by its stack: the return addresses that lie in the program, relative to its start, hashed. The environment
 * says what to do:
 *
 *     SSTABLEFS_FAIL_RECORD=FILE   append a line for each stack that is new to this process: hash, function called, addresses
 *     SSTABLEFS_FAIL_AT=HASH       the first call with this stack fails; with SSTABLEFS_FAIL_ALWAYS=1 every wrapped call of the
 *                                  same class (memory, or the others) from then on
 *     SSTABLEFS_FAIL_FIRED=FILE    append a line once it has failed
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <dirent.h>
#include <unistd.h>
#include <unwind.h>
#include "base/util.h"

#define STACK_DEPTH 64
#define STACKS 16384

extern const char __executable_start[], etext[];

struct trace {
	uintptr_t frames[STACK_DEPTH];
	size_t depth;
	uint64_t hash;
};

enum class { MEMORY, OTHER };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects seen and seen_count */
static uint64_t seen[STACKS];
static size_t seen_count;
static const char *record_path, *fired_path;
static uint64_t fail_at;
static bool fail_always;
static atomic_bool fired[2];	  /* by class */
static _Thread_local bool inside; /* the unwinder may allocate */

static void read_environment(void)
{
	const char *at = getenv("SSTABLEFS_FAIL_AT");

	record_path = getenv("SSTABLEFS_FAIL_RECORD");
	fired_path = getenv("SSTABLEFS_FAIL_FIRED");
	fail_always = getenv("SSTABLEFS_FAIL_ALWAYS") != NULL;
	fail_at = at ? strtoull(at, NULL, 16) : 0;
}

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
	struct trace *t = arg;
	uintptr_t address = _Unwind_GetIP(context), start = (uintptr_t)__executable_start;

	if (address >= start && address < (uintptr_t)etext) {
		address -= start;
		t->frames[t->depth++] = address;
		t->hash = (t->hash ^ address) * 0x100000001b3;
	}
	return t->depth == STACK_DEPTH ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* One write, so that the lines of several processes do not mix. */
static void append(const char *path, const char *line, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, line, len) != (ssize_t)len)
		abort();
	close(fd);
}

static void report(const char *path, const struct trace *t, const char *function)
{
	char line[STACK_DEPTH * 20 + 100];
	int n = snprintf(line, sizeof(line), "%016llx %s", (unsigned long long)t->hash, function);

	for (size_t i = 0; i < t->depth; i++)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " %#lx",
			      (unsigned long)t->frames[i]);
	line[n++] = '\n';
	append(path, line, (size_t)n);
}

static void record(const struct trace *t, const char *function)
{
	bool is_new = true;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < seen_count && is_new; i++)
		is_new = seen[i] != t->hash;
	if (is_new && seen_count == STACKS)
		abort();
	if (is_new)
		seen[seen_count++] = t->hash;
	pthread_mutex_unlock(&lock);
	if (is_new)
		report(record_path, t, function);
}

static bool fails_now(enum class class, const char *function)
{
	struct trace t = { .hash = 0xcbf29ce484222325 };

	if (fail_always && atomic_load(&fired[class]))
		return true;
	_Unwind_Backtrace(step, &t);
	if (record_path)
		record(&t, function);
	if (t.hash != fail_at || atomic_exchange(&fired[class], true))
		return false;
	if (fired_path)
		report(fired_path, &t, function);
	return true;
}

/* Whether this call fails; errno is then `code`. */
static bool fails(enum class class, const char *function, int code)
{
	bool r;

	if (inside)
		return false;
	inside = true;
	pthread_once(&once, read_environment);
	r = (record_path || fail_at) && fails_now(class, function);
	inside = false;
	if (r)
		errno = code;
	return r;
}

/* The wrapped functions, each with the arguments of its model. */
#define WRAP(class, type, failed, code, name, arguments, ...)                             \
	type __real_##name arguments;                                                     \
	type __wrap_##name arguments;                                                     \
	type __wrap_##name arguments                                                      \
	{                                                                                 \
		return fails(class, #name, code) ? (failed) : __real_##name(__VA_ARGS__); \
	}
/* The mode of open and openat is read even where none was given: it is then not looked at. */
#define WRAP_OPEN(name, arguments, ...)                                                     \
	int __real_##name arguments;                                                        \
	int __wrap_##name arguments;                                                        \
	int __wrap_##name arguments                                                         \
	{                                                                                   \
		mode_t mode;                                                                \
		va_list ap;                                                                 \
                                                                                            \
		va_start(ap, flags);                                                        \
		mode = va_arg(ap, mode_t);                                                  \
		va_end(ap);                                                                 \
		return fails(OTHER, #name, EMFILE) ? -1 : __real_##name(__VA_ARGS__, mode); \
	}

WRAP(MEMORY, void *, NULL, ENOMEM, malloc, (size_t n), n)
WRAP(MEMORY, void *, NULL, ENOMEM, calloc, (size_t n, size_t size), n, size)
WRAP(MEMORY, void *, NULL, ENOMEM, realloc, (void *p, size_t n), p, n)
WRAP(MEMORY, char *, NULL, ENOMEM, strdup, (const char *s), s)
WRAP(MEMORY, char *, NULL, ENOMEM, strndup, (const char *s, size_t n), s, n)
WRAP(MEMORY, int, -1, ENOMEM, vasprintf, (char **ret, const char *fmt, va_list ap), ret, fmt, ap)
WRAP(MEMORY, ssize_t, -1, ENOMEM, __getdelim, (char **line, size_t *cap, int c, FILE *f), line, cap,
     c, f)
WRAP(MEMORY, char *, NULL, ENOMEM, realpath, (const char *path, char *ret), path, ret)
WRAP(MEMORY, void *, MAP_FAILED, ENOMEM, mmap64,
     (void *at, size_t n, int prot, int flags, int fd, off64_t offset), at, n, prot, flags, fd,
     offset)
WRAP(OTHER, FILE *, NULL, EMFILE, fopen64, (const char *path, const char *mode), path, mode)
WRAP(OTHER, DIR *, NULL, EMFILE, opendir, (const char *path), path)
WRAP(OTHER, DIR *, NULL, ENOMEM, fdopendir, (int fd), fd)
WRAP(OTHER, int, -1, EMFILE, pipe2, (int fds[2], int flags), fds, flags)
WRAP(OTHER, int, (errno = EAGAIN), EAGAIN, pthread_create,
     (pthread_t * t, const pthread_attr_t *attr, void *(*run)(void *), void *arg), t, attr, run,
     arg)
WRAP_OPEN(open64, (const char *path, int flags, ...), path, flags)
WRAP_OPEN(openat64, (int dirfd, const char *path, int flags, ...), dirfd, path, flags)
