/* SPDX-License-Identifier: Apache-2.0 */
/* A set of things that were met before, by the XXH3-128 of what names them: 16 bytes each. One thread at a time. */
#ifndef SSTABLEFS_CATALOG_SEEN_H
#define SSTABLEFS_CATALOG_SEEN_H

#include <stdbool.h>
#include "base/digest.h"
#include "catalog/tree.h"

struct seen {
	struct xxh128 *slots; /* all zero: free */
	size_t count, cap;
};

void seen_deinit(struct seen *s);
/* > 0 (SEEN_NEW): it was not in the set; 0: it was; -ENOMEM. */
enum { SEEN_NEW = 1 };
int seen_add(struct seen *s, const void *name, size_t len_bytes);
bool seen_has(const struct seen *s, const void *name, size_t len_bytes);
/* By what an object or a place is. */
int seen_add_object(struct seen *s, const struct object_ref *ref);
bool seen_has_object(const struct seen *s, const struct object_ref *ref);
int seen_add_place(struct seen *s, const struct place *p);
/* What the set holds of an object, for who keeps it elsewhere. */
struct xxh128 seen_object_digest(const struct object_ref *ref);
int seen_add_digest(struct seen *s, const struct xxh128 *digest);
bool seen_has_digest(const struct seen *s, const struct xxh128 *digest);
/* Whether slots[i], i < cap, is taken. */
bool seen_slot(const struct seen *s, size_t i);

#endif
