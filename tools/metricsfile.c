/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/metricsfile.h"

#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/io.h"

#define PREFIX "sstablefs_backup_"
#define FILE_BYTES (64 * KIB) /* of a file that is read back: ours have some 2 KiB */
#define VALUE_BYTES 32
#define LABELS_BYTES (2 * FORMAT_NAME_BYTES + 32)
#define NS_PER_S 1e9

/* A value that is known, as text, or "". */
struct value {
	char text[VALUE_BYTES];
};

enum { GOOD_TIME, GOOD_DURATION, GOOD_BYTES, GOOD_NEW_BYTES, GOOD_FILES, GOOD_DAMAGED, GOOD_COUNT };

static const struct {
	const char *name, *help;
} good[GOOD_COUNT] = {
	[GOOD_TIME] = { "last_success_timestamp_seconds",
			"When the last good backup was finished." },
	[GOOD_DURATION] = { "last_success_duration_seconds",
			    "How long the last good backup took." },
	[GOOD_BYTES] = { "last_success_size_bytes", "Size of the last good backup." },
	[GOOD_NEW_BYTES] = { "last_success_new_bytes",
			     "How much of the last good backup was not in the repository before." },
	[GOOD_FILES] = { "last_success_files", "Files in the last good backup." },
	[GOOD_DAMAGED] = { "last_success_damaged_files",
			   "Data.db files of the last good backup that do not match their "
			   "Digest.crc32." },
};

void metricsfile_note(struct metricsfile *m, const struct record *record)
{
	m->made = true;
	m->files = record->file_count;
	m->total_bytes = record->total_bytes;
	m->new_bytes = record->new_bytes;
	m->damaged = record->digests.mismatched;
}

_printf_(2, 3) static void set(struct value *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}

/* ---- the file that is there ---- */

/* The value of a line `name{labels} value`, where it is that metric with these labels, and a number. */
static bool value_of(const char *line, const char *name, const char *labels, struct value *ret)
{
	size_t prefix = strlen(PREFIX), name_len = strlen(name), labels_len = strlen(labels), len;
	const char *text = line + prefix + name_len + labels_len + 1;
	char *end;

	if (strncmp(line, PREFIX, prefix) != 0 || strncmp(line + prefix, name, name_len) != 0 ||
	    strncmp(line + prefix + name_len, labels, labels_len) != 0 || text[-1] != ' ')
		return false;
	len = strlen(text);
	if (len == 0 || len >= sizeof(ret->text) || strspn(text, "0123456789.") != len ||
	    !isfinite(strtod(text, &end)) || *end)
		return false;
	memcpy(ret->text, text, len + 1);
	return true;
}

/* The node whose file it is, from any line of ours. */
static void where_of(const char *line, struct node_name *ret)
{
	char cluster[FORMAT_NAME_BYTES + 1], node[FORMAT_NAME_BYTES + 1];
	const char *labels = strncmp(line, PREFIX, strlen(PREFIX)) == 0 ? strchr(line, '{') : NULL;

	_Static_assert(FORMAT_NAME_BYTES == 128, "the widths below");
	if (!labels ||
	    sscanf(labels, "{cluster=\"%128[^\"]\",node=\"%128[^\"]\"}", cluster, node) != 2 ||
	    keys_check_name("cluster", cluster, NULL) < 0 ||
	    keys_check_name("node", node, NULL) < 0)
		return;
	strcpy(ret->cluster, cluster);
	strcpy(ret->node, node);
}

static void format_labels(char out[LABELS_BYTES], const struct node_name *where)
{
	snprintf(out, LABELS_BYTES, "{cluster=\"%s\",node=\"%s\"}", where->cluster, where->node);
}

static void read_values(char *text, const char *labels, struct value values[GOOD_COUNT])
{
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		for (size_t i = 0; i < GOOD_COUNT; i++)
			value_of(line, good[i].name, labels, &values[i]);
}

