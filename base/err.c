/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Texts are made in a buffer first: an argument may be e->message itself. */
#define MESSAGE_BYTES sizeof(((struct err *)0)->message)

/* Appends to a text of `size` bytes; what does not fit is cut off. */
static void append(char *out, size_t size, const char *fmt, ...) _printf_(3, 4);
static void append(char *out, size_t size, const char *fmt, ...)
{
	size_t len = strlen(out);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(out + len, size - len, fmt, ap);
	va_end(ap);
}

static int fill(struct err *e, enum err_kind kind, int code, const char *message)
{
	*e = ERR_INIT;
	e->kind = kind;
	e->code = code;
	memcpy(e->message, message, strlen(message) + 1);
	return code;
}

static const char *errno_text(int code)
{
	const char *text = strerrordesc_np(-code);

	if (code == -ENOTCONN)
		return "a mount is there whose process is gone (unmount it: umount PATH, or sstablefs umount PATH)";
	return text ? text : "unknown error";
}

int err_set(struct err *e, enum err_kind kind, int code, const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return fill(e, kind, code, message);
}

int err_errno(struct err *e, int code, const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	append(message, sizeof(message), ": %s", errno_text(code));
	return fill(e, ERR_IO, code, message);
}

int err_nomem(struct err *e)
{
	return e ? fill(e, ERR_IO, -ENOMEM, "out of memory") : -ENOMEM;
}

void err_key(struct err *e, const char *key)
{
	size_t len = strlen(key), room = sizeof(e->key) - 1;

	if (!e || e->key[0])
		return;
	if (len <= room) {
		memcpy(e->key, key, len + 1);
		return;
	}
	key += len - (room - 3);
	while (((unsigned char)*key & 0xc0) == 0x80) /* not in the middle of a UTF-8 character */
		key++;
	snprintf(e->key, sizeof(e->key), "...%s", key);
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
	char message[MESSAGE_BYTES];
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	/* Nothing noted yet: the failure comes from a function that only returns a code. */
	if (!e->message[0]) {
		append(message, sizeof(message), ": %s", errno_text(code));
		return fill(e, ERR_IO, code, message);
	}
	append(message, sizeof(message), ": %s", e->message);
	memcpy(e->message, message, sizeof(message));
	return code;
}

int err_exit_code(enum err_kind kind)
{
	switch (kind) {
	case ERR_NONE:
		return 0;
	case ERR_USAGE:
		return 2;
	case ERR_NOT_FOUND:
		return 4;
	case ERR_STORE:
	case ERR_CREDENTIALS:
		return 5;
	case ERR_IO:
	case ERR_CORRUPT:
	case ERR_CONFLICT:
		break;
	}
	return 1;
}

const char *err_kind_name(enum err_kind kind)
{
	static const char *const names[] = {
		[ERR_NONE] = "none",	   [ERR_IO] = "io",
		[ERR_CORRUPT] = "corrupt", [ERR_CONFLICT] = "conflict",
		[ERR_USAGE] = "usage",	   [ERR_NOT_FOUND] = "not_found",
		[ERR_STORE] = "store",	   [ERR_CREDENTIALS] = "credentials",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "io";
}

char *err_describe(const struct err *e, char *out, size_t size)
{
	const char *separator = " (";

	if (size == 0)
		return out;
	out[0] = '\0';
	append(out, size, "%s", e->message[0] ? e->message : errno_text(e->code));
	if (e->key[0]) {
		append(out, size, "%skey %s", separator, e->key);
		separator = ", ";
	}
	if (e->http_status) {
		append(out, size, "%sHTTP status %d", separator, e->http_status);
		separator = ", ";
	}
	if (e->request_id[0]) {
		append(out, size, "%srequest id %s", separator, e->request_id);
		separator = ", ";
	}
	if (separator[0] == ',')
		append(out, size, ")");
	return util_one_line(out);
}
