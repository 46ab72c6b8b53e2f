/* SPDX-License-Identifier: Apache-2.0 */
/* What the tree tells the kernel to forget. Called from threads that serve no request and hold no lock. */
#ifndef SSTABLEFS_FS_NOTIFY_H
#define SSTABLEFS_FS_NOTIFY_H

#include <stdint.h>

struct notify {
	void (*entry)(void *ctx, uint64_t parent_ino,
		      const char *name);	     /* a name, existing or not */
	void (*attributes)(void *ctx, uint64_t ino); /* attributes only: pages stay */
	void *ctx;
};

#endif
