/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does before Cassandra starts on a clone: lines of cassandra.yaml, and the order of steps. */
#ifndef SSTABLEFS_TOOLS_CLONE_ADVICE_H
#define SSTABLEFS_TOOLS_CLONE_ADVICE_H

#include <jansson.h>
#include "catalog/record.h"

/* In both, cluster_original is what the cluster calls itself, "" where that is not known. */
/* The settings of cassandra.yaml that the backup asks for, in order: an object. NULL: out of memory. */
json_t *clone_advice_yaml(const struct record *r, const char *directory);
/* The same as lines of YAML. A new string; NULL: out of memory. */
char *clone_advice_lines(const json_t *yaml);
/* The steps before the start: a list of strings. has_system: the backup holds the keyspace system. */
json_t *clone_advice_steps(const struct record *r, const char *directory, bool has_system);

#endif
