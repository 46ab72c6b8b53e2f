/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store must do for safe deletion is tried, once per repository and server, on keys under probe/ (ARCHITECTURE.md section 4).
 */
#ifndef SSTABLEFS_CATALOG_PROBE_H
#define SSTABLEFS_CATALOG_PROBE_H

#include "cache/kv.h"
#include "catalog/repo.h"

struct probe_result {
	bool if_absent;	       /* If-None-Match: * on an existing key -> 412 */
	bool if_match_stale;   /* a stale If-Match -> 412 */
	bool if_match_missing; /* If-Match on a missing key -> 404 or 412 */
	bool may_delete;       /* the probe's keys could be removed */
};
static inline bool probe_passed(const struct probe_result *p)
{
	return p->if_absent && p->if_match_stale && p->if_match_missing;
}

/* Makes the requests and removes the keys where allowed. */
int probe_run(struct repo *repo, const struct node_name *n, struct probe_result *ret,
	      const struct cancel *c, struct err *e);

struct probe_memory { /* all borrowed */
	struct repo *repo;
	const struct node_name *where; /* below which it is tried */
	struct kv *kv;		       /* where it is remembered; NULL: tried each time */
	const char *server; /* names the store: its URL without credentials; may be NULL */
};
/*
 * What was found out before about this repository on this server, else tried now and remembered. Only a store that passed is remembered:
 * another one may have been repaired since. need_delete: that the probe's keys could not be removed is not believed from memory, because other credentials may do more. As probe_run.
 */
int probe_once(const struct probe_memory *m, bool need_delete, struct probe_result *ret,
	       const struct cancel *c, struct err *e);

#endif
