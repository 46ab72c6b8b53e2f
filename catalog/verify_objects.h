/* SPDX-License-Identifier: Apache-2.0 */
/* The data objects of a plan: read, checked frame by frame, and the content ids of the plan's files recomputed from the frames' digests. */
#ifndef SSTABLEFS_CATALOG_VERIFY_OBJECTS_H
#define SSTABLEFS_CATALOG_VERIFY_OBJECTS_H

#include "catalog/fetchbuf.h"
#include "catalog/plan.h"
#include "catalog/seen.h"
#include "catalog/verify_find.h"

struct verify_objects {
	const struct verify_options *o;
	struct verify_find *find;
	struct fetchbuf *buffers;
	unsigned threads;
	struct seen met; /* objects of earlier plans of the node and of this one */
	uint64_t objects_checked, bytes_checked, files_checked, objects_known, objects_continued;
};

/* Works off what is in the plan. < 0: the store failed. */
int verify_objects_run(struct verify_objects *v, const struct plan *p, struct err *e);

#endif
