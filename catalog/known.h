/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backup may reuse: contents, objects, trees and runs, by their digests. Filled first from the committed backups that W2b saw (newest first: what
 * was added first is kept), then by what this backup stores itself, so that nothing is stored twice.
 *
 * Contents and places belong to the backup's main thread; known_claim may be called from any thread.
 */
#ifndef SSTABLEFS_CATALOG_KNOWN_H
#define SSTABLEFS_CATALOG_KNOWN_H

#include "base/err.h"
#include "catalog/tree.h"

/* Whether a content that is known stays where it lies (catalog/decay.h). */
enum content_fate { CONTENT_UNDECIDED, CONTENT_STAYS, CONTENT_MOVES };

/* A content of more than FORMAT_INLINE_BYTES and where it lies. Counted references; the main thread's. */
struct content {
	struct id256 id;
	uint64_t size_bytes;
	unsigned refs;
	enum content_fate fate;
	bool accounted; /* free for the user: whether its packs were counted */
	uint32_t extent_count;
	struct extent extents[];
};

struct content *content_new(uint64_t size_bytes,
			    uint32_t extent_count); /* one reference, zeroed; NULL: out of memory */
struct content *content_ref(struct content *c);
void content_unref(struct content *c);
DEFINE_CLEANUP(struct content *, content_unref);
/* A piece that waits in an open pack has no object yet (see catalog/packer.h). */
static inline bool extent_is_placed(const struct extent *x)
{
	return x->object.head_bytes > 0;
}
static inline bool content_is_placed(const struct content *c)
{
	return extent_is_placed(&c->extents[c->extent_count - 1]);
}

struct known;

/* Takes nothing in any more from older backups once memory_bytes are used. NULL: out of memory. */
struct known *known_new(uint64_t memory_bytes);
void known_free(struct known *k);
DEFINE_CLEANUP(struct known *, known_free);
bool known_is_full(const struct known *k);
uint64_t known_memory(const struct known *k);

/* Adds a content unless its id is there already or the memory is used up. 0 or -ENOMEM. */
int known_add(struct known *k, struct content *c);
/* NULL: not known. Borrowed. */
struct content *known_find(const struct known *k, const struct id256 *id);

/* Trees and runs: the place of the bytes with that digest. Borrowed, valid as long as k; the extent of an own new one may still be unplaced. */
struct place *known_find_place(const struct known *k, const struct id256 *digest);
/* The digest must not be known. The memory limit does not concern it. NULL: out of memory. */
struct place *known_add_place(struct known *k, const struct place *p);

/* Whole objects (own pieces): 0 = new, the caller must upload it; KNOWN_THERE = it is in the store or on its way: *ref names it from now on. -ENOMEM. */
enum { KNOWN_THERE = 1 };
int known_claim(struct known *k, struct object_ref *ref);

/* Forgets what was added since known_mark. Not after the first claim. */
struct known_mark {
	size_t contents, places;
};
struct known_mark known_mark(const struct known *k);
int known_rollback(struct known *k, struct known_mark mark); /* 0 or -ENOMEM */

#endif
