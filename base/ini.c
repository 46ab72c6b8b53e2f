/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inih as Debian builds it reads lines of at most 199 bytes unless its run-time options say otherwise, cuts section and key names
 * at 49 bytes without a word, ends values at " ;", and takes an indented line for more of the value before it. The options below end
 * all but the names; those, and the length of lines, are checked here, before inih could cut anything.
 */
#include "base/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pthread.h>
#include <string.h>
#include "base/io.h"

#define FILE_BYTES_MAX (1 * (size_t)MIB)
#define LINE_BYTES_MAX 8192 /* session tokens are several KiB long */

struct reader {
	const char *path;
	const char *at, *end;
	int line; /* of the last one handed to inih */
	ini_entry *entry;
	void *ctx;
	struct err *e;
	int result;
};

/* The options of the library are variables of the process: set once, to what every caller here needs. */
static void set_options(void)
{
	ini_use_stack = false;
	ini_allow_realloc = true;
	ini_max_line = LINE_BYTES_MAX + 3;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_stop_on_first_error = true;
}

/* As fgets. A line may come in several pieces, while inih's buffer grows. */
static char *read_piece(char *out, int size, void *stream)
{
	struct reader *r = stream;
	const char *newline;
	size_t n;

	if (r->at == r->end || r->result < 0 || size < 2)
		return NULL;
	newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
	n = (size_t)((newline ? newline + 1 : r->end) - r->at);
	n = MIN_OF(n, (size_t)size - 1);
	memcpy(out, r->at, n);
	out[n] = '\0';
	r->at += n;
	if (out[n - 1] == '\n' || r->at == r->end)
		r->line++;
	return out;
}

/* Texts of errors name the line and the key, never a value: it may be a secret. */
static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	struct reader *r = user;

	if (!key || !value)
		return 1;
	if (strlen(section) >
	    INI_NAME_BYTES_MAX) /* inih keeps one more, and does not say when it cut */
		section = NULL;
	if (strlen(key) > INI_NAME_BYTES_MAX)
		r->result = err_set(r->e, ERR_USAGE, -EINVAL,
				    "%s:%d: a key is longer than %d bytes", r->path, r->line,
				    INI_NAME_BYTES_MAX);
	else if (key[0] == '\0')
		r->result = err_set(r->e, ERR_USAGE, -EINVAL, "%s:%d: no key before the '='",
				    r->path, r->line);
	else
		r->result = r->entry(r->ctx, section, key, value, r->line, r->e);
	return r->result < 0 ? 0 : 1;
}

static int check_lines(const char *path, const char *text, size_t len, struct err *e)
{
	int line = 1;

	for (const char *at = text; at < text + len; line++) {
		const char *newline = memchr(at, '\n', (size_t)(text + len - at));
		size_t n = (size_t)((newline ? newline : text + len) - at);

		if (n > LINE_BYTES_MAX)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "%s:%d: the line is longer than %d bytes", path, line,
				       LINE_BYTES_MAX);
		if (memchr(at, '\0', n))
			return err_set(e, ERR_USAGE, -EINVAL, "%s:%d: the line holds a NUL byte",
				       path, line);
		at += n + 1;
	}
	return 0;
}

/* The name in a line "[name]"; false: it is no such line. One that is too long for `out` leaves it empty. */
static bool is_section(const char *line, size_t len, char out[INI_NAME_BYTES_MAX + 1])
{
	const char *end;
	size_t n;

	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	end = len > 0 && *line == '[' ? memchr(line, ']', len) : NULL;
	if (!end)
		return false;
	n = (size_t)(end - line - 1);
	n = n > INI_NAME_BYTES_MAX ? 0 : n;
	memcpy(out, line + 1, n);
	out[n] = '\0';
	return true;
}

/* inih tells of a section with each of its keys, and nothing of one that has none. */
static int tell_sections(struct reader *r, ini_section *section)
{
	static const char mark[] =
		"\xEF\xBB\xBF"; /* as some editors begin a file; inih passes over it */
	char name[INI_NAME_BYTES_MAX + 1];
	bool marked = (size_t)(r->end - r->at) >= strlen(mark) &&
		      memcmp(r->at, mark, strlen(mark)) == 0;
	int line = 1, result = 0;

	for (const char *at = r->at + (marked ? strlen(mark) : 0); result == 0 && at < r->end;
	     line++) {
		const char *newline = memchr(at, '\n', (size_t)(r->end - at));
		const char *end = newline ? newline : r->end;

		if (is_section(at, (size_t)(end - at), name) && *name)
			result = section(r->ctx, name, line, r->e);
		at = end + 1;
	}
	return result;
}

static int load(const char *path, char **ret_text, size_t *ret_len, struct err *e)
{
	int r = io_read_file(AT_FDCWD, path, FILE_BYTES_MAX, ret_text, ret_len);

	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, r, "%s does not exist", path);
	if (r == -EFBIG)
		return err_set(e, ERR_USAGE, r, "%s is larger than 1 MiB: not a configuration file",
			       path);
	if (r == -ESPIPE)
		return err_set(e, ERR_USAGE, r, "%s is a pipe: a file is wanted", path);
	if (r < 0)
		return err_errno(e, r, "cannot read %s", path);
	return 0;
}

int ini_read_file(const char *path, ini_section *section, ini_entry *entry, void *ctx,
		  struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_free_ char *text = NULL;
	struct reader reader = { .path = path, .entry = entry, .ctx = ctx, .e = e };
	size_t len;
	int r;

	r = load(path, &text, &len, e);
	if (r < 0)
		return r;
	reader.at = text;
	reader.end = text + len;
	r = check_lines(path, text, len, e);
	if (r == 0 && section)
		r = tell_sections(&reader, section);
	if (r == 0) {
		pthread_once(&once, set_options);
		r = ini_parse_stream(read_piece, &reader, on_entry, &reader);
	}
	explicit_bzero(text, len);
	if (reader.result < 0 || r == 0)
		return reader.result;
	if (r > 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "%s:%d: neither \"[section]\" nor \"key = value\"", path, r);
	return r == -2 ? err_nomem(e) : r;
}
