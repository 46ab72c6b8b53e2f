/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backing up a running node: what it says of itself, a snapshot that is taken for the backup and cleared after it whatever happened, its
 * schema and the topology of its cluster (docs/live.md).
 */
#ifndef SSTABLEFS_TOOLS_LIVE_H
#define SSTABLEFS_TOOLS_LIVE_H

#include "cassandra/facts.h"
#include "cassandra/snapshot.h"
#include "catalog/record.h"
#include "tools/cli.h"

struct live_options {	      /* what the user said; borrowed */
	const char *snapshot; /* one that exists, and is kept; NULL: take one */
	const char *const *data_dirs;
	size_t data_dir_count; /* 0: ask */
	const char *const *only;
	size_t only_count;
};

#define LIVE_TAG_PREFIX "sstablefs-"

/* Where notes of snapshots lie (cassandra/leftover.h). New string; NULL: out of memory. */
char *live_state_dir(void);

struct live;

/* Asks the node, and checks that what it names can be read. Nothing is changed on it. */
int live_open(struct cli *cli, const struct live_options *o, struct live **ret, struct err *e);
const struct facts *live_facts(const struct live *l);
/* Clears what crashed runs left behind, and notes what will be taken. */
int live_prepare(struct live *l, struct err *e);
/* Takes the snapshot, where none was named. */
int live_snapshot(struct live *l, const char **ret_tag, struct err *e);
/* Adds schema.cql and topology.json to the files of the backup. A schema that cannot be had is said, and is no failure. */
int live_describe(struct live *l, struct snapshot *s, struct err *e);
/* Puts what the node said into the record; names are the caller's. */
int live_record(const struct live *l, struct record *r, struct err *e);
/* Clears the snapshot that was taken, also where the command is being cancelled, and frees. Whether something could not be had, or was left behind; it was said. */
bool live_close(struct live *l);

#endif
