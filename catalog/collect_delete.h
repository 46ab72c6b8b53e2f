/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes of keys, a batch at a time; what the store refuses is noted and the rest goes on. Internal to catalog/collect*.c. */
#ifndef SSTABLEFS_CATALOG_COLLECT_DELETE_H
#define SSTABLEFS_CATALOG_COLLECT_DELETE_H

#include "catalog/collect_keys.h"
#include "catalog/collect_state.h"

/* A few keys (not objects: these are too many to be kept as text). Zeroed but for c; the collection may be run once. */
struct collect_delete {
	struct collect *c;
	char **keys;
	bool *failed; /* after collect_delete_run: of each, whether it was not deleted */
	size_t count, cap;
};
void collect_delete_deinit(struct collect_delete *d);
int collect_delete_add(struct collect_delete *d, const char *key, struct err *e);
int collect_delete_run(struct collect_delete *d, struct err *e);

/*
 * C4's deletes: every key of k that is present, not reached, and of a list whose bit is set in `lists`; counts them in the result. *ret_failed: bits of the lists of which
 * something was not deleted. ERR_CREDENTIALS: the credentials may not delete.
 */
int collect_delete_objects(struct collect *c, const struct collect_keys *k, uint32_t lists,
			   uint32_t *ret_failed, struct err *e);

#endif
