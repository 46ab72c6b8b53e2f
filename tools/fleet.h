/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet's backups as commands want them: surveyed, with what was seen before in the cache directory. */
#ifndef SSTABLEFS_TOOLS_FLEET_H
#define SSTABLEFS_TOOLS_FLEET_H

#include "catalog/survey.h"
#include "tools/cli.h"

/* Where the last survey of the repository that is named is kept: <cache>/survey-<hash of the URL>. New string. NULL: *e says why. */
char *fleet_path(struct cli *cli, struct err *e);
/* Reads the store. cluster and node NULL: all. */
int fleet_read(struct cli *cli, struct session *s, const char *cluster, const char *node,
	       struct survey **ret, struct err *e);
/*
 * For what concerns a node and can only be judged by looking at all nodes of its cluster: reads the cluster, or everything where it is NULL. Credentials that are confined to the node: the node alone,
 * and that is said.
 */
int fleet_look(struct cli *cli, struct session *s, const char *cluster, const char *node,
	       struct survey **ret, struct err *e);
/* Names the records that cannot be read, on stderr. Returns how many. */
size_t fleet_tell_damage(const struct cli *cli, const struct survey *s);

#endif
