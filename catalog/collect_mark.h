/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys the roots of a node reach: COMMITTED records and HELD pins. Internal to catalog/collect*.c. */
#ifndef SSTABLEFS_CATALOG_COLLECT_MARK_H
#define SSTABLEFS_CATALOG_COLLECT_MARK_H

#include "catalog/collect_keys.h"
#include "catalog/collect_view.h"

/* Sets `reached` of what is reached. A root that cannot be read, and that is still one when it is read again, is noted, and blocks. */
int collect_mark(struct collect *c, const struct collect_view *v, struct collect_keys *k,
		 struct err *e);

#endif
