/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of words in the bucket (condemned lists, .waits): text whose first line is "<type> 1", then one word a line, then the seal
 *
 *   sha256 <64 lower-case hex digits>      of every byte before this line
 *
 * Each line ends in a newline.
 */
#ifndef SSTABLEFS_CATALOG_SEALTEXT_H
#define SSTABLEFS_CATALOG_SEALTEXT_H

#include "base/buf.h"
#include "base/err.h"

#define SEALTEXT_LINE_BYTES 500

/* A line without its newline: 1 to SEALTEXT_LINE_BYTES printable ASCII characters, no space; not NUL-terminated. 0, or < 0 to fail with it. */
typedef int sealtext_line_fn(void *ctx, const char *line, size_t len_bytes, struct err *e);

struct sealtext {
	const char *type; /* "condemned" */
	const char *what; /* in messages: "the list of condemned keys" */
	size_t max_bytes, max_lines;
};

/* Checks the seal and the first line, then hands out the lines in order. -EBADMSG (ERR_CORRUPT), -ENOTSUP (ERR_USAGE: a newer version), or what `line` gave. */
int sealtext_read(const struct sealtext *s, const char *text, size_t len_bytes,
		  sealtext_line_fn *line, void *ctx, struct err *e);

/* The same written: begin, each line, end. What fails is told by wbuf_error (a maximum that is passed, too). */
void sealtext_begin(const struct sealtext *s, struct wbuf *out);
void sealtext_line(struct wbuf *out, const char *line);
void sealtext_end(struct wbuf *out);

#endif
