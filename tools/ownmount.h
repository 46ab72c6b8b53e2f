/* SPDX-License-Identifier: Apache-2.0 */
/* The repository mounted for the use of one command, by a process of its own (this program's `mount`). */
#ifndef SSTABLEFS_TOOLS_OWNMOUNT_H
#define SSTABLEFS_TOOLS_OWNMOUNT_H

#include "tools/cli.h"

/* The value of a mount option as -o takes it. New string; NULL: out of memory. */
char *ownmount_escaped(const char *value);
/* Mounts `url` with these options, and returns when the mount is ready. What the other process says of its failure is in *e, with its kind. */
int ownmount_start(struct cli *cli, const char *url, const char *mountpoint, const char *options,
		   struct err *e);
/*
 * Unmounts it, or what a killed process left of it, and waits for its daemon's end, half a minute at most: one that lives on then is logged, and no error. Whoever reads there still gets errors: the
 * connection is aborted. Nothing mounted there is no error.
 */
int ownmount_end(const struct cli *cli, const char *mountpoint, struct err *e);

#endif
