/* SPDX-License-Identifier: Apache-2.0 */
/* Asks this host's Cassandra, as [cassandra] of the configuration says: nodetool, cqlsh, and cassandra.yaml where these cannot be had (docs/live.md). */
#ifndef SSTABLEFS_TOOLS_ASKNODE_H
#define SSTABLEFS_TOOLS_ASKNODE_H

#include <netdb.h>
#include "cassandra/cqlsh.h"
#include "cassandra/facts.h"
#include "cassandra/nodeconf.h"
#include "cassandra/nodetool.h"
#include "tools/cli.h"

struct asknode {
	struct nodetool nodetool;
	struct cqlsh cqlsh;
	const char *yaml;      /* path of cassandra.yaml */
	struct nodeconf *conf; /* what it says; NULL: it cannot be read */
	struct err conf_error; /* why */
	char *cql_host;	       /* owned; cqlsh points at it */
	char interface_address
		[NI_MAXHOST]; /* of rpc_interface in cassandra.yaml; "": it names none, or there is none of that name */
};

/* -EINVAL (ERR_USAGE) for what the configuration says wrongly; others can read a file of secrets: the same. */
int asknode_init(struct asknode *a, const struct cli *cli, struct err *e);
void asknode_deinit(struct asknode *a);

/* By what nodetool finds its node: two that are the same ask the same one. A new string; NULL: out of memory. */
char *asknode_whom(const struct asknode *a);

/* What the running node says; `data_dirs`: also where its data are. Three calls of nodetool and one for data_dirs, each a JVM, all at once. */
int asknode_facts(const struct asknode *a, bool data_dirs, struct facts **ret, struct err *e);
/*
 * What it says by CQL (cassandra/cqlfacts.h), with `tables` also which it has, at the address that the configuration or cassandra.yaml names: a quarter of the time. -ENOENT: they name none, and
 * cqlsh's own choice may be another node; or nobody listens there. Others as in cassandra/cqlsh.h.
 */
int asknode_facts_by_cql(const struct asknode *a, bool tables, struct facts **ret, struct err *e);
/* What cassandra.yaml says, where the node does not answer: cluster, partitioner, data directories. -ENOENT where it says neither. */
int asknode_facts_of_yaml(const struct asknode *a, struct facts **ret, struct err *e);
/* Adds storage_compatibility_mode (5.0) where f lacks it, with `cql` from the node, else from cassandra.yaml; not known is no failure. */
int asknode_mode(const struct asknode *a, bool cql, struct facts *f, struct err *e);
/* cqlsh, where the configuration or cassandra.yaml says that CQL is taken, else at `address` (borrowed): of the node. */
struct cqlsh asknode_cqlsh(const struct asknode *a, const char *address);

#endif
