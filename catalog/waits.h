/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a condemned list waits for (ARCHITECTURE.md section 4, C3): the records that were OPEN when the list was there. condemned/<ulid>.waits is text,
 *
 *   waits 1
 *   records/<backup>/<writer>.json         below the node's prefix, one a line, ascending (bytewise), none twice; may be none
 *   …
 *   sha256 <64 lower-case hex digits>      of every byte before this line
 */
#ifndef SSTABLEFS_CATALOG_WAITS_H
#define SSTABLEFS_CATALOG_WAITS_H

#include "catalog/repo.h"

#define WAITS_SUFFIX ".waits"
#define WAITS_BYTES (16 * MIB) /* room for FORMAT_LISTED records with the longest names */

struct waits_for { /* a record */
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
};

struct waits {
	struct waits_for *list; /* in order of (backup, writer) */
	size_t count, cap;
};

void waits_deinit(struct waits *w);					       /* and empty again */
int waits_add(struct waits *w, const char *backup, const struct ulid *writer); /* 0, -ENOMEM */
/* Sorts and writes it; the text is newly allocated (*ret_len bytes). 0, -ENOMEM, -E2BIG. */
int waits_encode(struct waits *w, uint8_t **ret_text, size_t *ret_len, struct err *e);
/* -EBADMSG (ERR_CORRUPT), -ENOTSUP (ERR_USAGE: a newer version), -ENOMEM; then nothing is left in *ret. */
int waits_decode(const char *text, size_t len_bytes, struct waits *ret, struct err *e);

/* The file of a list: 0, STORE_NOT_FOUND, or < 0. */
int waits_get(struct repo *repo, const struct node_name *n, const struct ulid *list,
	      struct waits *ret, const struct cancel *c, struct err *e);
/* PUT If-None-Match: *. 0; STORE_PRECONDITION: there is one already; < 0 (outcome_unknown: read it). */
int waits_put(struct repo *repo, const struct node_name *n, const struct ulid *list,
	      struct waits *w, const struct cancel *c, struct err *e);

#endif
