/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which host takes which node's files, where nodes take them as they are (docs/restore-cluster.md, "Files as they are"). Once the nodes are stopped nobody can be asked who they are, so the plan is
 * saved before anything is done, and the same command goes on with it, until all is finished or aborted:
 *
 *     <cache>/restore-cluster/files-<id>/lock         held by the process that leads
 *     <cache>/restore-cluster/files-<id>/plan.json    of this repository, cluster and backup; its digest in it
 *
 * One thread.
 */
#ifndef SSTABLEFS_TOOLS_FILESPLAN_H
#define SSTABLEFS_TOOLS_FILESPLAN_H

#include "tools/clusterplan.h"

struct filesplan_node { /* strings of the plan's document; "" and 0: not known */
	const char *host;
	const char *source;		 /* the node in the repository whose backup it takes */
	const char *host_id, *dc, *rack; /* of the source */
	size_t tokens;			 /* the same */
	const char *writer;		 /* of its backup */
	const char *target_id;		 /* host id of the host before anything was done */
	bool seed;			 /* of the host, as far as the plan knew */
	bool without;			 /* left out of this run; not saved */
};

struct filesplan {
	json_t *document;
	const char *url, *repository_id, *cluster, *backup;
	bool remote;	  /* hosts take tokens over; else each becomes what it was */
	bool asked;	  /* the hosts are those that nodetool told, not of a list */
	const char *whom; /* nodetool asked (asknode_whom); "": a plan of before */
	bool no_stage, keep_auth;
	const char *ending;	      /* "abort", "finish": it was begun; "" */
	struct filesplan_node *nodes; /* in the order in which they start, as far as the plan knew */
	size_t count;
	char *directory; /* "" before it is saved or found */
	char *text;	 /* as it was found; NULL: it was not */
	int lock;
	bool saved;
	bool changed; /* since it was saved */
};

struct filesplan_wish { /* borrowed */
	const char *url, *repository_id, *whom;
	bool asked, no_stage, keep_auth;
};

/* Of a plan in which nodes take files. ERR_CONFLICT: nodes are missing in the backup. ERR_USAGE: some node of the backup would take another one's tokens over. */
int filesplan_make(const struct clusterplan *p, const struct filesplan_wish *wish,
		   struct filesplan **ret, struct err *e);
/* The one that was begun, of any cluster where that is NULL; NULL in *ret: none was. ERR_USAGE: there are several. ERR_CORRUPT: it cannot be understood. */
int filesplan_find(const char *cache_dir, const char *url, const char *cluster, const char *backup,
		   struct filesplan **ret, struct err *e);
void filesplan_free(struct filesplan *p);
DEFINE_CLEANUP(struct filesplan *, filesplan_free);

/* From now on nobody else leads it. -EBUSY (ERR_CONFLICT): somebody does, or did since it was read. */
int filesplan_lock(struct filesplan *p, const char *cache_dir, struct err *e);
/* Durable when it returns. Locked before. */
int filesplan_save(struct filesplan *p, struct err *e);
/* From now on it is aborted or finished, and nothing else; `ending` says which. Durable when it returns. */
int filesplan_mark(struct filesplan *p, const char *ending, struct err *e);
/* Removes it. */
int filesplan_end(struct filesplan *p, struct err *e);

/* What has to be run on a host, for people. A new string; NULL: out of memory. */
char *filesplan_command(const struct filesplan *p, const struct filesplan_node *n);
/* "--in-place --no-stage": how the restore was begun. A new string; NULL: out of memory. */
char *filesplan_options(const struct filesplan *p);
/* What the host said before anything was done, where the plan is not saved yet. */
int filesplan_note_target(struct filesplan *p, size_t which, const char *host_id, struct err *e);
/* Whether the host is one, as is known now. To be saved. */
int filesplan_set_seed(struct filesplan *p, size_t which, bool seed, struct err *e);
/* That of which the backup has this host id; NULL: none, or it is "". */
const struct filesplan_node *filesplan_of_source(const struct filesplan *p, const char *host_id);
/* That host is left out of this run. ERR_USAGE: nothing is begun, there is no such host, or nobody would be left. */
int filesplan_leave_out(struct filesplan *p, const char *host, struct err *e);
/* NULL: no such host. */
const struct filesplan_node *filesplan_node(const struct filesplan *p, const char *host);

#endif
