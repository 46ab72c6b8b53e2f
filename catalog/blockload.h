/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the cache of blocks and the source of verified objects: says where an object lies in the terms of the cache, loads it, and checks what
 * comes back from the cache's disk against the object's head. Heads are kept in the key-value store for that (KV_HEADS); they are not believed either: an object's
 * id is the digest of its head. Internal to the reader. Any thread.
 */
#ifndef SSTABLEFS_CATALOG_BLOCKLOAD_H
#define SSTABLEFS_CATALOG_BLOCKLOAD_H

#include "cache/blocks.h"
#include "catalog/source.h"

struct blockload;

/* Borrows both; kv NULL: no disk. */
struct blockload *blockload_new(struct source *source, struct kv *kv); /* NULL: out of memory */
void blockload_free(struct blockload *l);
DEFINE_CLEANUP(struct blockload *, blockload_free);

struct block_loader blockload_callbacks(struct blockload *l);

/* A number for the node, for as long as l lives. 0 or -ENOMEM. */
int blockload_node(struct blockload *l, const struct node_name *n, uint32_t *ret);
/* The object as the cache takes it. */
struct block_object blockload_object(uint32_t node, const struct object_ref *ref);
/*
 * A small file's part of a pack as an object of its own: only its frames are loaded. The key is the pack's id, changed by where the part begins and how long it is.
 */
struct block_object blockload_part(uint32_t node, const struct extent *x);

/* Whether there can be one: it lies inside its object, and is small enough. */
bool blockload_has_part(const struct extent *x);

#endif
