/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a backup shows beside data/ and snapshot/, in its own directory: schema.cql, topology.json. */
#ifndef SSTABLEFS_CASSANDRA_BESIDE_H
#define SSTABLEFS_CASSANDRA_BESIDE_H

#include "cassandra/snapshot.h"

/* Adds the files of those names, sorted, which lie in `directory`, to a snapshot that has none yet. It keeps copies of the strings. */
int beside_add(struct snapshot *s, const char *directory, const char *const *names, size_t count,
	       struct err *e);

#endif
