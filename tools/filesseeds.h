/* SPDX-License-Identifier: Apache-2.0 */
/* In which order nodes that took files as they are start: one seed after another, then rack after rack. Which are seeds is said by the plan, or by what the hosts told when they were ready (tools/nodeseeds.h). */
#ifndef SSTABLEFS_TOOLS_FILESSEEDS_H
#define SSTABLEFS_TOOLS_FILESSEEDS_H

#include "tools/filesplan.h"
#include "tools/lead.h"

/*
 * group[i]: when host i starts, those of the least number first. Numbers below *ret_seeds are of one seed each; 0: none is known. Racks are those of the sources: nodes share one now exactly where they
 * did then. `hosts` are those of the plan, in its order. -ENOMEM.
 */
int filesseeds_group(const struct filesplan *p, const struct lead_host *hosts, size_t *group,
		     size_t *ret_seeds, struct err *e);
/* ERR_USAGE: none is known, and what to do; nobody could start first. */
int filesseeds_refuse(const struct filesplan *p, const struct lead_host *hosts, struct err *e);

#endif
