/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of itself by CQL: one cqlsh for most of what takes three calls of nodetool, each a JVM. It does not tell which of the other nodes are up. */
#ifndef SSTABLEFS_CASSANDRA_CQLFACTS_H
#define SSTABLEFS_CASSANDRA_CQLFACTS_H

#include "cassandra/facts.h"

#define CQLFACTS_QUERY                                                                            \
	"SELECT JSON key, host_id, data_center, rack, release_version, tokens FROM system.local;" \
	" SELECT JSON peer, host_id, data_center, rack FROM system.peers"

/*
 * Reads what cqlsh printed for CQLFACTS_QUERY into f: host id, DC, rack, version and tokens of the node; every node as a member, the others with neither
 * status nor state. Pure. 0; -ENOMEM; -EBADMSG (ERR_IO) where the node itself is not in it.
 */
int cqlfacts_read(struct facts *f, const char *text, struct err *e);

#endif
