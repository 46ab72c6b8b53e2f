/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backup on many hosts at once, over ssh (docs/cluster.md). Each host runs `backup --coordinated` (tools/follow.h); this side says
 * when each may go on:
 *
 *     WAITING -> CONNECTING -> READY -> SNAPSHOT -> TAKEN -> UPLOADING -> STORED
 *                    |           \-> EXISTS (it has the backup)
 *                    +-- from each of these: FAILED (its own failure), STOPPED (ours)
 *
 * READY is a barrier: the snapshot is taken when every host is ready or has failed, on all at once. TAKEN is another: uploads begin when
 * every snapshot is there. One thread, which polls.
 */
#ifndef SSTABLEFS_TOOLS_CLUSTERRUN_H
#define SSTABLEFS_TOOLS_CLUSTERRUN_H

#include "tools/peer.h"
#include "tools/sshconf.h"

enum clusternode_state {
	NODE_WAITING,
	NODE_CONNECTING,
	NODE_READY,
	NODE_SNAPSHOT,
	NODE_TAKEN,
	NODE_UPLOADING,
	NODE_STORED,
	NODE_EXISTS,
	NODE_FAILED,
	NODE_STOPPED
};

struct clusternode { /* strings are owned; NULL: not known (yet) */
	char *host;
	enum clusternode_state state;
	bool hung_up; /* its input was closed: it is expected to end */
	bool has_it;  /* the backup was there before */
	struct peer *peer;
	json_t *ready, *result, *error; /* what it said of itself, of its backup, of its failure */
	const char *cluster, *node, *host_id, *dc, *rack, *repository; /* in `ready`, or "" */
	char *said;	 /* the last line on its standard error, not passed on yet */
	char *message;	 /* why it failed, one line */
	int exit_code;	 /* of sstablefs there, or of ssh */
	int64_t told_ms; /* when it was let go to its last step */
	int64_t heard_ms;
	int64_t taken_ms;
	uint64_t bytes_done, bytes_total, files_done, files_total;
};

enum clusterrun_per { PER_FLEET, PER_DC, PER_RACK };

struct clusterrun;
/* What is to be shown, in the thread of clusterrun_run(). */
struct clusterrun_sink {
	/* A node came to another state, or failed. */
	void (*changed)(void *ctx, const struct clusternode *n);
	/* What a node's sstablefs said beside its result. */
	void (*said)(void *ctx, const struct clusternode *n, const char *line);
	/* Several times a second. */
	void (*tick)(void *ctx, const struct clusterrun *run);
	void *ctx;
};

struct clusterrun { /* filled by the caller; what is borrowed must live as long */
	const struct sshconf *ssh;
	const char *command; /* what the shell of each host runs */
	struct clusternode *nodes;
	size_t count;
	unsigned parallel; /* uploads at once; 0: all */
	enum clusterrun_per per;
	const struct clock *clock;
	const struct cancel *cancel;
	struct clusterrun_sink sink;
	/* Set by the run. */
	int64_t snapshot_ms; /* from the word to the first node until the last had its snapshot; -1: none was taken */
	json_t *members; /* [[host id, address]…] of the cluster as a node sees it; NULL: not known; owned by a node */
};

/*
 * 0: every node came to an end (its state says which). < 0: nothing was begun, *e says why: nodes of two clusters or repositories
 * (ERR_USAGE), or a shortage here.
 */
int clusterrun_run(struct clusterrun *run, struct err *e);
void clusterrun_free_nodes(struct clusternode *nodes, size_t count);
const char *clusternode_state_name(enum clusternode_state state);

#endif
