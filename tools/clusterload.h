/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads the tables of a plan: an sstableloader for each table and source, several at once, straight from a mount for each source, which pins the backup and lives as long as something of it is loaded. What is
 * loaded is noted in the journal before the next one is begun. One thread, which polls.
 */
#ifndef SSTABLEFS_TOOLS_CLUSTERLOAD_H
#define SSTABLEFS_TOOLS_CLUSTERLOAD_H

#include "cassandra/loader.h"
#include "catalog/progress.h"
#include "tools/clusterplan.h"
#include "tools/loadjournal.h"

/* In their order: behind the last the passwords that all of this is done with may be none. */
enum clusterload_part { CLUSTERLOAD_ROWS, CLUSTERLOAD_PERMISSIONS, CLUSTERLOAD_LOGINS };

struct clusterload { /* filled by the caller, borrowed */
	struct cli *cli;
	const struct clusterplan *plan;
	const char *url;
	const struct loader *loader; /* what is the same for all */
	struct loadjournal *journal;
	unsigned parallel;
	enum clusterload_part part; /* what of the plan is loaded in this run */
	struct progress progress;
	/* Set by the runs: each adds to what was. */
	uint64_t loaded, loaded_bytes; /* tables of sources */
	uint64_t kept;		       /* that a run before had loaded */
	json_t *failed; /* [{source, keyspace, table, reason}]: each was said; owned */
};

/*
 * 0: each table was tried, `failed` says which of them are not loaded. < 0: stopped, or nothing could be begun; what was running is killed, what is in the journal stays.
 */
int clusterload_run(struct clusterload *l, struct err *e);
void clusterload_deinit(struct clusterload *l);
/* Unmounts what a run that was killed has left below the journal's directory. Whoever still reads there gets errors. */
int clusterload_clear(const struct cli *cli, const struct loadjournal *j, struct err *e);
/* What the journal calls the files of a table; new string. */
char *clusterload_from(const struct clusterplan *p, const struct clusterplan_table *t);

#endif
