/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes that a cluster is restored to: those of the running cluster, or of a host list as Medusa has it. */
#ifndef SSTABLEFS_TOOLS_TARGETS_H
#define SSTABLEFS_TOOLS_TARGETS_H

#include "cassandra/mapping.h"
#include "tools/cli.h"

struct targets {
	struct mapping_node *nodes;
	size_t count, cap;
	char *cluster, *version, *partitioner; /* of the running cluster; "" with a host list */
	char *address;			       /* of the node that was asked; the same */
	char **strings;			       /* owned: what the nodes point to */
	size_t string_count, string_cap;
};

/* What nodetool says of the cluster that [cassandra] reaches. A node that is down or not in a normal state: -EBUSY (ERR_CONFLICT), naming it. Seeds are not known. */
int targets_ask(struct targets *t, struct cli *cli, struct err *e);
/* "is_seed,target,source" on each line, `#` comments. ERR_USAGE naming the line; ERR_NOT_FOUND: no such file. Data centres, racks and tokens are not known. */
int targets_read(struct targets *t, const char *path, struct err *e);
/* A host of which nothing else is known. ERR_USAGE: it is none, or there twice. */
int targets_add(struct targets *t, const char *host, struct err *e);
void targets_deinit(struct targets *t);

#endif
