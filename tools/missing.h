/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes of a cluster a backup does not have, by the topology that its records hold. */
#ifndef SSTABLEFS_TOOLS_MISSING_H
#define SSTABLEFS_TOOLS_MISSING_H

#include <jansson.h>
#include "catalog/record.h"

/*
 * The records are of one backup, of all nodes that began it. A new array of {host_id, address, dc, rack}: the nodes of the largest topology
 * that have not finished; JSON's null where none holds a topology. NULL: out of memory.
 */
json_t *missing_nodes(struct record *const *records, size_t count);
/* "10.0.0.2 (dc1, r1), …": a new string; NULL: none is missing, nothing is known, or no memory. */
char *missing_words(const json_t *missing);

#endif
