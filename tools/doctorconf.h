/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration says, value by value, each as the commands that go by it read it; for doctor. */
#ifndef SSTABLEFS_TOOLS_DOCTORCONF_H
#define SSTABLEFS_TOOLS_DOCTORCONF_H

#include "tools/cli.h"

/* Calls fn with what is wrong: of each part of the configuration the first thing. How many there were. */
unsigned doctorconf_check(struct cli *cli, void (*fn)(void *ctx, const char *text), void *ctx);
/* Programs and files of [cassandra] and [ssh] that are named and cannot be had; the same. */
unsigned doctorconf_find(struct cli *cli, void (*fn)(void *ctx, const char *text), void *ctx);

#endif
