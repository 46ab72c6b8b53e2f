/* SPDX-License-Identifier: Apache-2.0 */
/* What the tree tells the kernel to forget. Called from threads that serve no request and hold no lock. */
#ifndef SSTABLEFS_FS_NOTIFY_H
#define SSTABLEFS_FS_NOTIFY_H

#include <stdint.h>
#include "base/ulid.h"

struct notify {
	void (*entry)(void *ctx, uint64_t parent_ino,
		      const char *name);	     /* a name, existing or not */
	void (*attributes)(void *ctx, uint64_t ino); /* attributes only: pages stay */
	/* A backup is no longer shown: what was changed in it in this mount goes too. */
	void (*removed)(void *ctx, const struct ulid *writer);
	void *ctx;
};

#endif
