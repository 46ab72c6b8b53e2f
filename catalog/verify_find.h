/* SPDX-License-Identifier: Apache-2.0 */
/* What verify found, and which files need it. Findings are added by many threads, then sealed; files are added by one thread. */
#ifndef SSTABLEFS_CATALOG_VERIFY_FIND_H
#define SSTABLEFS_CATALOG_VERIFY_FIND_H

#include "catalog/verify.h"

struct verify_find;

struct verify_find *verify_find_new(
	uint64_t name_bytes /* for names of files */); /* NULL: out of memory */
void verify_find_free(struct verify_find *f);
DEFINE_CLEANUP(struct verify_find *, verify_find_free);

/* A data object; a content whose extents do not give its id; anything else, by its key. The reason is e's, `missing` is r == -ENOENT. Once for each. 0 or -ENOMEM. */
int verify_find_object(struct verify_find *f, const struct node_name *where,
		       const struct object_ref *ref, int r, const struct err *e);
int verify_find_content(struct verify_find *f, const char *key, const struct id256 *content,
			const struct err *e);
int verify_find_key(struct verify_find *f, const char *key, int r, const struct err *e);

/* A document beside the backups, or a record: stays whatever becomes of the backups. path: what it concerns, or NULL. */
int verify_find_document(struct verify_find *f, const char *key, const char *path,
			 const struct err *e);

size_t verify_find_count(const struct verify_find *f);
/* No more findings from here on. */
void verify_find_seal(struct verify_find *f);
/* Notes a file (or directory, ending in '/') and `more` that are not named, with the findings that concern it. path is copied. 0 or -ENOMEM. */
int verify_find_note_entry(struct verify_find *f, const char *path, const struct entry *entry);
bool verify_find_has_key(const struct verify_find *f, const char *key);
int verify_find_note_key(struct verify_find *f, const char *key, const char *path, size_t more);

/* Forgets the findings that no file was noted with: they were of backups that are no more. */
void verify_find_drop_unused(struct verify_find *f);
/* Tells the run's memory which objects are damaged. */
int verify_find_remember(const struct verify_find *f, struct verify_state *state);

/* Hands the findings over, sorted by key. */
int verify_find_result(struct verify_find *f, struct verify_result *ret);

#endif
