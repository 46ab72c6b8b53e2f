/* SPDX-License-Identifier: Apache-2.0 */
/* What delete and purge share: removing the records that were chosen, and saying what became of it. */
#ifndef SSTABLEFS_TOOLS_REMOVAL_H
#define SSTABLEFS_TOOLS_REMOVAL_H

#include "tools/fleet.h"

enum removal_outcome { REMOVAL_NOT_TRIED, REMOVAL_DONE, REMOVAL_GONE, REMOVAL_FAILED };

struct removal_target {
	size_t entry; /* in the survey */
	enum removal_outcome outcome;
	char *reason; /* where it failed */
};

struct removal {
	struct survey *survey;
	struct removal_target *targets;
	size_t count, cap;
	size_t done, gone, failed; /* after removal_run */
	struct err error;	   /* the first failure */
};

void removal_deinit(struct removal *r);
int removal_add(struct removal *r, size_t entry, struct err *e);
/*
 * Whether the store is fit for deletion, found out below this node: 0, or < 0 and why not. A store that fails the probe: -ENOTSUP, ERR_STORE.
 */
int removal_gate(struct cli *cli, struct session *s, const struct node_name *where, struct err *e);
/*
 * Removes the targets, several at once, each by a fresh look at its record. One that fails does not keep the others from being removed; after one that
 * the store or its credentials refused no more are begun. 0, or < 0 where nothing could be tried (the gate).
 */
int removal_run(struct cli *cli, struct session *s, unsigned threads, struct removal *r,
		struct err *e);
/* The names of what was removed, each once, in a new array. NULL: out of memory. */
json_t *removal_names(const struct removal *r);
/* A line for each backup that was removed, and on stderr one for each that was not. */
int removal_print(struct cli *cli, const struct removal *r, struct err *e);

#endif
