/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of restore-node's pre-flight (nodecheck*.c) share. */
#ifndef SSTABLEFS_TOOLS_NODECHECK_STATE_H
#define SSTABLEFS_TOOLS_NODECHECK_STATE_H

#include "tools/nodecheck.h"

struct nodechecking {
	struct cli *cli;
	const struct asknode *ask;
	const struct nodeconf *conf;
	const struct record *rec;
	const struct nodecheck_wish *wish;
	struct nodecheck *k;
	bool yaml_is_roots; /* cassandra.yaml: nobody else can write or exchange it; as far as it matters, to root */
	uid_t yaml_owner;	    /* who can, and (uid_t)-1: several */
	bool has_local, has_tables; /* the backup, of system and system_schema */
};

/* A sentence of what is in the way, or of what is to be known. */
_printf_(2, 3) void nodecheck_refuse(struct nodechecking *c, const char *fmt, ...);
_printf_(2, 3) void nodecheck_note(struct nodechecking *c, const char *fmt, ...);

/* nodecheck_cluster.c: cluster_name in cassandra.yaml, and what the backup says Cassandra called its cluster. */
void nodecheck_cluster(struct nodechecking *c, struct session *s);
/* nodecheck_places.c: the directories that cassandra.yaml names, into the journal; with --only the data directories alone. */
int nodecheck_places(struct nodechecking *c, struct err *e);
/* nodecheck_node.c: the running node, for a restore of all of it, and for --only. */
void nodecheck_node(struct nodechecking *c);
void nodecheck_importer(struct nodechecking *c);
/*
 * nodecheck_still.c: what is known of a node that cannot be asked, by what lies on its disk: which Cassandra is installed, and where its snitch says that it
 * is. Notes say what that is and whence, and what of it is not known; `why` begins one: that it does not run, or does not answer. NULL: out of memory.
 */
struct facts *nodecheck_still(struct nodechecking *c, const char *why);

#endif
