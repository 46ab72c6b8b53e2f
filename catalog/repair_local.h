/* SPDX-License-Identifier: Apache-2.0 */
/* Local files that still have content of a backup: found in the data directories by content id. Only files of a size that is looked for are read. One thread. */
#ifndef SSTABLEFS_CATALOG_REPAIR_LOCAL_H
#define SSTABLEFS_CATALOG_REPAIR_LOCAL_H

#include "catalog/piece.h"
#include "catalog/plan.h"

struct repair_local;

/* Looks below the directories (live files, snapshots, whatever lies there) for the files of the plan. buffer: room for FORMAT_OBJECT_BYTES, page-aligned. What cannot be read is passed over. */
int repair_local_find(const char *const *dirs, size_t dir_count, const struct plan *p, void *buffer,
		      const struct cancel *c, struct repair_local **ret, struct err *e);
void repair_local_free(struct repair_local *l);
DEFINE_CLEANUP(struct repair_local *, repair_local_free);

/* [offset, offset + len) of a file of the plan, from a local one. REPAIR_NOT_HERE: none has it, or the one that had it changed meanwhile. digests: as piece_read. */
enum { REPAIR_NOT_HERE = 1 };
int repair_local_read(const struct repair_local *l, const struct plan_file *f, uint64_t offset,
		      void *dst, size_t len_bytes, struct frame_digest *digests,
		      const struct cancel *c, struct err *e);

#endif
