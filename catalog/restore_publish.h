/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How restored files come to their final names: a thread of its own gathers what is finished into batches; for each batch one syncfs makes all of it durable, then come the renames.
 * The first batches are small (an interrupted restore has something to go on from), later ones large.
 */
#ifndef SSTABLEFS_CATALOG_RESTORE_PUBLISH_H
#define SSTABLEFS_CATALOG_RESTORE_PUBLISH_H

#include "catalog/plan.h"
#include "catalog/restore_dirs.h"

#define RESTORE_STAGED_NAME 20 /* bytes of a name in staging, with the NUL */

struct restore_publish;

/* Borrows all; the plan's files do not change while it lives. plan_file.tag: the directory (restore_dirs_add). */
int restore_publish_new(const struct restore_options *o, const struct restore_target *t,
			struct restore_dirs *dirs, const struct plan *p,
			struct restore_publish **ret, struct err *e);
/* File i of the plan is complete in staging, with its attributes. Any thread. < 0: a batch before failed, with its error. */
int restore_publish_add(struct restore_publish *b, uint32_t file, struct err *e);
/* Ends the thread and frees. flush: what was added is published first. Returns the first failure. */
int restore_publish_close(struct restore_publish *b, bool flush, struct err *e);

char *restore_publish_name(char out[RESTORE_STAGED_NAME], uint64_t ordinal);

#endif
