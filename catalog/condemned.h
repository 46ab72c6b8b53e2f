/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists of keys that await deletion (ARCHITECTURE.md section 4, W2): what they name is not used again.
 *
 * A list is text, at most STORE_OBJECT_MAX bytes of it:
 *
 *   condemned 1
 *   <key below the node's prefix>          e.g. objects/01K…/5e88…; one a line, at most CONDEMNED_LINE_BYTES printable ASCII characters
 *   …
 *   sha256 <64 lower-case hex digits>      of every byte before this line
 *
 * Each line ends in a newline. The lists lie at condemned/<ulid>; other names there are not lists.
 */
#ifndef SSTABLEFS_CATALOG_CONDEMNED_H
#define SSTABLEFS_CATALOG_CONDEMNED_H

#include "catalog/repo.h"
#include "catalog/sealtext.h"

#define CONDEMNED_LINE_BYTES SEALTEXT_LINE_BYTES

/* The keys of all lists, as 64-bit hashes: one that is taken for condemned by accident is merely uploaded anew. Read by any thread. */
struct condemned;

struct condemned *condemned_new(void); /* empty; NULL: out of memory */
void condemned_free(struct condemned *c);
DEFINE_CLEANUP(struct condemned *, condemned_free);

/* Adds the keys of one list. -EBADMSG (ERR_CORRUPT), -ENOTSUP (ERR_USAGE: a newer version), -ENOMEM. */
int condemned_add(struct condemned *c, const char *text, size_t len_bytes, struct err *e);
/* To be called once after the last condemned_add. */
void condemned_seal(struct condemned *c);
bool condemned_has(const struct condemned *c, enum key_object kind, const struct object_ref *ref);
bool condemned_is_empty(const struct condemned *c);
size_t condemned_count(const struct condemned *c); /* keys; one that two lists name counts twice */

/* W2: lists and reads. A list that is gone between LIST and GET is finished: ignored. */
int condemned_load(struct repo *repo, const struct node_name *n, struct condemned **ret,
		   const struct cancel *cancel, struct err *e);

/* The keys of a list one by one, as text: as sealtext_read. */
int condemned_parse(const char *text, size_t len_bytes, sealtext_line_fn *key, void *ctx,
		    struct err *e);
/* C2: a list is written by begin, each key, end; the same keys in the same order give the same bytes. What fails is told by wbuf_error. */
void condemned_write_begin(struct wbuf *out);
void condemned_write_key(struct wbuf *out, enum key_object kind, const struct ulid *writer,
			 const struct id256 *id);
void condemned_write_end(struct wbuf *out);

#endif
