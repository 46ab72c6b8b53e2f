/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample leaves out is at least looked for: the objects of a plan that were not read must be listed, with the length that they should have. */
#ifndef SSTABLEFS_CATALOG_VERIFY_LIST_H
#define SSTABLEFS_CATALOG_VERIFY_LIST_H

#include "catalog/verify_objects.h"

/* Findings for those of the plan's objects that were not checked whole. < 0: the store failed. */
int verify_list_run(struct verify_objects *v, const struct plan *p, struct err *e);

#endif
