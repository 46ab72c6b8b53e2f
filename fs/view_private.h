/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by view.c (clusters and names), view_node.c (one node's backups) and view_ask.c (what is known of them). */
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
 * backups[] and known[] are replaced as a whole, and changed, under the looker's lock, by the refresh that runs (one at a time), which may read them without.
 */
struct view_node {
	struct view *view;
	struct node_name name;
	uint32_t number;
	struct look look;
	struct view_backup *backups; /* sorted by name */
	size_t backup_count;
	bool indexed;
	bool ever_indexed;  /* the kernel may keep link counts since then */
	bool absent;	    /* nothing is stored below the node any more */
	struct ulid walked; /* of the backup that was walked last; "": none */
	char walked_name[FORMAT_NAME_BYTES + 1];
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
	struct metric *refresh_failed;
	struct pool *counting;	   /* of what a look found, into the index */
	struct pool *forgetting;   /* of names that changed in nodes */
	struct view_list clusters; /* the root's */
	struct view_list *nodes,
		*backups; /* one for each cluster that was looked at; only ever added to */
	struct view_node *first_node; /* likewise */
	uint32_t node_count;
};

/* The refresh of one node: a pool_fn. */
void view_node_job(void *arg);
/* Whether a record, as it was listed, is known to be DELETED or ABORTED. */
bool view_node_knows_ended(struct view_node *n, const struct record_key *key);
void view_node_free(struct view_node *n);
bool view_newer(const struct view_backup *a, const struct view_backup *b);
/* Of a list that is sorted by name: NULL where there is none. */
const struct view_backup *view_find_backup(const struct view_backup *list, size_t count,
					   const char *name);
const struct view_backup *view_newest(const struct view_backup *list, size_t count);
/* Names as a growing list. */
int view_names_add(struct view_names **names, size_t *cap, const char *name);
void view_names_sort(struct view_names *names); /* and drops repetitions */
bool view_names_has(const struct view_names *names, const char *name);
/* Tells the kernel to forget a name below the directory with that path. */
void view_forget_name(struct view *v, const char *dir_path, const char *name);

#endif
