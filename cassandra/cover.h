/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of which nodes' backups a keyspace is loaded, where a loader sends every row to all of its new replicas anyway: as few of them as hold every part of the ring, so that each row is
 * sent once and not as often as there were replicas (docs/restore-cluster.md). Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_COVER_H
#define SSTABLEFS_CASSANDRA_COVER_H

#include "cassandra/ring.h"

enum cover_how {
	COVER_NONE,   /* LocalStrategy: nothing is loaded */
	COVER_EXACT,  /* no choice sends less */
	COVER_RACK,   /* all nodes of one rack; each range more than once */
	COVER_GREEDY, /* what was found; there may be better */
	COVER_ALL,    /* as asked for, --all-replicas */
	COVER_GIVEN,  /* as a plan file says */
};

struct cover {
	enum cover_how how;
	uint32_t *nodes; /* numbers of the ring's nodes, in order */
	size_t node_count;
	double copies;	    /* how often a row is read and sent, on average: 1 is best */
	size_t lost_ranges; /* of which no available node is a replica: these rows are missing */
	double lost_share;  /* of the ring */
};

/*
 * Chooses among the nodes whose `available` is set (a backup of each is there). lost_ranges > 0 is for the caller to refuse, or to tell. -ENOMEM.
 */
int cover_choose(const struct ring *r, const struct replication *how, const bool *available,
		 bool all_replicas, struct cover *ret, struct err *e);
void cover_deinit(struct cover *c);

#endif
