/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of W1 (ARCHITECTURE.md section 4): whether a backup's name is free, once its own record is there for others to see. */
#ifndef SSTABLEFS_CATALOG_CLAIM_H
#define SSTABLEFS_CATALOG_CLAIM_H

#include "catalog/repo.h"

struct claim_options {
	struct repo *repo;
	const struct record *own;
	int64_t dead_ms; /* an OPEN record that was not renewed for so long, by the store's own clock, is dead */
	int64_t now_ns; /* the store's time, at some moment after the own record was written or taken over, or a little before; 0: not known */
	const char *alive_dir; /* catalog/alive.h; NULL: no local state */
	bool look_only;	       /* nothing is fenced, and OPEN records are passed over */
};

/*
 * 0: the name is ours. ERR_CONFLICT: another record of that name is COMMITTED, or OPEN and alive (where the store tells no time, or a dead one could not be fenced, it
 * counts as alive). One that was killed on this machine is dead at once.
 */
int claim_name(const struct claim_options *o, const struct cancel *c, struct err *e);
/* The refusal, where a record is OPEN and alive. */
int claim_busy(const struct record *r, struct err *e);

/* Whether a node has a backup of that name: CLAIM_EXISTS, 0, or < 0. */
enum { CLAIM_EXISTS = 1 };
int claim_exists(struct repo *repo, const struct node_name *where, const char *backup,
		 const struct cancel *c, struct err *e);

#endif
