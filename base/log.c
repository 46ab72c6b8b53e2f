/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two locks, never held together: `lock` protects the counts by kind, `sink_lock` lets one line at a time into the sink (which
 * may be slow). A window of one second begins with the first line of a kind; lines past the tenth are counted. The count is
 * written when the next line of any kind comes after the window, or by log_free.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include "base/io.h"

#define KINDS_MAX 64 /* kinds beyond that share the last place */
#define KIND_BYTES 32
#define LINES_PER_SECOND 10
#define WINDOW_NS INT64_C(1000000000)
#define LINE_BYTES 4096

struct kind {
	char name[KIND_BYTES];
	int64_t window_ns; /* when the window began; meaningful where written > 0 */
	unsigned written;
	uint64_t left_out;
	enum log_level level; /* the most severe of what was left out */
};

struct log {
	const struct clock *clock;
	enum log_level max_level;
	log_sink *sink;
	void *sink_ctx;
	pthread_mutex_t sink_lock; /* around sink() */
	pthread_mutex_t lock;	   /* kinds, kind_count */
	size_t kind_count;
	struct kind kinds[KINDS_MAX];
};

struct log *log_new(const struct clock *clock, enum log_level max_level, log_sink *sink, void *ctx)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->clock = clock;
	log->max_level = max_level;
	log->sink = sink;
	log->sink_ctx = ctx;
	pthread_mutex_init(&log->sink_lock, NULL);
	pthread_mutex_init(&log->lock, NULL);
	return log;
}

static void emit(struct log *log, enum log_level level, const char *line)
{
	pthread_mutex_lock(&log->sink_lock);
	log->sink(log->sink_ctx, level, line);
	pthread_mutex_unlock(&log->sink_lock);
}

/* Takes one kind whose window is over (or any, at the end) and of which lines were left out. */
static bool take_left_out(struct log *log, bool at_end, struct kind *ret)
{
	int64_t now = clock_elapsed_ns(log->clock);
	bool found = false;

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < log->kind_count && !found; i++) {
		struct kind *kind = &log->kinds[i];

		if (kind->left_out > 0 && (at_end || now - kind->window_ns >= WINDOW_NS)) {
			*ret = *kind;
			kind->left_out = 0;
			found = true;
		}
	}
	pthread_mutex_unlock(&log->lock);
	return found;
}

static void emit_left_out(struct log *log, bool at_end)
{
	char line[128];
	struct kind kind;

	while (take_left_out(log, at_end, &kind)) {
		snprintf(line, sizeof(line), "%llu more line%s of kind %s %s left out",
			 (unsigned long long)kind.left_out, kind.left_out == 1 ? "" : "s",
			 kind.name, kind.left_out == 1 ? "was" : "were");
		emit(log, kind.level, line);
	}
}

void log_free(struct log *log)
{
	if (!log)
		return;
	emit_left_out(log, true);
	pthread_mutex_destroy(&log->lock);
	pthread_mutex_destroy(&log->sink_lock);
	free(log);
}

/* The place of a kind, made at its first line. With log->lock held. */
static struct kind *find_kind(struct log *log, const char *name)
{
	struct kind *kind;

	for (size_t i = 0; i < log->kind_count; i++) {
		if (strncmp(log->kinds[i].name, name, KIND_BYTES - 1) == 0)
			return &log->kinds[i];
	}
	if (log->kind_count == KINDS_MAX)
		return &log->kinds[KINDS_MAX - 1];
	kind = &log->kinds[log->kind_count++];
	snprintf(kind->name, sizeof(kind->name), "%s",
		 log->kind_count < KINDS_MAX ? name : "other");
	return kind;
}

/* Whether a line of that kind may be written now; if not, it is counted. */
static bool admit(struct log *log, enum log_level level, const char *name)
{
	int64_t now = clock_elapsed_ns(log->clock);
	struct kind *kind;
	bool admitted;

	pthread_mutex_lock(&log->lock);
	kind = find_kind(log, name);
	if (kind->written == 0 || now - kind->window_ns >= WINDOW_NS) {
		kind->window_ns = now;
		kind->written = 0;
	}
	admitted = kind->written < LINES_PER_SECOND;
	if (admitted) {
		kind->written++;
	} else {
		kind->level = kind->left_out == 0 ? level : MIN_OF(kind->level, level);
		kind->left_out++;
	}
	pthread_mutex_unlock(&log->lock);
	return admitted;
}

void log_write(struct log *log, enum log_level level, const char *kind, const char *fmt, ...)
{
	char line[LINE_BYTES];
	va_list ap;

	if (!log || level > log->max_level)
		return;
	emit_left_out(log, false);
	if (!admit(log, level, kind))
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	emit(log, level, util_one_line(line));
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		break;
	}
	return "debug";
}

/* One write, so that lines of several processes do not mix. Nobody can be told when it fails. */
static void write_line(int fd, const char *text)
{
	int r = io_write_full(fd, text, strlen(text));

	(void)r;
}

void log_to_stderr(void *ctx, enum log_level level, const char *line)
{
	char text[LINE_BYTES + 32];

	snprintf(text, sizeof(text), "sstablefs: %s\n", line);
	write_line(STDERR_FILENO, text);
}

void log_to_syslog(void *ctx, enum log_level level, const char *line)
{
	syslog(LOG_DAEMON | (int)level, "%s", line);
}

void log_to_fd(void *ctx, enum log_level level, const char *line)
{
	char text[LINE_BYTES + 64], when[CLOCK_RFC3339_BYTES];

	clock_rfc3339(when, clock_wall_ns(clock_system()), 1);
	snprintf(text, sizeof(text), "%s %s %s\n", when, level_name(level), line);
	write_line((int)(intptr_t)ctx, text);
}
