/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys of objects there are. Internal to catalog/collect*.c. */
#ifndef SSTABLEFS_CATALOG_COLLECT_SCAN_H
#define SSTABLEFS_CATALOG_COLLECT_SCAN_H

#include "catalog/collect_keys.h"
#include "catalog/collect_view.h"

/* LISTs all of objects/ and trees/ into k. 0, COLLECT_KEYS_FULL, < 0. */
int collect_scan_all(struct collect *c, struct collect_keys *k, struct err *e);
/* LISTs what the writers of DELETED and ABORTED records left into k. 0, COLLECT_KEYS_FULL, < 0. */
int collect_scan_dead(struct collect *c, const struct collect_view *v, struct collect_keys *k,
		      struct err *e);
/* LISTs what there is of the writers of k: sets `present` and the sizes of its keys. */
int collect_scan_present(struct collect *c, struct collect_keys *k, struct err *e);
/* One LIST of the node's top: notes what is there and is not of the format. */
int collect_scan_top(struct collect *c, struct err *e);
/* LISTs probe/: deletes what is older than a day. */
int collect_scan_probes(struct collect *c, struct err *e);

#endif
