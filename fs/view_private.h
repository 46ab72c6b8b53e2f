/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by view.c (clusters and names) and view_node.c (one node's backups). */
#ifndef SSTABLEFS_FS_VIEW_PRIVATE_H
#define SSTABLEFS_FS_VIEW_PRIVATE_H

#include "fs/look.h"
#include "fs/owners.h"
#include "fs/view.h"

struct known_record { /* what was read of a record: not read again while its ETag stays */
	char etag[STORE_ETAG_MAX];
	uint64_t size_bytes;
	enum record_state state;
	struct view_backup backup;
};

/*
 * backups[] is replaced as a whole, under the looker's lock; known[] belongs to the refresh that runs (one at a time).
 */
struct view_node {
	struct view *view;
	struct node_name name;
	uint32_t number;
	struct look look;
	struct view_backup *backups; /* sorted by name */
	size_t backup_count;
	bool indexed;
	bool absent; /* nothing is stored below the node any more */
	struct owner_map owners;
	struct known_record *known; /* sorted by (name, writer) */
	size_t known_count;
	struct view_node *next;
};

struct view_list { /* names below one place, with its look */
	struct view *view;
	char cluster[FORMAT_NAME_BYTES + 1]; /* "" for the list of clusters */
	struct look look;
	struct view_names *names;
	struct view_list *next;
};

struct view {
	struct view_options o;
	struct looker looker;
	struct pool *forgetting;   /* of names that changed in nodes */
	struct view_list clusters; /* the root's */
	struct view_list *nodes,
		*backups; /* one for each cluster that was looked at; only ever added to */
	struct view_node *first_node; /* likewise */
	uint32_t node_count;
};

/* The refresh of one node: a pool_fn. */
void view_node_job(void *arg);
void view_node_free(struct view_node *n);
/* Names as a growing list. */
int view_names_add(struct view_names **names, size_t *cap, const char *name);
void view_names_sort(struct view_names *names); /* and drops repetitions */
bool view_names_has(const struct view_names *names, const char *name);
/* Tells the kernel to forget a name below the directory with that path. */
void view_forget_name(struct view *v, const char *dir_path, const char *name);

#endif
