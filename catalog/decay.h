/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-forward: what lies in a pack of which less than a quarter is still live is stored anew instead of reused, so that the pack dies with the last backup that needs it
 * (ARCHITECTURE.md section 3; docs/backup.md, "Packs that decay"). Live is what some committed backup of the node reaches, as W2b walks them; where that
 * walk was not complete nothing decays. At most DECAY_RUN_BYTES are read for it in one backup. The backup's main thread.
 */
#ifndef SSTABLEFS_CATALOG_DECAY_H
#define SSTABLEFS_CATALOG_DECAY_H

#include "catalog/known.h"

#define DECAY_LIVE_PART 4 /* one part in so many must be live */
#define DECAY_RUN_BYTES (256 * MIB)

struct decay;

/* run_bytes 0: DECAY_RUN_BYTES. memory_bytes: of what is counted; beyond it nothing decays. NULL: out of memory. */
struct decay *decay_new(uint64_t run_bytes, uint64_t memory_bytes);
void decay_free(struct decay *d);
DEFINE_CLEANUP(struct decay *, decay_free);

/* Part of a committed backup's file, or one of its trees or runs: counted once, however many files and backups name it. 0 or -ENOMEM. */
int decay_count(struct decay *d, const struct extent *x);
/* Something was not walked: nothing decays. */
void decay_give_up(struct decay *d);

/*
 * Whether the content, known from a committed backup, is to be stored anew: decided once for each. cost_bytes: what must be read for that, beyond what is read anyway. d may be NULL.
 */
bool decay_declines(struct decay *d, struct content *c, uint64_t cost_bytes);
/* The same of a tree or run: nothing is read for it, so there is no bound but that there are no more. d may be NULL. */
bool decay_declines_place(const struct decay *d, const struct place *p);

#endif
