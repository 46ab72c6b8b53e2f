/* SPDX-License-Identifier: Apache-2.0 */
/* Mode, owner and times of what restore writes. Owners go by name: who had that name on the node, and whose id that name is here. Any thread. */
#ifndef SSTABLEFS_CATALOG_RESTORE_ATTR_H
#define SSTABLEFS_CATALOG_RESTORE_ATTR_H

#include <sys/stat.h>
#include "catalog/restore.h"

struct restore_attr;

/* Owner, numeric_ids and the record's owners, which are looked up in this system, of `o`. Where we are not root, owners are left as they come. */
int restore_attr_new(const struct restore_options *o, struct restore_attr **ret, struct err *e);
void restore_attr_free(struct restore_attr *a);
DEFINE_CLEANUP(struct restore_attr *, restore_attr_free);

/*
 * What a file gets of its attributes: all but set-user-id and set-group-id. No file of Cassandra has them, and a program that is root's here would be the present of
 * whoever can write to the bucket. (Of a directory set-group-id only says whose its files are.)
 */
struct attributes restore_attr_of_file(const struct attributes *attr);
/* Owner, mode and mtime of an open file or directory. Where the owner cannot be set, set-user-id and set-group-id bits are not set either. 0 or -errno. */
int restore_attr_apply(const struct restore_attr *a, int fd, const struct attributes *attr);
/* Owner and mode only. */
int restore_attr_own(const struct restore_attr *a, int fd, const struct attributes *attr);
/* Whether owner and mode are as restore_attr_own leaves them; and the mtime too. */
bool restore_attr_owned(const struct restore_attr *a, const struct stat *st,
			const struct attributes *attr);
bool restore_attr_equal(const struct restore_attr *a, const struct stat *st,
			const struct attributes *attr);

#endif
