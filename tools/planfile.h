/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan of restore-cluster that was saved (--json --plan), perhaps edited, and is to be done: what it says is checked against the backup and the cluster as they are now, never believed
 * (docs/restore-cluster.md, "A plan that was saved").
 */
#ifndef SSTABLEFS_TOOLS_PLANFILE_H
#define SSTABLEFS_TOOLS_PLANFILE_H

#include "tools/clusterplan.h"

struct planfile;

/* ERR_NOT_FOUND: no such file. ERR_USAGE, naming what is wrong: no plan, or one of a later format. */
int planfile_read(const char *path, struct planfile **ret, struct err *e);
void planfile_free(struct planfile *f);
DEFINE_CLEANUP(struct planfile *, planfile_free);

/* ERR_USAGE where it is of another backup, or (named) of another cluster. */
int planfile_check(const struct planfile *f, const char *cluster, const char *backup,
		   struct err *e);
/* Which tables, under which names, and whether they are loaded: what clusterplan_make is to begin with. The file lives as long as `ret`. */
void planfile_options(const struct planfile *f, struct clusterplan_options *ret);
/* Gives each node of the cluster the source that the plan gives it. ERR_USAGE: they are not the plan's. The file lives as long as the targets. */
int planfile_pair(const struct planfile *f, struct targets *t, struct err *e);
/*
 * Leaves of the plan, which was made with all replicas, what the file names. ERR_USAGE: it names what the backup has not. ERR_CONFLICT, without `partial`: of a table that is loaded, part of the
 * ring is not.
 */
int planfile_apply(const struct planfile *f, struct clusterplan *p, bool partial, struct err *e);

#endif
