/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backup on many hosts at once, over ssh (docs/cluster.md). Each host runs `backup --coordinated`, led by tools/lead.h; this says when each may go on:
 *
 *     ready -> preparing -> prepared -> snapshot -> taken -> uploading -> stored
 *         \-> exists (it has the backup)
 *
 * `ready`, `prepared` and `taken` are barriers. Nothing is done before every host is ready or has failed; snapshots are taken on all at once; uploads begin when every snapshot is there.
 */
#ifndef SSTABLEFS_TOOLS_CLUSTERRUN_H
#define SSTABLEFS_TOOLS_CLUSTERRUN_H

#include "tools/lead.h"

enum clusterrun_per { PER_FLEET, PER_DC, PER_RACK };
enum clusterrun_phase {
	CLUSTERRUN_CONNECT,
	CLUSTERRUN_PREPARE,
	CLUSTERRUN_SNAPSHOT,
	CLUSTERRUN_UPLOAD
};

struct clusterrun {
	struct lead lead;  /* filled by the caller but for task and ctx */
	unsigned parallel; /* uploads at once; 0: all */
	enum clusterrun_per per;
	/* Set by the run. */
	enum clusterrun_phase phase;
	int64_t begun_ms; /* when the nodes were told to take their snapshots */
	int64_t snapshot_ms; /* from the word to the first node until the last had its snapshot; -1: none was taken */
	json_t *members; /* [[host id, address]…] of the cluster as a node sees it; NULL: not known; owned by a node */
};

/*
 * 0: every node came to an end (its state says which). < 0: nothing was begun, *e says why: nodes of two clusters or repositories
 * (ERR_USAGE), or a shortage here.
 */
int clusterrun_run(struct clusterrun *run, struct err *e);
/* Whether the node has the backup, from now on or from before. */
bool clusterrun_has_it(const struct lead_host *h);
/* Whether it had it before. */
bool clusterrun_had_it(const struct lead_host *h);

#endif
