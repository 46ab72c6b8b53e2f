/* SPDX-License-Identifier: Apache-2.0 */
/* The pins of a node, as who deletes sees them. Any thread. */
#ifndef SSTABLEFS_CATALOG_PINS_H
#define SSTABLEFS_CATALOG_PINS_H

#include "catalog/pin.h"

struct pins_item {
	struct ulid id;
	int64_t modified_ns; /* of the object, by the store's clock */
	char etag[STORE_ETAG_MAX];
};

/* A key below pins/ that is no pin's. < 0 fails the listing. */
typedef int pins_foreign_fn(void *ctx, const char *key, struct err *e);

/* All pins of the node: one LIST, nothing fetched. *ret (to be freed) may be NULL where there is none. foreign may be NULL. */
int pins_list(struct repo *repo, const struct node_name *where, struct pins_item **ret,
	      size_t *ret_count, pins_foreign_fn *foreign, void *ctx, const struct cancel *c,
	      struct err *e);
/* Overwrites somebody else's HELD pin (as read, with its ETag) as ENDED. 0, REG_LOST (it moved), < 0. */
int pins_fence(struct repo *repo, struct pin *pin, const char *etag, const struct cancel *c,
	       struct err *e);

#endif