/* What was said before of the same node. A file that cannot be read, or is another's, says nothing. */
static void read_old(const char *path, struct node_name *where, struct value values[GOOD_COUNT])
{
	_cleanup_free_ char *text = NULL, *copy = NULL;
	char labels[LABELS_BYTES];
	size_t len;

	if (io_read_file(AT_FDCWD, path, FILE_BYTES, &text, &len) < 0)
		return;
	copy = strdup(text);
	if (!copy)
		return;
	if (!*where->cluster || !*where->node) {
		for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
			where_of(line, where);
	}
	format_labels(labels, where);
	read_values(copy, labels, values);
}

/* ---- the new one ---- */

_printf_(2, 3) static void put(struct wbuf *b, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		b->error = -ENOMEM;
		return;
	}
	wbuf_put(b, text, (size_t)n);
}

static void gauge(struct wbuf *b, const char *name, const char *help, const char *labels,
		  const char *value)
{
	put(b, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s gauge\n" PREFIX "%s%s %s\n", name, help,
	    name, name, labels, value);
}

static void set_good(const struct metricsfile *m, const struct value *time,
		     const struct value *duration, struct value values[GOOD_COUNT])
{
	values[GOOD_TIME] = *time;
	values[GOOD_DURATION] = *duration;
	set(&values[GOOD_BYTES], "%llu", (unsigned long long)m->total_bytes);
	set(&values[GOOD_NEW_BYTES], "%llu", (unsigned long long)m->new_bytes);
	set(&values[GOOD_FILES], "%llu", (unsigned long long)m->files);
	set(&values[GOOD_DAMAGED], "%llu", (unsigned long long)m->damaged);
}

static void format(const struct metricsfile *m, const struct cli *cli, int exit_code,
		   struct wbuf *b)
{
	struct node_name where = m->where;
	struct value values[GOOD_COUNT] = { 0 }, time, duration, code;
	bool success = exit_code == EXIT_DONE || exit_code == EXIT_FOUND;
	char labels[LABELS_BYTES];

	set(&time, "%.3f", (double)clock_wall_ns(cli->clock) / NS_PER_S);
	set(&duration, "%.3f", (double)(clock_elapsed_ms(cli->clock) - m->begun_ms) / 1000);
	set(&code, "%d", exit_code);
	read_old(m->path, &where, values);
	if (m->made)
		set_good(m, &time, &duration, values);
	format_labels(labels, &where);
	gauge(b, "last_run_timestamp_seconds", "When the last run ended.", labels, time.text);
	gauge(b, "last_run_duration_seconds", "How long the last run took.", labels, duration.text);
	gauge(b, "last_run_success",
	      "1: the last run made its backup (exit code 0 or 3) or found it made; 0: it did not.",
	      labels, success ? "1" : "0");
	gauge(b, "last_run_exit_code",
	      "Exit code of the last run; 3: done, but something was found or left out.", labels,
	      code.text);
	for (size_t i = 0; i < GOOD_COUNT; i++)
		if (*values[i].text)
			gauge(b, good[i].name, good[i].help, labels, values[i].text);
}

int metricsfile_write(const struct metricsfile *m, struct cli *cli, int exit_code)
{
	struct err e = ERR_INIT;
	struct wbuf b;
	char text[2048];
	int r;

	if (!m->path)
		return exit_code;
	wbuf_init(&b, FILE_BYTES);
	format(m, cli, exit_code, &b);
	r = wbuf_error(&b);
	if (r < 0)
		err_nomem(&e);
	else
		r = io_publish_file(AT_FDCWD, m->path, b.data, b.len, 0644, &e);
	/* Another user reads it, whatever the umask is. */
	if (r == 0 && fchmodat(AT_FDCWD, m->path, 0644, 0) < 0)
		r = err_errno(&e, -errno, "cannot make %s readable", m->path);
	wbuf_deinit(&b);
	if (r == 0)
		return exit_code;
	fprintf(stderr, "sstablefs: backup: --metrics-file: %s\n",
		err_describe(&e, text, sizeof(text)));
	return exit_code == EXIT_DONE ? EXIT_FOUND : exit_code;
}
