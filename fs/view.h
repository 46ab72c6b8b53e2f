/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mount knows of the repository: clusters, nodes, and the committed backups of the nodes that somebody looked into. A look
 * (a lookup of a node, an opendir in it) asks the store again once `refresh` has passed, and waits for the answer for at most 1.5 s where something is known
 * already. An idle mount asks nothing. Any thread; no lock is held while the store is asked or the kernel is told.
 */
#ifndef SSTABLEFS_FS_VIEW_H
#define SSTABLEFS_FS_VIEW_H

#include "base/log.h"
#include "base/metrics.h"
#include "catalog/meta.h"
#include "fs/index.h"
#include "fs/notify.h"
#include "fs/pinned.h"

#define VIEW_WAIT_MS 1500

enum view_outcome { VIEW_WOULD_BLOCK = 1, VIEW_ABSENT = 2 };

struct view;
struct view_node; /* lives as long as the view */

struct view_options {
	struct repo *repo; /* all borrowed */
	struct meta *meta;
	struct index *index;
	const char *cluster, *node;  /* show only these; NULL: all */
	const struct pinned *pinned; /* a backup that stays though it is deleted; NULL: none */
	int64_t refresh_ms;
	bool numeric_ids;
	struct notify notify;
	struct log *log;
	struct metrics *metrics;
	const struct cancel *cancel; /* set when the mount ends */
};

struct view *view_new(const struct view_options *o); /* NULL: out of memory */
void view_free(struct view *v);			     /* waits for refreshes; set cancel first */
DEFINE_CLEANUP(struct view *, view_free);

/* How a caller waits: wait = false answers VIEW_WOULD_BLOCK where the store would have to be asked. */
struct view_wait {
	bool wait;
	const struct cancel *cancel; /* of the request; may be NULL */
};

struct view_names { /* sorted; free with view_names_free */
	size_t count;
	char (*names)[FORMAT_NAME_BYTES + 1];
};
void view_names_free(struct view_names *n);
DEFINE_CLEANUP(struct view_names *, view_names_free);

int view_clusters(struct view *v, struct view_wait w, struct view_names **ret, struct err *e);
int view_nodes(struct view *v, const char *cluster, struct view_wait w, struct view_names **ret,
	       struct err *e);
/* VIEW_ABSENT: no such cluster. */
int view_has_cluster(struct view *v, const char *cluster, struct view_wait w, struct err *e);
/* The look at a node. VIEW_ABSENT: no such node. */
int view_look(struct view *v, const char *cluster, const char *node, struct view_wait w,
	      struct view_node **ret, struct err *e);
/* A node that was looked at before, without a new look; NULL: none. */
struct view_node *view_known(struct view *v, const char *cluster, const char *node);
struct view_node *view_by_number(struct view *v, uint32_t number);

struct view_backup {
	char name[FORMAT_NAME_BYTES + 1];
	struct ulid writer;
	char etag[STORE_ETAG_MAX];
	struct place root;
	int64_t finished_ns, store_time_ns;
	uint64_t new_bytes, json_bytes;
	bool counted; /* in the index */
	bool kept;    /* deleted; shown because it is pinned. Never the latest */
};

const struct node_name *view_node_name(const struct view_node *n);
uint32_t view_node_number(const struct view_node *n);
/* Whether every backup is counted in the index: link counts are exact. */
bool view_node_indexed(struct view_node *n);
/* Waits until it is (objects/ needs it). */
int view_node_wait_indexed(struct view_node *n, struct view_wait w, struct err *e);
/* false: no such backup. */
bool view_node_find(struct view_node *n, const char *backup, struct view_backup *ret);
/* All, sorted by name; newly allocated. NULL: out of memory. */
struct view_backup *view_node_backups(struct view_node *n, size_t *ret_count);
/* < 0: a is older. */
int view_backup_compare_age(const struct view_backup *a, const struct view_backup *b);
/* The backup in whose directories something was looked up last; false: none that is there. */
bool view_node_walked(struct view_node *n, struct view_backup *ret);
void view_node_note_walked(struct view_node *n, const struct view_backup *b);
/* What is known is known to be out of date: the next look asks the store. */
void view_node_expire(struct view_node *n);
/* The newest finished one. */
bool view_node_latest(struct view_node *n, struct view_backup *ret);
/* The backup's record as text: backup.json. */
int view_backup_json(struct view_node *n, const struct view_backup *b, char **ret, size_t *ret_len,
		     const struct cancel *c, struct err *e);
/* The local ids of recorded ones: by name where the record has one that exists here. */
void view_node_owner(struct view_node *n, uint32_t uid, uint32_t gid, uint32_t *ret_uid,
		     uint32_t *ret_gid);

/* backups/: names of all records of a cluster (keys only), and the nodes that finished one of them. */
int view_cluster_backups(struct view *v, const char *cluster, struct view_wait w,
			 struct view_names **ret, struct err *e);
int view_backup_nodes(struct view *v, const char *cluster, const char *backup, struct view_wait w,
		      struct view_names **ret, struct err *e);

/* For status: one line for each node that was looked at. */
void view_describe(struct view *v, struct wbuf *out);
/* The same for metrics: how old each node's view is, and refreshes that failed. */
void view_count(struct view *v, struct metrics *m);
/* Bytes that the known backups brought into the repository: what statfs shows. */
uint64_t view_total_bytes(struct view *v);

#endif
