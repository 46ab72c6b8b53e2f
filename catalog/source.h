/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where verified bytes come from: objects fetched from the store, checked against their ids before anybody sees a byte (P2). Any thread.
 * Heads of recently used objects are kept (bounded).
 */
#ifndef SSTABLEFS_CATALOG_SOURCE_H
#define SSTABLEFS_CATALOG_SOURCE_H

#include "base/metrics.h"
#include "catalog/keys.h"
#include "catalog/object.h"
#include "catalog/tree.h"
#include "store/store.h"

struct source;

struct source *source_new(struct store *store, enum object_verify how,
			  struct metrics *m); /* borrows store; NULL: out of memory */
void source_free(struct source *s);
DEFINE_CLEANUP(struct source *, source_free);

/*
 * Who wants content before all of it is there: called on the thread of the fetch, for raw objects now and then and for others at the end. What was asked for
 * is right up to this plain offset and stays as it is, whatever comes of the rest. From the first call on nothing is written before dst.
 */
struct source_listener {
	void (*arrived)(void *ctx, uint32_t end_bytes);
	void *ctx;
};

/*
 * The whole plain content of an object into dst, which has room for ref->plain_bytes and, before it, SOURCE_HEADROOM bytes that are overwritten
 * (so that a raw object arrives without a copy). ret_head (may be NULL) is the parsed head, to be freed. A missing object: -ENOENT, ERR_CORRUPT
 * ("is missing"). A damaged one: -EBADMSG, ERR_CORRUPT. The key is in e->key. `listener` may be NULL.
 */
#define SOURCE_HEADROOM (128 * KIB)
int source_fetch(struct source *s, const struct node_name *n, enum key_object kind,
		 const struct object_ref *ref, void *dst, const struct source_listener *listener,
		 struct object_head **ret_head, const struct cancel *c, struct err *e);

/* The frames that cover [offset, offset + len) of the content, each written to dst + its plain offset; *ret_start and *ret_end say what was written. Head and frames are asked for in parallel where the object is raw and uniform. */
int source_fetch_range(struct source *s, const struct node_name *n, enum key_object kind,
		       const struct object_ref *ref, uint32_t offset, uint32_t len_bytes, void *dst,
		       const struct source_listener *listener, uint32_t *ret_start,
		       uint32_t *ret_end, const struct cancel *c, struct err *e);

/* The head alone (from the kept ones, else by a range request). To be freed. */
int source_head(struct source *s, const struct node_name *n, enum key_object kind,
		const struct object_ref *ref, struct object_head **ret, const struct cancel *c,
		struct err *e);

/* Parses a place's bytes: content of [extent] checked against place->digest too. New buffer. */
int source_fetch_place(struct source *s, const struct node_name *n, const struct place *p,
		       void **ret_data, size_t *ret_len, const struct cancel *c, struct err *e);

#endif
