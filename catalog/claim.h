/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of W1 (ARCHITECTURE.md section 4): whether a backup's name is free, once its own record is there for others to see. */
#ifndef SSTABLEFS_CATALOG_CLAIM_H
#define SSTABLEFS_CATALOG_CLAIM_H

#include "catalog/repo.h"

struct claim_options {
	struct repo *repo;
	const struct record *own; /* with the store's time of W1 */
	int64_t dead_ms; /* an OPEN record that was not renewed for so long, by the store's own clock, is dead */
	bool look_only; /* nothing is fenced, and OPEN records are passed over */
};

/*
 * 0: the name is ours. ERR_CONFLICT: another record of that name is COMMITTED, or OPEN and alive (where the store tells no time, or a dead one could not be fenced, it
 * counts as alive).
 */
int claim_name(const struct claim_options *o, const struct cancel *c, struct err *e);

#endif
