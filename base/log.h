/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a mount or command: an object that is handed down, never a global. Lines are one line (control bytes replaced), at most 10 a
 * second of a kind; the rest is counted and said in one line: before the next line of any kind once the second is over, or at log_free. Any thread
 * may write.
 */
#ifndef SSTABLEFS_BASE_LOG_H
#define SSTABLEFS_BASE_LOG_H

#include "base/clock.h"
#include "base/util.h"

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
}; /* syslog(3) numbers */

struct log;

/* Where lines go; called with a complete line without newline. May be called from any thread, one call at a time. */
typedef void log_sink(void *ctx, enum log_level level, const char *line);

struct log *log_new(const struct clock *clock, enum log_level max_level, log_sink *sink,
		    void *ctx); /* NULL: out of memory */
void log_free(struct log *log);
/* `kind` is a constant short name by which lines are rate limited, such as "read-failed". log NULL: nothing. */
void log_write(struct log *log, enum log_level level, const char *kind, const char *fmt, ...)
	_printf_(4, 5);
DEFINE_CLEANUP(struct log *, log_free);

/* Ready sinks: stderr ("sstablefs: line"), syslog facility daemon, and a file opened with O_APPEND (ctx = (void *)(intptr_t)fd, lines with time). */
log_sink log_to_stderr, log_to_syslog, log_to_fd;

#endif
