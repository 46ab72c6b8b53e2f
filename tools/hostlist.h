/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts of a run on many: of a file, or of the running cluster. */
#ifndef SSTABLEFS_TOOLS_HOSTLIST_H
#define SSTABLEFS_TOOLS_HOSTLIST_H

#include "tools/lead.h"

#define HOSTLIST_MAX 16384

struct hostlist {
	struct lead_host *nodes; /* only host is set */
	size_t count, cap;
};

/* A host on each line, each once; '#' begins a comment. ERR_USAGE naming the line; ERR_NOT_FOUND: no such file. */
int hostlist_read(struct hostlist *l, const char *path, struct err *e);
/* Every node that nodetool knows, by its address, but those that are joining. */
int hostlist_ask(struct hostlist *l, struct cli *cli, struct err *e);
void hostlist_deinit(struct hostlist *l);

#endif
