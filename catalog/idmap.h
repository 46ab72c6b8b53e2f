/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of things that carry a SHA-256, found by it. It holds pointers only: the things belong to somebody else. One thread at a time.
 */
#ifndef SSTABLEFS_CATALOG_IDMAP_H
#define SSTABLEFS_CATALOG_IDMAP_H

#include "base/digest.h"

struct idmap {
	void **slots; /* open addressing; NULL: free */
	size_t slot_count, count;
	size_t id_offset; /* of the struct id256 in each thing */
};

#define IDMAP_OF(type, member) ((struct idmap){ .id_offset = offsetof(type, member) })

void idmap_deinit(struct idmap *m); /* and ready to be filled again */
/* NULL: none. */
void *idmap_find(const struct idmap *m, const struct id256 *id);
/* The id must not be there yet. 0 or -ENOMEM. */
int idmap_add(struct idmap *m, void *thing);
/* Bytes that one more thing takes on average. */
#define IDMAP_THING_BYTES (3 * sizeof(void *))

#endif
