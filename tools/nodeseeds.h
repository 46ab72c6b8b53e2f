/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which seeds this node's cassandra.yaml names, and by which addresses others know the node, as Cassandra finds both: names are looked up here, where its resolver and its hosts file count. Each is a
 * JSON list of texts, names as they stand and every address that they lead to, so that a node is a seed where one of its texts is one of the seeds'. What cannot be looked up stays a name.
 */
#ifndef SSTABLEFS_TOOLS_NODESEEDS_H
#define SSTABLEFS_TOOLS_NODESEEDS_H

#include "base/cancel.h"
#include "base/json.h"
#include "cassandra/nodeconf.h"

/* NULL: out of memory. `conf` NULL: cassandra.yaml cannot be read. */
json_t *nodeseeds_named(const struct nodeconf *conf, const struct cancel *cancel);
/* The same; `told` is what the running node says, or "". */
json_t *nodeseeds_own(const struct nodeconf *conf, const char *told, const struct cancel *cancel);

#endif
