/* SPDX-License-Identifier: Apache-2.0 */
/* What a host is like that a run of restore-cluster left, in words: how far it came now, or had come before by its journal. */
#ifndef SSTABLEFS_TOOLS_FILESCONDITION_H
#define SSTABLEFS_TOOLS_FILESCONDITION_H

#include "tools/filesrun.h"

/* Of a host whose work is not done: "is stopped, with the backup's data in place". One that is left out: what has to be done there by hand. A new string; NULL: out of memory. */
char *filescondition(const struct filesrun *run, const struct lead_host *h);
/* Whether the restore there had started Cassandra, and it did not run any more when this run came. */
bool filescondition_has_stopped(const struct lead_host *h);
/* Whether this run did nothing there. */
bool filescondition_is_unchanged(const struct lead_host *h);

#endif
