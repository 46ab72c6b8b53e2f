/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clean-close mark: a small file that says what another file was like when it was closed (its size and a digest of all its bytes). While
 * the file is in use there is no mark. So a file that was torn, garbled or left by a crash is told from a good one before anybody maps it.
 */
#ifndef SSTABLEFS_CACHE_MARK_H
#define SSTABLEFS_CACHE_MARK_H

#include "base/err.h"

enum { MARK_UNFIT = 1 };

/* Writes the mark of `file`, both below dir_fd: atomically and durably. */
int mark_write(int dir_fd, const char *mark, const char *file, struct err *e);

/*
 * Removes the mark, durably, and says whether it fitted: 0, or MARK_UNFIT with the reason in *ret_why (a constant; NULL where there is
 * neither file nor mark). A file of more than max_bytes does not fit. < 0: the mark could not be removed; the file must not be used then.
 */
int mark_take(int dir_fd, const char *mark, const char *file, uint64_t max_bytes,
	      const char **ret_why, struct err *e);

#endif
