/* SPDX-License-Identifier: Apache-2.0 */
/* restore-cluster where nodes take files as they are: begins, goes on, aborts or finishes it, and tells what became of each host (docs/restore-cluster.md, "Files as they are"). */
#ifndef SSTABLEFS_TOOLS_CLUSTERFILES_H
#define SSTABLEFS_TOOLS_CLUSTERFILES_H

#include "tools/checkquery.h"
#include "tools/filesrun.h"

#define CLUSTERFILES_WITHOUT_MAX 64

struct clusterfiles { /* borrowed */
	struct cli *cli;
	enum filesrun_what what;
	const char *backup, *cluster; /* cluster NULL: any */
	const char *url;
	bool no_stage, keep_auth;
	bool plan_only; /* asks every host what it would do, and shows it */
	struct checkquery query;
	uint64_t wait_s;
	unsigned parallel; /* hosts that fetch at once; 0: all */
	/* What was named on the command line, and must be what was begun; NULL: not named. */
	const char *host_list, *plan_file;
	/* Hosts that are left out of this run. */
	const char *without[CLUSTERFILES_WITHOUT_MAX];
	size_t without_count;
	bool in_place;			   /* with host_list */
	bool loads;			   /* an option that is for loading rows was given */
	struct filesplan *plan;		   /* owned; set by find and begin */
	const struct clusterplan *made_of; /* borrowed, by begin; NULL: it was begun before */
};

/* Whether a restore of this backup was begun from here: then f->plan is set. */
int clusterfiles_find(struct clusterfiles *f, struct err *e);
/* Of a plan that was made now. */
int clusterfiles_begin(struct clusterfiles *f, const struct clusterplan *p,
		       const char *repository_id, struct err *e);
/* Shows f->plan, or does it. An exit code: what failed is told. < 0: *e says why nothing was begun. */
int clusterfiles_run(struct clusterfiles *f, struct err *e);
void clusterfiles_deinit(struct clusterfiles *f);

#endif
