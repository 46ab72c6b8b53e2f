/* SPDX-License-Identifier: Apache-2.0 */
/* Reads CREATE KEYSPACE on a line, then "name dc rack token…" for each node, and prints "token name…" for each range of the ring: its replicas, the first one first. */
#include <stdio.h>
#include <string.h>
#include "cassandra/ring.h"

#define NODES_MAX 16
#define TOKENS_MAX 512

static const char *tokens[NODES_MAX][TOKENS_MAX];

static struct ring_node read_node(char *line, const char **list)
{
	struct ring_node n = { .name = strsep(&line, " "),
			       .dc = strsep(&line, " "),
			       .rack = strsep(&line, " "),
			       .tokens = list };

	for (char *word; n.token_count < TOKENS_MAX && (word = strsep(&line, " "));)
		list[n.token_count++] = word;
	return n;
}

static int print(const struct ring *r, const struct replication *how)
{
	uint32_t list[NODES_MAX];

	for (size_t i = 0; i < r->range_count; i++) {
		size_t count = ring_replicas(r, how, i, list);

		printf("%lld", (long long)r->ranges[i].token);
		for (size_t k = 0; k < count; k++)
			printf(" %s", r->nodes[list[k]].name);
		printf("\n");
	}
	return 0;
}

int main(void)
{
	char *lines[NODES_MAX + 1] = { NULL };
	struct ring_node nodes[NODES_MAX];
	struct replication how;
	struct ring *ring = NULL;
	struct cql *q = NULL;
	struct err e = ERR_INIT;
	size_t cap = 0, count = 0;
	int r;

	while (count <= NODES_MAX && getline(&lines[count], &cap, stdin) > 0) {
		lines[count][strcspn(lines[count], "\n")] = '\0';
		if (count > 0)
			nodes[count - 1] = read_node(lines[count], tokens[count - 1]);
		cap = 0;
		count++;
	}
	r = count > 1 ? cql_read(lines[0], strlen(lines[0]), &q, &e) : -EINVAL;
	if (r == 0)
		r = replication_read(q, &q->statements[0], &how, &e);
	if (r == 0)
		r = ring_new(nodes, count - 1, &ring, &e);
	if (r == 0)
		r = print(ring, &how);
	if (r < 0)
		fprintf(stderr, "%s\n", e.message);
	if (ring)
		ring_free(ring);
	if (q)
		cql_free(q);
	for (size_t i = 0; i <= NODES_MAX; i++)
		free(lines[i]);
	return r < 0;
}
