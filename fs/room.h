/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of the scratch overlay: small blocks and pages out of one bound, so that names and inodes count as data do. What is
 * given back goes back to the system. Not locked: calls are made under its owner's lock.
 */
#ifndef SSTABLEFS_FS_ROOM_H
#define SSTABLEFS_FS_ROOM_H

#include "base/util.h"

#define ROOM_PAGE_BYTES 4096

struct room;
struct room *room_new(uint64_t max_bytes); /* NULL: out of memory */
void room_free(struct room *r);		   /* pages vanish; blocks must have been given back */
DEFINE_CLEANUP(struct room *, room_free);

/* A zeroed block. -ENOSPC: the bound is reached; -ENOMEM. */
int room_take(struct room *r, size_t bytes, void **ret);
void room_give(struct room *r, void *block, size_t bytes); /* block NULL: nothing */
/* A zeroed page: as room_take. */
int room_take_page(struct room *r, void **ret);
void room_give_page(struct room *r, void *page);

/*
 * `changed` is told how much the room may use from now on: more than before it does, less once it uses less; in steps of ROOM_STEP_BYTES, at most the bound.
 * Others may use the rest. Called from within the calls above; until then, and where nothing is set, the bound is all the room's.
 */
#define ROOM_STEP_BYTES (1 * MIB)
void room_share(struct room *r, void (*changed)(void *ctx, uint64_t bytes), void *ctx);

uint64_t room_used(const struct room *r);
uint64_t room_limit(const struct room *r);

#endif
