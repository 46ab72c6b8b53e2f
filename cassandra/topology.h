/* SPDX-License-Identifier: Apache-2.0 */
/* topology.json of a backup: every node of the cluster as this one sees it (docs/live.md). */
#ifndef SSTABLEFS_CASSANDRA_TOPOLOGY_H
#define SSTABLEFS_CASSANDRA_TOPOLOGY_H

#include "cassandra/facts.h"

/* A new string; the same facts give the same bytes, whatever the order in which they were printed. NULL: out of memory. */
char *topology_text(const struct facts *f);

#endif
