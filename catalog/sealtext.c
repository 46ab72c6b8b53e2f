/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/sealtext.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/digest.h"

#define VERSION " 1\n"
#define SEAL "sha256 "
#define SEAL_BYTES (sizeof(SEAL) - 1 + SHA256_HEX) /* with its newline in the place of the NUL */

static int damaged(const struct sealtext *s, struct err *e, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "%s is damaged: %s", s->what, why);
}

static int check_seal(const struct sealtext *s, const char *text, size_t body_bytes, struct err *e)
{
	struct id256 sum = digest_sha256(text, body_bytes);
	char hex[SHA256_HEX];

	util_hex(hex, sum.b, sizeof(sum.b));
	if (memcmp(text + body_bytes, SEAL, sizeof(SEAL) - 1) != 0 ||
	    text[body_bytes + SEAL_BYTES - 1] != '\n')
		return damaged(s, e, "it has no seal");
	if (memcmp(text + body_bytes + sizeof(SEAL) - 1, hex, sizeof(hex) - 1) != 0)
		return damaged(s, e, "its SHA-256 does not fit");
	return 0;
}

static int check_first(const struct sealtext *s, struct rbuf *b, struct err *e)
{
	size_t type = strlen(s->type);
	const uint8_t *first = rbuf_take(b, type + strlen(VERSION));

	if (!first || memcmp(first, s->type, type) != 0 || first[type] != ' ')
		return damaged(s, e, "its first line is not that of such a list");
	if (memcmp(first + type, VERSION, strlen(VERSION)) != 0)
		return err_set(e, ERR_USAGE, -ENOTSUP,
			       "%s was written by a newer version: use a newer sstablefs", s->what);
	return 0;
}

static bool line_is_fine(const char *line, size_t len)
{
	if (len == 0 || len > SEALTEXT_LINE_BYTES)
		return false;
	for (size_t i = 0; i < len; i++)
		if (line[i] < '!' || line[i] > '~')
			return false;
	return true;
}

static int read_lines(const struct sealtext *s, struct rbuf *b, sealtext_line_fn *fn, void *ctx,
		      struct err *e)
{
	for (size_t lines = 0; rbuf_left(b) > 0; lines++) {
		const char *line = (const char *)b->data + b->pos;
		const char *end = memchr(line, '\n', rbuf_left(b));
		int r;

		if (!end || !line_is_fine(line, (size_t)(end - line)))
			return damaged(s, e, "a line is no key");
		if (lines == s->max_lines)
			return damaged(s, e, "it has too many lines");
		r = fn(ctx, line, (size_t)(end - line), e);
		if (r < 0)
			return r;
		rbuf_take(b, (size_t)(end - line) + 1);
	}
	return 0;
}

int sealtext_read(const struct sealtext *s, const char *text, size_t len_bytes,
		  sealtext_line_fn *line, void *ctx, struct err *e)
{
	struct rbuf b;
	int r;

	if (len_bytes < SEAL_BYTES || len_bytes > s->max_bytes)
		return damaged(s, e, "its length is out of range");
	r = check_seal(s, text, len_bytes - SEAL_BYTES, e);
	if (r < 0)
		return r;
	b = rbuf_over(text, len_bytes - SEAL_BYTES);
	r = check_first(s, &b, e);
	return r < 0 ? r : read_lines(s, &b, line, ctx, e);
}

void sealtext_begin(const struct sealtext *s, struct wbuf *out)
{
	wbuf_put(out, s->type, strlen(s->type));
	wbuf_put(out, VERSION, strlen(VERSION));
}

void sealtext_line(struct wbuf *out, const char *line)
{
	wbuf_put(out, line, strlen(line));
	wbuf_u8(out, '\n');
}

void sealtext_end(struct wbuf *out)
{
	char seal[SEAL_BYTES + 1], hex[SHA256_HEX];
	struct id256 sum;

	if (wbuf_error(out))
		return;
	sum = digest_sha256(out->data, out->len);
	util_hex(hex, sum.b, sizeof(sum.b));
	snprintf(seal, sizeof(seal), SEAL "%s\n", hex);
	wbuf_put(out, seal, SEAL_BYTES);
}
