/* SPDX-License-Identifier: Apache-2.0 */
/* The first of restore's two walks: what of the backup is there already, and what is in the way. Nothing is changed. */
#ifndef SSTABLEFS_CATALOG_RESTORE_CHECK_H
#define SSTABLEFS_CATALOG_RESTORE_CHECK_H

#include "catalog/restore_target.h"

struct restore_check {
	uint64_t file_count, total_bytes;
	uint64_t kept_files, kept_bytes; /* there, with the same content */
	uint64_t conflicts;		 /* there, with other content */
	char *first_conflict;
	uint8_t *kept; /* a bit for each file of the walk, by ordinal */
	size_t kept_cap;
	uint64_t *need_bytes; /* for each root: of what is to be written */
	bool *use;	      /* for each root: something goes there */
};

void restore_check_deinit(struct restore_check *k);
/* *k is all zero. Where other content is in the way it is counted and logged; unless o->overwrite: -EEXIST (ERR_CONFLICT). */
int restore_check_run(const struct restore_options *o, const struct restore_target *t,
		      struct restore_check *k, struct err *e);
static inline bool restore_check_kept(const struct restore_check *k, uint64_t ordinal)
{
	return ordinal / 8 < k->kept_cap && (k->kept[ordinal / 8] >> (ordinal % 8) & 1);
}

#endif
