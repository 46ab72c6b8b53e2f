/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounting. */
#ifndef SSTABLEFS_TOOLS_UNMOUNT_H
#define SSTABLEFS_TOOLS_UNMOUNT_H

#include "base/err.h"

/* Unmounts a mount of sstablefs and waits for its daemon's end (not where lazy). Busy: -EBUSY (ERR_CONFLICT) naming the processes. Nothing mounted there: ERR_NOT_FOUND. */
int unmount_run(const char *path, bool lazy, bool force, struct err *e);

#endif
