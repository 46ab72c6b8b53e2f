/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XML of S3: listings, results of DeleteObjects, errors, and the body of DeleteObjects.
 * Untrusted input: every size, depth and count has a limit, document types are refused. Any
 * thread.
 */
#ifndef SSTABLEFS_STORE_S3XML_H
#define SSTABLEFS_STORE_S3XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

#define S3XML_TOKEN_MAX 4096
#define S3XML_ENTRIES_MAX 10000

enum s3xml_outcome { S3XML_ERROR_DOCUMENT = 1 }; /* the document is an <Error>, now in *ret_error */

struct s3xml_error { /* missing elements: ""; too long ones are cut */
	char code[64], message[256], region[64], endpoint[256];
};

struct s3xml_entry {
	const char *key; /* as the server has it, decoded; a common prefix ends in '/' */
	bool is_prefix;
	uint64_t size_bytes;
	const char *etag; /* without quotes */
	int64_t modified_ns;
	size_t key_at, etag_at; /* private: while the texts may still move */
};

struct s3xml_page {
	struct s3xml_entry *entries; /* in order of keys */
	size_t count;
	bool truncated;
	char *token; /* of the next page, NULL where there is none */
	/* private: */
	size_t cap;
	struct wbuf text;
};

struct s3xml_delete_error {
	const char *key, *code, *message; /* borrowed during the callback */
};
typedef void s3xml_delete_fn(void *ctx, const struct s3xml_delete_error *error);

/* An error document. 0, or -EBADMSG where it is none; -ENOMEM. */
int s3xml_parse_error(const void *data, size_t len_bytes, struct s3xml_error *ret);
/* ListObjectsV2. 0 (deinit the page), S3XML_ERROR_DOCUMENT, -EBADMSG, -ENOMEM. */
int s3xml_parse_list(const void *data, size_t len_bytes, struct s3xml_page *ret,
		     struct s3xml_error *ret_error);
void s3xml_page_deinit(struct s3xml_page *page);
/*
 * DeleteResult: calls `failed` for each key that was not deleted, at once (before the end of the
 * document is known to be sound). Returns as above.
 */
int s3xml_parse_delete(const void *data, size_t len_bytes, s3xml_delete_fn *failed, void *ctx,
		       struct s3xml_error *ret_error);

/* Whether XML 1.0 can hold the key: no control bytes. */
bool s3xml_can_hold(const char *key);
/* The request for DeleteObjects: opens, one call a key (prefix + key), closes. Errors stick in out. */
void s3xml_delete_begin(struct wbuf *out);
void s3xml_delete_key(struct wbuf *out, const char *prefix, const char *key);
void s3xml_delete_end(struct wbuf *out);

#endif
