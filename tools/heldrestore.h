/* SPDX-License-Identifier: Apache-2.0 */
/* A backup is pinned while restore and restore-node need it. */
#ifndef SSTABLEFS_TOOLS_HELDRESTORE_H
#define SSTABLEFS_TOOLS_HELDRESTORE_H

#include "catalog/restore.h"
#include "tools/cli.h"

struct heldrestore;

/*
 * Of `o` the repository and the record count. A pin that cannot be had is warned of; with `must` it is a failure, but for a store that lets us write nothing: whoever may only read has
 * no pin ever. One that is lost cancels the command. -ENOENT: the backup is not there any more.
 */
int heldrestore_begin(struct cli *cli, const struct restore_options *o, bool must,
		      struct heldrestore **ret, struct err *e);
/* What r, of something that was done meanwhile, is to be: -EIO, and why, where it failed because the pin was lost. NULL is fine: r. */
int heldrestore_explain(struct heldrestore *h, int r, struct err *e);
void heldrestore_end(struct heldrestore *h);
DEFINE_CLEANUP(struct heldrestore *, heldrestore_end);

#endif
