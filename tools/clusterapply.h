/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does a plan of restore-cluster whose case is that rows are loaded: looks at everything first, then makes the schema, loads, and makes indexes and views (docs/restore-cluster.md, "Loading").
 * What was done is in a journal, so that the same command goes on wherever a run ended.
 */
#ifndef SSTABLEFS_TOOLS_CLUSTERAPPLY_H
#define SSTABLEFS_TOOLS_CLUSTERAPPLY_H

#include "tools/clusterload.h"

struct clusterapply { /* filled by the caller, borrowed */
	struct cli *cli;
	const struct clusterplan *plan;
	const char *url, *repository_id;
	unsigned parallel;
	uint64_t throttle_mib; /* of each loader; 0: none */
	bool restart;	       /* what runs before have loaded counts for nothing */
	/* Set by the run. */
	struct clusterload load;
	uint64_t statements; /* that were run */
	int64_t took_ms;
	bool hook_failed; /* after all was loaded; it was said */
};

/* What can be seen of the plan alone. ERR_USAGE: a newer Cassandra made the backup than the cluster runs, or another partitioner is there. */
int clusterapply_check(const struct clusterplan *p, struct err *e);
/*
 * 0: all is loaded. -EIO (ERR_IO): some tables are not, load.failed names them. ERR_CONFLICT, ERR_USAGE: it was refused, and nothing was changed. The results are to be had however it ended.
 */
int clusterapply_run(struct clusterapply *a, struct err *e);
void clusterapply_deinit(struct clusterapply *a);
/* What was done. NULL: out of memory. */
json_t *clusterapply_json(const struct clusterapply *a);
int clusterapply_print(const struct clusterapply *a, struct err *e);

#endif
