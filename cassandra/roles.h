/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may log in to a cluster, and who may do what: rows of the keyspace system_auth, salted hashes of passwords among them. They are restored as rows are (docs/restore-cluster.md, "Roles"). Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_ROLES_H
#define SSTABLEFS_CASSANDRA_ROLES_H

#include "cassandra/schema.h"

#define ROLES_KEYSPACE "system_auth"
#define ROLES_TABLE "roles" /* of it: who may log in, and with which password */

/* The tables of a schema that hold roles, by their own names; item_count 0: it says nothing of them. What Cassandra before 2.2 left in the keyspace is none. */
int roles_choose(const struct cql *q, struct schema **ret, struct err *e);

#endif
