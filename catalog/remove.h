/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing a backup from sight: its record goes from COMMITTED to DELETED by compare-and-swap (ARCHITECTURE.md section 4). No object is
 * touched: what no other backup reaches is the collector's.
 */
#ifndef SSTABLEFS_CATALOG_REMOVE_H
#define SSTABLEFS_CATALOG_REMOVE_H

#include "catalog/repo.h"

enum {
	REMOVE_GONE =
		1, /* it is no longer COMMITTED: removed by another process, or its record is gone */
};

/*
 * `record` as it was read, with its ETag; it is not changed. Where the record was rewritten since and is still COMMITTED, what is there now is
 * removed. 0, REMOVE_GONE, < 0 (outcome_unknown where it stayed unknown whether it was removed; -ENOTSUP where a newer version wrote the record).
 */
int remove_backup(struct repo *repo, const struct record *record, const char *etag,
		  const struct cancel *c, struct err *e);

#endif
