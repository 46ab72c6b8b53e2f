/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the JSON documents of the bucket have in common: a seal (base/json.h), a type, a format version, the features that a program must know.
 * Unknown members are ignored. Getters: 0, or < 0 with ERR_CORRUPT naming the member.
 */
#ifndef SSTABLEFS_CATALOG_DOC_H
#define SSTABLEFS_CATALOG_DOC_H

#include "base/json.h"
#include "catalog/format.h"

/* Kinds of access that an unknown feature refuses. */
enum doc_access { DOC_READ = 1, DOC_WRITE = 2, DOC_COLLECT = 4 };

/* A new document with type, format and (no) features; NULL: out of memory. */
json_t *doc_new(const char *type);
/* Adds a member and owns the value. A NULL value or no memory sets *failed. */
void doc_put(json_t *o, const char *key, json_t *value, bool *failed);
/* A string, newly allocated; what is not UTF-8 becomes '?'. NULL: out of memory. */
json_t *doc_text(const char *text);
/* A string; "" is left out. What is not UTF-8 becomes '?'. */
void doc_put_text(json_t *o, const char *key, const char *text, bool *failed);
void doc_put_u64(json_t *o, const char *key, uint64_t value, bool *failed);
/* RFC 3339 in UTC with nine digits of the second; 0 is left out. */
void doc_put_time(json_t *o, const char *key, int64_t ns, bool *failed);
void doc_put_hex(json_t *o, const char *key, const void *data, size_t len_bytes, bool *failed);

/*
 * Unseals and checks type and format. *ret_refused: kinds of access with an unknown feature. A newer format: -ENOTSUP (ERR_USAGE). `what` names
 * the document in every message.
 */
int doc_open(const char *what, const char *type, const char *text, size_t len_bytes,
	     size_t max_bytes, json_t **ret, unsigned *ret_refused, struct err *e);
/* -ENOTSUP (ERR_USAGE) that names the unknown features of these kinds of access. */
int doc_refuse(const char *what, const json_t *document, unsigned access, struct err *e);

/* A new string in *dst, whose old one is freed; absent: "" . */
int doc_get_text(const json_t *o, const char *key, size_t max_bytes, char **dst, struct err *e);
/* The member must be there. */
int doc_need_text(const json_t *o, const char *key, size_t max_bytes, const char **ret,
		  struct err *e);
int doc_need_u64(const json_t *o, const char *key, uint64_t max, uint64_t *ret, struct err *e);
/* Absent: 0. */
int doc_get_u64(const json_t *o, const char *key, uint64_t *ret, struct err *e);
int doc_get_time(const json_t *o, const char *key, int64_t *ret_ns, struct err *e);
int doc_need_hex(const json_t *o, const char *key, void *out, size_t len_bytes, struct err *e);
int doc_need_bool(const json_t *o, const char *key, bool *ret, struct err *e);
/* An object; absent or of another type is an error. */
int doc_need_object(const json_t *o, const char *key, const json_t **ret, struct err *e);
/* An array of at most `max` elements; absent: *ret = NULL and 0. */
int doc_get_array(const json_t *o, const char *key, size_t max, const json_t **ret, struct err *e);

#endif
