/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All backups of a fleet at once, in little memory: of each record what lists and policies need, 96 bytes and the name. A thousand nodes with a year of daily
 * backups are 365,000 records.
 *
 * What was read is kept in a file, so that a record whose ETag is the same is not fetched again. The file is a hint like all local state: one that is
 * damaged, of another repository or of another version of the program is as if absent.
 */
#ifndef SSTABLEFS_CATALOG_SURVEY_H
#define SSTABLEFS_CATALOG_SURVEY_H

#include "catalog/meta.h"

#define SURVEY_RECORDS_MAX 1000000 /* of all nodes together */

struct survey_entry { /* one record */
	struct ulid writer;
	struct xxh128 etag; /* digest of the ETag that it was listed with; zero: none */
	uint32_t node;	    /* index into nodes */
	uint32_t name;	    /* of the backup: offset into names */
	int64_t store_time_ns, started_ns, finished_ns; /* as in the record; 0: not known */
	uint64_t total_bytes, new_bytes, file_count;
	uint32_t peer_count;
	uint8_t state; /* enum record_state */
	bool peers_known;
	uint8_t refused;   /* as in the record */
	uint8_t size_log2; /* the record's text has at most so many bytes, as a power of two */
};

/* One backup of a cluster, over its nodes. */
struct survey_backup {
	size_t first, count;	  /* in entries */
	uint32_t nodes, finished; /* nodes that began it; of these, how many have it COMMITTED */
	uint32_t expected;	  /* nodes of the cluster, where a topology is known */
	bool topology;
	int64_t started_ns, finished_ns; /* the first and the last */
	struct ulid writer; /* the greatest: decides where the store's times are equal */
	uint64_t total_bytes, new_bytes;
};

struct survey_damage { /* a record that cannot be read, or that a newer version wrote */
	uint32_t node; /* index into nodes */
	char *backup, *key, *reason;
};

struct survey {
	struct node_name *nodes;
	size_t node_count;
	char *names;
	size_t names_bytes;
	/* OPEN and COMMITTED ones first, `live` of them, sorted by cluster, backup, node and writer; behind them the others. */
	struct survey_entry *entries;
	size_t count, live;
	struct survey_backup *backups; /* of the live ones: newest first */
	size_t backup_count;
	struct survey_damage *damaged; /* sorted by key */
	size_t damaged_count;
	uint64_t fetched; /* records that were not known by their ETag */
};

struct survey_options {
	const char *cluster, *node; /* NULL: all */
	const char *path; /* of the file; NULL: nothing is remembered. Its directory is made. */
	unsigned threads; /* requests at once; 0: 8 */
};

/* Lists and reads. What is damaged is told, and the survey goes on. That the file cannot be written is no failure. */
int survey_read(struct meta *m, struct repo *r, const struct survey_options *o, struct survey **ret,
		const struct cancel *c, struct err *e);
/*
 * What the last survey of everything saw, and when it ended by this host's clock; of one cluster where one is given. Later surveys of a part are in it too. -ENOENT (ERR_NOT_FOUND):
 * there is no such file, or none that can be believed.
 */
int survey_load(const char *path, const char *cluster, struct survey **ret, int64_t *ret_as_of_ns,
		struct err *e);
void survey_free(struct survey *s);
DEFINE_CLEANUP(struct survey *, survey_free);

static inline const char *survey_name(const struct survey *s, const struct survey_entry *x)
{
	return s->names + x->name;
}
static inline const struct node_name *survey_node(const struct survey *s,
						  const struct survey_entry *x)
{
	return &s->nodes[x->node];
}
/* The store's time of the backup; where that is not known, the node's. */
static inline int64_t survey_time_ns(const struct survey_entry *x)
{
	return x->store_time_ns ? x->store_time_ns : x->started_ns;
}
/* Every node of the cluster has it; without a topology, every node that began it. */
static inline bool survey_is_complete(const struct survey_backup *b)
{
	return b->finished == b->nodes && (!b->topology || b->finished >= b->expected);
}

/* Sorts the entries and makes the backups of them. For survey_read and survey_load. */
int survey_group(struct survey *s, struct err *e);

#endif
