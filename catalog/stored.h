/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an interrupted backup has stored already, for the run that continues it: the data objects below its own writer's prefix. A key that is listed was stored, and as the
 * record has been OPEN throughout, nobody has deleted it. Large pieces are found again by their object's id, since an object is built the same way each time. Small files may
 * fall into other packs than before (another snapshot, other files beside them), so they are looked for frame by frame, by the digests in the heads of the packs, each of
 * which is verified against its id. Immutable once loaded: read by any thread.
 */
#ifndef SSTABLEFS_CATALOG_STORED_H
#define SSTABLEFS_CATALOG_STORED_H

#include "catalog/repo.h"
#include "catalog/tree.h"

struct stored_options {
	struct repo *repo;
	const struct node_name *where;
	struct ulid writer;
	unsigned connections;  /* requests at once */
	uint64_t memory_bytes; /* what does not fit is not known, and uploaded again */
};

struct stored;
/*
 * After the record was taken over. ERR_CORRUPT, -EBADMSG: something there is damaged or no object; nothing can be put in its place, so the backup must begin anew.
 */
int stored_load(const struct stored_options *o, struct stored **ret, const struct cancel *c,
		struct err *e);
void stored_free(struct stored *s);
DEFINE_CLEANUP(struct stored *, stored_free);

/* Whether an object of that id and length (head and body) is there. s NULL: no. */
bool stored_has(const struct stored *s, const struct id256 *id, uint64_t total_bytes);
/* Where a piece of a pack lies, by the digests of its frames: true and *ret filled. s NULL: no. */
bool stored_find(const struct stored *s, const struct frame_digest *digests, size_t len_bytes,
		 struct extent *ret);

#endif
