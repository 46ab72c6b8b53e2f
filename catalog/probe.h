/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store must do for safe deletion is tried, once per repository and server, on keys under probe/ (ARCHITECTURE.md section 4).
 */
#ifndef SSTABLEFS_CATALOG_PROBE_H
#define SSTABLEFS_CATALOG_PROBE_H

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

#endif
