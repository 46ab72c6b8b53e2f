/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed JSON: the documents of the bucket that a person can read (repository.json, records, pins). The text is an object whose
 * last line is `"sha256":"<64 hex>"}` and a newline; the digest covers every byte before that line. So a flipped bit is found before
 * anything is believed, and a few lines of any language can check it (docs/format.md).
 */
#ifndef SSTABLEFS_BASE_JSON_H
#define SSTABLEFS_BASE_JSON_H

#include <jansson.h>
#include <stddef.h>
#include "base/err.h"

#define _cleanup_json_ _cleanup_(json_decrefp) /* json_decrefp is jansson's */

/* The sealed text of an object (keys in the order of insertion), newly allocated. 0 or -ENOMEM. */
int json_seal(const json_t *object, char **ret_text, size_t *ret_len, struct err *e);
/* Checks the seal, limits (depth, memory for its values, max_bytes) and parses. `what` names the document in errors. 0, or < 0 with ERR_CORRUPT. */
int json_unseal(const char *what, const char *text, size_t len_bytes, size_t max_bytes,
		json_t **ret, struct err *e);

/* An object without a seal: what another program or server says. The same limits and errors. */
int json_parse(const char *what, const char *text, size_t len_bytes, size_t max_bytes, json_t **ret,
	       struct err *e);

/* A string of any bytes: those that are no UTF-8 become U+FFFD. A new reference; NULL: out of memory. */
json_t *json_text(const char *text);

/* Members with a type: 0; -ENOENT (no error text) where absent; -EBADMSG with ERR_CORRUPT text where of another type or out of range. */
int json_get_string(const json_t *o, const char *key, size_t max_bytes, const char **ret,
		    struct err *e);
/* jansson's integers are signed: up to INT64_MAX. */
int json_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e);

#endif
