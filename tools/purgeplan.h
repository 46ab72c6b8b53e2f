/* SPDX-License-Identifier: Apache-2.0 */
/* What purge is about to do, and why: for people and as JSON. */
#ifndef SSTABLEFS_TOOLS_PURGEPLAN_H
#define SSTABLEFS_TOOLS_PURGEPLAN_H

#include <string.h>
#include "catalog/policy.h"
#include "tools/cli.h"

struct purgeplan {
	const struct survey *survey;
	struct policy_item *items; /* judged; sorted by purgeplan_sort */
	size_t count;
	const char *node; /* only what is of this node goes; NULL: all */
};

/* Newest backup first; of each backup, what is kept for the same reasons beside each other. */
void purgeplan_sort(struct purgeplan *p);
static inline bool purgeplan_is_removed(const struct purgeplan *p, const struct policy_item *item)
{
	const struct survey_entry *x = &p->survey->entries[item->entry];

	return !item->reasons &&
	       (!p->node || strcmp(p->node, survey_node(p->survey, x)->node) == 0);
}
/* A line for each backup, or for each set of its nodes that is kept for other reasons. */
int purgeplan_print(struct cli *cli, const struct purgeplan *p, struct err *e);
/* The members "plan" (each record: cluster, node, name, time, action, reasons) and "removed_backups", without braces: one record after the other. */
int purgeplan_print_json(const struct purgeplan *p, struct err *e);
/* Names on stderr what is kept though it could not be judged. How many. */
size_t purgeplan_tell_doubts(struct cli *cli, const struct purgeplan *p);

#endif
