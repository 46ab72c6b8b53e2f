/* SPDX-License-Identifier: Apache-2.0 */
/* Which cluster a command means when none was named, and times as JSON. */
#ifndef SSTABLEFS_TOOLS_NAMES_H
#define SSTABLEFS_TOOLS_NAMES_H

#include "tools/cli.h"

/* "open", "committed", … as scripts and people see it. */
const char *names_state(enum record_state s);
/* RFC 3339, or null where the time is 0. A new reference. */
json_t *names_json_time(int64_t wall_ns);
/*
 * For commands that mean every node of a cluster: all records found must be of one cluster, unless one was named; else ERR_USAGE naming
 * them. A backup that was named and not found: ERR_NOT_FOUND.
 */
int names_one_cluster(const struct found *f, const char *cluster, const char *backup,
		      struct err *e);
/* That the cluster and the node that were named (--cluster, --node) are there, with or without a backup: 0, or ERR_NOT_FOUND. Asks for nothing above what was named. */
int names_check_scope(struct cli *cli, struct session *s, const struct common *c, struct err *e);
/* The error of it. */
int names_no_scope(const char *cluster, const char *node, struct err *e);
/* The one backup that a command on one node means; see find_one. */
int names_find_one(struct cli *cli, struct session *s, const struct common *c, const char *backup,
		   struct record **ret, struct err *e);

/* That [cassandra] cluster and node are names. ERR_USAGE. */
int names_check_config(const struct cli *cli, struct err *e);

#endif
