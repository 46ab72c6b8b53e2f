/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify --repair: data objects that are damaged or missing are written again, out of what is left of them and of local files (docs/verify.md, "Repair").
 *
 * A key holds one content for ever, and its id proves it: only bytes that are proven to be that content are written, over what is damaged by If-Match of what was read,
 * else If-None-Match. A key is only written while a COMMITTED backup that reaches it is pinned by us, and while no condemned list, read after the pin was laid, names it: so no
 * collector deletes it meanwhile, and none is being deceived. What was written is read back.
 */
#ifndef SSTABLEFS_CATALOG_REPAIR_H
#define SSTABLEFS_CATALOG_REPAIR_H

#include "base/log.h"
#include "catalog/verify.h"

struct repair_options {	       /* all borrowed */
	struct repo *repo;     /* opened with REPO_WRITE */
	struct source *source; /* made with OBJECT_VERIFY_SHA256 */
	struct meta *meta;
	const char *const *data_dirs; /* where local files are looked for */
	size_t data_dir_count;
	struct log *log; /* may be NULL */
	const struct cancel *cancel;
};

/* Sets `repaired`, or `unrepaired` and why, of each finding. 0 also where nothing could be repaired; < 0: the store failed, no memory, or cancelled: what was repaired until then stays so. */
int repair_run(const struct repair_options *o, struct verify_result *found, struct err *e);

#endif
