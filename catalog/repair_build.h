/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object, byte for byte fit for its key, out of what is left of it in the store and of local files. Nothing leaves here whose head does not give the object's id
 * and whose every frame does not give the SHA-256 that the head says. One thread.
 *
 * With its head whole: frames that are whole are taken as they are, the others are packed anew from local bytes that have the digest of the frame. Without its head: all
 * of its pieces must be in local files; they are put together as a backup does it, and the id must come out.
 */
#ifndef SSTABLEFS_CATALOG_REPAIR_BUILD_H
#define SSTABLEFS_CATALOG_REPAIR_BUILD_H

#include "catalog/repair_local.h"

struct repair_build;

struct repair_build *repair_build_new(enum object_compression compression); /* NULL: out of memory */
void repair_build_free(struct repair_build *b);
DEFINE_CLEANUP(struct repair_build *, repair_build_free);

/* Room for FORMAT_OBJECT_BYTES, page-aligned, that is free between calls. */
void *repair_build_buffer(struct repair_build *b);

/*
 * x: of the plan, which has the files that need it. left: what lies under the key (0 bytes: nothing). *ret is valid until the next call. REPAIR_IMPOSSIBLE: *e says why.
 * < 0: no memory, or cancelled.
 */
enum { REPAIR_IMPOSSIBLE = 1 };
int repair_build_object(struct repair_build *b, const struct plan *p, const struct plan_object *x,
			const struct repair_local *local, const void *left, size_t left_bytes,
			const void **ret, size_t *ret_len, const struct cancel *c, struct err *e);

#endif
