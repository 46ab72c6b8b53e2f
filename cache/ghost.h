/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was loaded from the store lately, by hashes of ids: whoever loads a block for the second time would have had use of a copy on disk. It remembers
 * as many bytes of content as that disk holds, the oldest are forgotten first: what comes again later than that would be gone from the disk as well. No locks here.
 */
#ifndef SSTABLEFS_CACHE_GHOST_H
#define SSTABLEFS_CACHE_GHOST_H

#include "base/digest.h"

#define GHOST_OBJECTS 16384 /* at most: 24 bytes each */

struct ghost;

struct ghost *ghost_new(uint64_t bytes); /* of content; NULL: out of memory */
void ghost_free(struct ghost *g);
DEFINE_CLEANUP(struct ghost *, ghost_free);

/* `blocks` (of BLOCKS_BLOCK_BYTES) of the object were loaded. Returns those of them that are remembered from before. */
uint64_t ghost_note(struct ghost *g, const struct id256 *id, uint64_t blocks);
/* Those blocks of the object that are remembered. */
uint64_t ghost_find(const struct ghost *g, const struct id256 *id);

#endif
