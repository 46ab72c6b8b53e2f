/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which node of a backup goes to which node of a cluster, and whether that can be right at all (docs/restore-cluster.md, "Three cases"). Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_MAPPING_H
#define SSTABLEFS_CASSANDRA_MAPPING_H

#include "base/err.h"

#define MAPPING_REASON_MAX 512
#define MAPPING_NONE UINT32_MAX

struct mapping_node { /* strings are borrowed; "" and 0: not known (a target that does not run) */
	const char *name; /* of a source: the node in the repository; of a target: its host */
	const char *host_id, *dc, *rack;
	size_t token_count;
	bool seed;	    /* of a target */
	const char *source; /* of a target: the source that a host list names; NULL: it names none */
};

enum mapping_case {
	MAPPING_SAME, /* the nodes that were backed up: each gets its own files again */
	MAPPING_OTHER, /* as many nodes, of the same shape: each takes over a source's files and tokens */
	MAPPING_LOADED, /* any other shape: rows are sent to whoever owns them now */
};

struct mapping {
	enum mapping_case which;
	char reason[MAPPING_REASON_MAX]; /* why it is this case: a sentence without final stop */
	uint32_t *source_of;		 /* of each target; NULL where rows are loaded */
	uint32_t *order; /* targets as they are started: seeds, then racks one after another */
};

/*
 * Without a host list: the case follows from the nodes. With one (a target has a source): the pairs are those of the list, and -EINVAL (ERR_USAGE) where they cannot be right: a source is missing or named
 * twice, numbers of tokens differ, nodes change their data centre, or a rack of the backup is spread over several, or several are put into one: replicas would not be where Cassandra looks for them.
 */
int mapping_decide(const struct mapping_node *sources, size_t source_count,
		   const struct mapping_node *targets, size_t target_count, struct mapping *ret,
		   struct err *e);
/* Loads, though another case applies. */
void mapping_load(struct mapping *m);
/* Each target is its source, or a machine in its place: of pairs that are there. */
void mapping_in_place(struct mapping *m);
void mapping_deinit(struct mapping *m);
const char *mapping_case_name(enum mapping_case which); /* "same", "other", "loaded" */

#endif
