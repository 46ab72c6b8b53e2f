/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML from servers, element by element: each as its path, "/ListBucketResult/Contents/Key", with
 * its text. Untrusted input: depth, names and texts have limits, document types are refused. Any
 * thread.
 */
#ifndef SSTABLEFS_STORE_XML_H
#define SSTABLEFS_STORE_XML_H

#include <stdbool.h>
#include <stddef.h>

#define XML_TEXT_MAX 4096 /* a key of 1024 bytes, each as %XX, fits */

struct xml_handler { /* both: 0, or -errno to stop */
	int (*begin)(void *ctx, const char *path);
	/* text: of the element, behind its last child; cut: it was longer than XML_TEXT_MAX. */
	int (*end)(void *ctx, const char *path, const char *text, bool cut);
	void *ctx;
};

/* 0 for a whole document; -EBADMSG, -ENOMEM, or what the handler stopped with. */
int xml_walk(const void *data, size_t len_bytes, const struct xml_handler *handler);

#endif
