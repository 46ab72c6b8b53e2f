/* SPDX-License-Identifier: Apache-2.0 */
/* Small files beside the data of a backup (schema.cql, topology.json), whole and in memory. */
#ifndef SSTABLEFS_CATALOG_WHOLEFILE_H
#define SSTABLEFS_CATALOG_WHOLEFILE_H

#include "catalog/meta.h"
#include "catalog/record.h"

/* The content id of the file `name` at the top of a backup, without reading it. > 0: WHOLEFILE_NONE, the backup has no such file. */
enum { WHOLEFILE_NONE = 1 };
int wholefile_id(struct meta *m, const struct record *rec, const char *name, struct id256 *ret,
		 const struct cancel *c, struct err *e);
/* Its bytes and a NUL behind them, newly allocated. > 0: WHOLEFILE_NONE. -EBADMSG (ERR_CORRUPT): damaged, or larger than max_bytes. */
int wholefile_read(struct meta *m, struct source *s, const struct record *rec, const char *name,
		   size_t max_bytes, char **ret, size_t *ret_len, const struct cancel *c,
		   struct err *e);

#endif
