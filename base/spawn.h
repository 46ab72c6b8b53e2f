/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts another program: no shell, a session and process group of its own (so no terminal: it can ask nobody for a password), none of our
 * descriptors, default signals. process.h runs one to its end; who talks to a program that runs on uses this.
 */
#ifndef SSTABLEFS_BASE_SPAWN_H
#define SSTABLEFS_BASE_SPAWN_H

#include <sys/types.h>

struct spawn_options {
	char *const *words; /* the program, found through PATH, and its arguments; NULL at the end */
	/* NULL: ours, but for what holds or hands out the store's keys (AWS_…), which no other program has a use for. Who wants these as well names environ. */
	char *const *environment;
	int in, out, errors; /* borrowed; -1: nowhere */
};

/* 0 and its id, which is its group's as well; -errno. The caller waits for it (waitpid). */
int spawn_start(const struct spawn_options *o, pid_t *ret);

#endif
