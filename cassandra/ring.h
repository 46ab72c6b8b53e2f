/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster's ring, and which nodes hold a keyspace's replicas of each part of it: as Cassandra 4.1 and 5.0 place them (SimpleStrategy, NetworkTopologyStrategy, EverywhereStrategy,
 * LocalStrategy; Murmur3Partitioner). Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_RING_H
#define SSTABLEFS_CASSANDRA_RING_H

#include "cassandra/cql.h"

#define RING_PARTITIONER "org.apache.cassandra.dht.Murmur3Partitioner"
#define RING_FACTOR_MAX 64
#define RING_DCS_MAX 64

struct ring_node {	  /* strings and tokens are borrowed */
	const char *name; /* for messages */
	const char *dc, *rack;
	const char *const *tokens; /* decimal, as Cassandra prints them */
	size_t token_count;
};

struct ring_range { /* what is before `token`, from the range before on */
	int64_t token;
	uint32_t node;	 /* whose token it is */
	uint64_t length; /* tokens in it; of a ring with one token: UINT64_MAX */
};

struct ring_dc {
	const char *name;
	size_t nodes, racks;
};

struct ring {
	const struct ring_node *nodes; /* borrowed */
	size_t node_count;
	struct ring_dc *dcs;
	size_t dc_count;
	uint32_t *dc_of,
		*rack_of; /* of each node: its data centre, and a number that only nodes of its rack have */
	size_t rack_count;
	struct ring_range *ranges; /* in order of tokens; they are the whole ring */
	size_t range_count;
};

/* -EINVAL (ERR_USAGE): no node, a node without tokens, a token that is none of Murmur3Partitioner, or that two nodes have. */
int ring_new(const struct ring_node *nodes, size_t count, struct ring **ret, struct err *e);
void ring_free(struct ring *r);
DEFINE_CLEANUP(struct ring *, ring_free);

enum replication_class {
	REPLICATION_LOCAL, /* each node has its own: nothing to load */
	REPLICATION_SIMPLE,
	REPLICATION_NETWORK,
	REPLICATION_EVERYWHERE,
};

struct replication {
	enum replication_class class;
	unsigned factor; /* SIMPLE */
	struct {
		char dc[128];
		unsigned factor;
	} dcs[RING_DCS_MAX]; /* NETWORK */
	size_t dc_count;
};

/*
 * Of a CREATE KEYSPACE statement. -EINVAL (ERR_USAGE): another class, transient replication ('3/1'), a data centre that is there twice, or what is no number.
 */
int replication_read(const struct cql *q, const struct cql_statement *s, struct replication *ret,
		     struct err *e);

/*
 * Numbers of the nodes that hold range `range`, into ret, which has room for ring->node_count; how many. The first one of SIMPLE is whose token it is. A data centre that has fewer
 * nodes than replicas has what it can.
 */
size_t ring_replicas(const struct ring *r, const struct replication *how, size_t range,
		     uint32_t *ret);

#endif
