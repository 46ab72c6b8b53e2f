/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the operator that are run before and after each phase of a backup or a restore: before_PHASE and after_PHASE below [hooks] of the configuration
 * (sstablefs.conf(5)). A hook is one program: no shell, no arguments, and an
 * environment that holds PATH, HOME, the locale, and what the hook is about; nothing of ours that may be a secret.
 */
#ifndef SSTABLEFS_TOOLS_HOOKS_H
#define SSTABLEFS_TOOLS_HOOKS_H

#include "tools/cli.h"

struct hooks_about {	   /* borrowed; "" = not known yet */
	const char *phase; /* "snapshot", "upload" */
	const char *cluster, *node, *backup;
};

/* That what is configured for these phases (NULL at the end) can be run, before anything is begun. ERR_USAGE naming the key. */
int hooks_check(const struct cli *cli, const char *const *phases, struct err *e);
/* 0, also where none is configured. A hook that cannot be run, fails or does not end in time: ERR_IO with what it said. */
int hooks_before(struct cli *cli, const struct hooks_about *a, struct err *e);
/* After the phase ended with r, also when the command is being stopped. Where r < 0 a hook that fails is only said, and r is returned. */
int hooks_after(struct cli *cli, const struct hooks_about *a, int r, struct err *e);
/* Calls fn for every hook that is configured: its key, its program, and why it cannot be run (NULL: it can). For doctor. */
void hooks_each(const struct cli *cli,
		void (*fn)(void *ctx, const char *key, const char *program, const struct err *why),
		void *ctx);

#endif
