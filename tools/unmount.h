/* SPDX-License-Identifier: Apache-2.0 */
/* Unmounting, and who is in the way of it. */
#ifndef SSTABLEFS_TOOLS_UNMOUNT_H
#define SSTABLEFS_TOOLS_UNMOUNT_H

#include "base/err.h"

/* Unmounts a mount of sstablefs and waits for its daemon's end (not where lazy). Busy: -EBUSY (ERR_CONFLICT) naming the processes. Nothing mounted there: ERR_NOT_FOUND. */
int unmount_run(const char *path, bool lazy, bool force, struct err *e);
/*
 * The other processes that have something open, mapped or as directory below one of these absolute paths (NULL at the end): "123 (cp), 456 (bash)", at most 20,
 * "" where none is seen. Goes through all processes once.
 */
void unmount_users(const char *const *directories, char *out, size_t size);

#endif
