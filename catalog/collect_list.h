/* SPDX-License-Identifier: Apache-2.0 */
/* The condemned lists of a node as a collector makes and ends them: C2 and C3 of ARCHITECTURE.md section 4. Internal to catalog/collect*.c. */
#ifndef SSTABLEFS_CATALOG_COLLECT_LIST_H
#define SSTABLEFS_CATALOG_COLLECT_LIST_H

#include "catalog/collect_keys.h"
#include "catalog/collect_view.h"
#include "catalog/condemned.h"

struct collect_list {
	struct ulid id;
	uint64_t size_bytes;
	bool has_waits;
	bool due; /* whom it waited for is done */
};

struct collect_lists {
	struct collect_list *lists; /* in order of ids */
	size_t count, cap;
};

void collect_lists_deinit(struct collect_lists *l);
/* LISTs condemned/; a .waits without its list is removed (not in a dry run). */
int collect_list_load(struct collect *c, struct collect_lists *l, struct err *e);
/* GETs the lists and adds their keys. One that is damaged says nothing to anybody, and nobody makes backups while it is there: it is noted and removed; its keys are condemned anew. One of a newer version is noted. */
int collect_list_keys(struct collect *c, const struct collect_lists *l, struct condemned *to,
		      struct err *e);
/* C2: PUTs lists of the keys of k that are not reached and on no list yet, and counts them in the result (dry run: counts only). */
int collect_list_condemn(struct collect *c, const struct collect_keys *k,
			 const struct condemned *listed, struct err *e);
/*
 * C3, with records read after the lists were there: writes the .waits that are missing, and says which lists are due. Whom the others wait for is noted.
 */
int collect_list_settle(struct collect *c, struct collect_lists *l, const struct collect_view *v,
			struct err *e);
/* Adds the keys of one list as number `index`. 0; COLLECT_KEYS_FULL; STORE_NOT_FOUND: it is gone; < 0 (ERR_CORRUPT, -ENOTSUP: it cannot be read). */
int collect_list_read(struct collect *c, const struct ulid *id, struct collect_keys *k,
		      unsigned index, size_t *ret_keys, struct err *e);
/* Whether it is still there: 0, STORE_NOT_FOUND, < 0. */
int collect_list_check(struct collect *c, const struct ulid *id, struct err *e);
/* Its .waits, then the list. 0, also where the store refuses one of them (noted). */
int collect_list_remove(struct collect *c, const struct ulid *id, struct err *e);

#endif
