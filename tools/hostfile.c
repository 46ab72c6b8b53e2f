/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/hostfile.h"

#include <fcntl.h>
#include <string.h>
#include "base/io.h"

#define FILE_BYTES_MAX (4 * MIB)

char *hostfile_strip(char *text)
{
	size_t len;

	text += strspn(text, " \t\r");
	for (len = strlen(text); len > 0 && strchr(" \t\r", text[len - 1]); len--)
		text[len - 1] = '\0';
	return text;
}

int hostfile_read(const char *path, hostfile_fn *fn, void *ctx, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len, number = 0, entries = 0;
	char *rest, *line;
	int r = io_read_file(AT_FDCWD, path, FILE_BYTES_MAX, &text, &len);

	if (r < 0)
		return err_set(e, r == -ENOENT ? ERR_NOT_FOUND : ERR_USAGE, r,
			       "cannot read the host list %s: %s", path, strerrordesc_np(-r));
	/* As some editors begin a file. */
	rest = text + (strncmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
	while ((line = strsep(&rest, "\n"))) {
		number++;
		line[strcspn(line, "#")] = '\0';
		line = hostfile_strip(line);
		if (!*line)
			continue;
		entries++;
		r = fn(ctx, line, e);
		if (r < 0)
			return err_wrap(e, r, "%s:%zu", path, number);
	}
	if (entries == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "the host list %s names no host", path);
	return 0;
}
