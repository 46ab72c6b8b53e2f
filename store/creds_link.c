/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_link.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"

#define TOKEN_FILE_MAX (64 * (size_t)KIB)

int creds_link_absent(struct creds_attempt *a, const char *link, const char *fmt, ...)
{
	size_t len = strlen(a->trail);
	va_list ap;

	snprintf(a->trail + len, sizeof(a->trail) - len, "%s%s (", len ? "; " : "", link);
	len = strlen(a->trail);
	va_start(ap, fmt);
	vsnprintf(a->trail + len, sizeof(a->trail) - len, fmt, ap);
	va_end(ap);
	len = strlen(a->trail);
	snprintf(a->trail + len, sizeof(a->trail) - len, ")");
	return CREDS_LINK_ABSENT;
}

const char *creds_link_variable(const struct creds_world *w, const char *name)
{
	const char *v = w->getenv(w->getenv_ctx, name);

	return v && *v ? v : NULL;
}

int creds_link_keep(char *out, size_t size, const char *text, const char *what, struct err *e)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return err_set(e, ERR_CREDENTIALS, -EINVAL,
				       "%s holds a blank or control character", what);
	}
	if (len >= size)
		return err_set(e, ERR_CREDENTIALS, -EINVAL, "%s is longer than %zu bytes", what,
			       size - 1);
	memcpy(out, text, len + 1);
	return 0;
}

/* "+hh:mm" or "-hh:mm" to seconds. */
static int parse_offset(const char *text, int64_t *ret_s)
{
	static const char form[] = "+00:00";

	for (int i = 1; i < 6; i++) {
		if (i == 3 ? text[i] != ':' : !isdigit((unsigned char)text[i]))
			return -EINVAL;
	}
	if ((text[0] != '+' && text[0] != '-') || text[sizeof(form) - 1])
		return -EINVAL;
	*ret_s = ((text[1] - '0') * 10 + (text[2] - '0')) * 3600 +
		 ((text[4] - '0') * 10 + (text[5] - '0')) * 60;
	if (text[0] == '-')
		*ret_s = -*ret_s;
	return 0;
}

int creds_link_time(const char *text, int64_t *ret_wall_ns)
{
	char utc[48];
	size_t len = strlen(text);
	int64_t offset_s, ns;

	if (len < 7 || len >= sizeof(utc) || parse_offset(text + len - 6, &offset_s) < 0)
		return clock_parse_rfc3339(text, ret_wall_ns);
	snprintf(utc, sizeof(utc), "%.*sZ", (int)(len - 6), text);
	if (clock_parse_rfc3339(utc, &ns) < 0)
		return -EINVAL;
	*ret_wall_ns = ns - offset_s * 1000000000;
	return 0;
}

void creds_link_free_secret(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

int creds_link_token_file(const char *path, char **ret, struct err *e)
{
	char *text, *begin;
	size_t len;
	int r = io_read_file(AT_FDCWD, path, TOKEN_FILE_MAX, &text, &len);

	if (r == -EFBIG)
		return err_set(e, ERR_CREDENTIALS, r, "the token file %s is larger than 64 KiB",
			       path);
	if (r < 0)
		return err_set(e, ERR_CREDENTIALS, r, "cannot read the token file %s: %s", path,
			       strerrordesc_np(-r));
	begin = text + strspn(text, " \t\r\n");
	for (len = strlen(begin); len && isspace((unsigned char)begin[len - 1]);)
		begin[--len] = 0;
	memmove(text, begin, len + 1);
	if (len)
		*ret = text;
	else
		creds_link_free_secret(&text);
	return len ? 0 : err_set(e, ERR_CREDENTIALS, -EINVAL, "the token file %s is empty", path);
}
