/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded owners -> owners of this host: by name where the record knows one that exists here. Not shared between threads while it is built; read-only then. */
#ifndef SSTABLEFS_FS_OWNERS_H
#define SSTABLEFS_FS_OWNERS_H

#include "catalog/record.h"

struct owner_map {
	struct owner_pair {
		uint32_t recorded, local;
	} * users, *groups;
	size_t user_count, group_count, user_cap, group_cap;
};

/* Adds what this record names and the map does not know yet. Call with the newest record first. 0 or -ENOMEM. */
int owners_add(struct owner_map *m, const struct record *r);
void owners_deinit(struct owner_map *m);
uint32_t owners_user(const struct owner_map *m, uint32_t recorded);
uint32_t owners_group(const struct owner_map *m, uint32_t recorded);

#endif
