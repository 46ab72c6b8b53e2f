/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the directory store share. Private to store/dir*.c. */
#ifndef SSTABLEFS_STORE_DIRCTX_H
#define SSTABLEFS_STORE_DIRCTX_H

#include <stdatomic.h>
#include "base/clock.h"
#include "store/store.h"

struct dirpath;

struct dirctx {
	int root_fd;
	char *path; /* for messages */
	const struct clock *clock;
	struct dirpath *paths;
	_Atomic int64_t last_ns; /* the newest time given to a file by this process */
};

#endif
