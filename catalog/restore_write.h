/* SPDX-License-Identifier: Apache-2.0 */
/* The second of restore's two walks: what is not there yet is fetched and written, some hundred thousand files at a time. */
#ifndef SSTABLEFS_CATALOG_RESTORE_WRITE_H
#define SSTABLEFS_CATALOG_RESTORE_WRITE_H

#include "catalog/restore_check.h"
#include "catalog/restore_dirs.h"

int restore_write_run(const struct restore_options *o, const struct restore_attr *a,
		      const struct restore_target *t, struct restore_dirs *dirs,
		      const struct restore_check *k, struct restore_result *result, struct err *e);

#endif
