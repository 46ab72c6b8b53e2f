/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going to the background only when all is well: the parent waits until the child says how it went, and prints what it says. What the
 * child opens (threads, LMDB, connections) it opens itself: nothing of that survives a fork.
 */
#ifndef SSTABLEFS_TOOLS_DAEMON_H
#define SSTABLEFS_TOOLS_DAEMON_H

#include "base/err.h"

struct daemon_link {
	int fd; /* child: where to say it; -1 in the foreground */
};

/* Forks. In the parent: waits, fills *e from the child's failure, and returns 1 (success) or < 0. In the child: 0. */
int daemon_begin(struct daemon_link *link, struct err *e);
/* Child: all is well; lets go of the terminal and of the parent. */
void daemon_ready(struct daemon_link *link);
/* Child: it failed, with this error. */
void daemon_failed(struct daemon_link *link, const struct err *e);

/* Tells systemd that a service is ready or stopping ("READY=1", "STOPPING=1"); nothing where it did not start us. */
void daemon_notify(const char *state);

#endif
