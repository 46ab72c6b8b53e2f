/* SPDX-License-Identifier: Apache-2.0 */
/* The collector over the nodes of a cluster, one after the other, and what it has to tell: for gc, and for purge after it. */
#ifndef SSTABLEFS_TOOLS_GCNODES_H
#define SSTABLEFS_TOOLS_GCNODES_H

#include "catalog/collect.h"
#include "tools/cli.h"

struct gcnodes_options {
	bool full, dry_run;
	int64_t fence_ms; /* 0: the default */
};

struct gcnodes_one {
	struct node_name where;
	struct collect_result *result;
};

struct gcnodes {
	struct gcnodes_one *nodes; /* in order of names; those that were done */
	size_t count, cap;
	char **foreign; /* with `full` and every node: keys above the nodes that are not ours. The first COLLECT_FOREIGN */
	size_t foreign_count, foreign_cap;
};

/* fence_after of [gc]. 0, or < 0 (ERR_USAGE). */
int gcnodes_config(struct cli *cli, struct gcnodes_options *o, struct err *e);
/* The cluster that is meant where none is named: the only one, else that of the configuration, else ERR_USAGE naming them. "": the repository is empty. */
int gcnodes_cluster(struct cli *cli, struct session *s, const struct common *common,
		    char out[FORMAT_NAME_BYTES + 1], struct err *e);
/*
 * The nodes that are meant: --cluster and --node, else every node of the only cluster (several: the one of the configuration, else ERR_USAGE naming them). What was
 * named and is not there: ERR_NOT_FOUND. A failure that concerns one node does not keep the others from their turn; the first one is returned, and the
 * results of the nodes that were done are in *g. The session was opened with REPO_READ, REPO_WRITE and REPO_COLLECT.
 */
int gcnodes_run(struct cli *cli, struct session *s, const struct common *common,
		const struct gcnodes_options *o, struct gcnodes *g, struct err *e);
void gcnodes_deinit(struct gcnodes *g);
#define _cleanup_gcnodes_ _cleanup_(gcnodes_deinit)

/* Adds the fields of CLI.md that gc, delete and purge have in common, removed_backups apart, to a document. */
void gcnodes_json(const struct gcnodes *g, json_t *document);
/* The same for people. */
int gcnodes_print(struct cli *cli, const struct gcnodes *g, const struct gcnodes_options *o,
		  struct err *e);
/* EXIT_DONE, or EXIT_FOUND where something waits, was not deleted or could not be read. */
int gcnodes_exit(const struct gcnodes *g);

#endif
