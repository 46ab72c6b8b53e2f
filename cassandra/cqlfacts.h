/* SPDX-License-Identifier: Apache-2.0 */
/* What a node says of itself by CQL: one cqlsh for most of what takes four calls of nodetool, each a JVM. It does not tell which of the other nodes are up. */
#ifndef SSTABLEFS_CASSANDRA_CQLFACTS_H
#define SSTABLEFS_CASSANDRA_CQLFACTS_H

#include "cassandra/facts.h"

/* peers_v2, which Cassandra 4.0 brought, tells apart the nodes of one address. */
#define CQLFACTS_QUERY                                                                               \
	"SELECT JSON key, cluster_name, partitioner, host_id, broadcast_address, data_center, rack," \
	" release_version, tokens FROM system.local;"                                                \
	" SELECT JSON peer, host_id, data_center, rack FROM system.peers_v2;"                        \
	" SELECT JSON name, value FROM system_views.settings WHERE name IN"                          \
	" ('data_file_directories', 'local_system_data_file_directory', 'storage_compatibility_mode')"
/* With the names of all tables and views. */
#define CQLFACTS_QUERY_TABLES                                                \
	CQLFACTS_QUERY                                                       \
	"; SELECT JSON keyspace_name, table_name FROM system_schema.tables;" \
	" SELECT JSON keyspace_name, view_name AS table_name FROM system_schema.views"

/*
 * Reads what cqlsh printed for one of these into f: of the node what it has, with its tokens in nodetool's order and its data directories as cassandra.yaml names them, then
 * local_system_data_file_directory; every node of the cluster as a member, the others with neither status nor state. Pure. 0; -ENOMEM; -EBADMSG (ERR_IO) where the
 * node's host id and version are not in it, or what cqlsh may have changed in printing it.
 */
int cqlfacts_read(struct facts *f, const char *text, struct err *e);
/* Whether f then has all that a backup needs to know; the word for what is missing, or NULL. Pure. */
const char *cqlfacts_missing(const struct facts *f);

#endif
