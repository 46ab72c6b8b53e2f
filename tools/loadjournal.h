/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What restore-cluster has loaded already, so that the same command goes on after the last table that was: a directory of its own for each backup and target, below the local state.
 *
 *     <cache>/restore-cluster/<id>/lock       held by the process that works
 *     <cache>/restore-cluster/<id>/loaded     a line for each table and source that is loaded, durable before the next one is begun
 *     <cache>/restore-cluster/<id>/mounts/    a mount for each source, while something of it is loaded
 *     <cache>/restore-cluster/<id>/logs/      and its log
 *
 * It goes when all is loaded: the next run of the same command begins anew. One thread.
 */
#ifndef SSTABLEFS_TOOLS_LOADJOURNAL_H
#define SSTABLEFS_TOOLS_LOADJOURNAL_H

#include "tools/cli.h"

struct loadjournal;

/* Makes and locks it, and reads what is there; a line that was not written to its end is none. -EBUSY (ERR_CONFLICT): another process works on it. */
int loadjournal_open(const char *cache_dir, const char *id, struct loadjournal **ret,
		     struct err *e);
void loadjournal_free(struct loadjournal *j); /* closes it; what was written stays */
DEFINE_CLEANUP(struct loadjournal *, loadjournal_free);

const char *loadjournal_directory(const struct loadjournal *j);
/* `table`: "KS.TABLE" where it is loaded; `from`: which files. Neither holds a blank. */
bool loadjournal_has(const struct loadjournal *j, const char *table, const char *from);
int loadjournal_add(struct loadjournal *j, const char *table, const char *from, struct err *e);
/* Forgets what was loaded into this table; NULL: into all. Durable when it returns. */
int loadjournal_forget(struct loadjournal *j, const char *table, struct err *e);
/* Removes the directory. Nothing may be mounted in it. */
int loadjournal_end(struct loadjournal *j, struct err *e);

#endif
