/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's side of backup-cluster (docs/cluster.md): `backup --coordinated` says on standard output how far it is, and goes on when the
 * coordinator lets it, by words on standard input. An input that ends, or on which nothing is heard for two minutes, means that
 * the coordinator or the connection is gone: the command is cancelled, so that its snapshot is cleared.
 */
#ifndef SSTABLEFS_TOOLS_FOLLOW_H
#define SSTABLEFS_TOOLS_FOLLOW_H

#include "cassandra/facts.h"
#include "tools/cli.h"

#define FOLLOW_PROTOCOL 1
/* What the coordinator says. */
#define FOLLOW_WORD_SNAPSHOT "snapshot"
#define FOLLOW_WORD_UPLOAD "upload"
#define FOLLOW_WORD_WAIT "wait" /* it is there */

enum follow_step { FOLLOW_SNAPSHOT = 1, FOLLOW_UPLOAD };

struct follow;

/* Listens from now on, and makes a signal's cancel of an end of the input. */
int follow_start(struct cli *cli, struct follow **ret, struct err *e);
void follow_stop(struct follow *f);
DEFINE_CLEANUP(struct follow *, follow_stop);

struct follow_ready { /* borrowed */
	const char *cluster, *node, *repository;
	bool exists; /* a backup of that name is there */
	const struct facts *facts;
};
/* Everything that can be checked before the snapshot is right. */
int follow_ready(const struct follow_ready *r, struct err *e);
/* The snapshot is there. */
int follow_taken(struct err *e);
/* Until the coordinator lets us take that step. -ECANCELED. */
int follow_wait(struct follow *f, enum follow_step step, struct err *e);

#endif
