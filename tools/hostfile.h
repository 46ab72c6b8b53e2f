/* SPDX-License-Identifier: Apache-2.0 */
/* A file that names hosts, one entry on each line. */
#ifndef SSTABLEFS_TOOLS_HOSTFILE_H
#define SSTABLEFS_TOOLS_HOSTFILE_H

#include "base/err.h"

/* An entry without its comment ('#' and what follows) and the blanks around it; never empty. It may be changed, and is gone afterwards. */
typedef int hostfile_fn(void *ctx, char *entry, struct err *e);
/* Every entry in its order, until fn fails: *e then names the line too. ERR_NOT_FOUND: no such file. ERR_USAGE: it cannot be read, or has no entry. */
int hostfile_read(const char *path, hostfile_fn *fn, void *ctx, struct err *e);
/* Cuts the blanks around it. */
char *hostfile_strip(char *text);

#endif
