/* SPDX-License-Identifier: Apache-2.0 */
/* What a backup's record says of its files: owners, SSTable versions, how much of each pack is used. One thread. */
#ifndef SSTABLEFS_CATALOG_ACCOUNT_H
#define SSTABLEFS_CATALOG_ACCOUNT_H

#include "catalog/known.h"
#include "catalog/record.h"

struct account;
struct account *account_new(void); /* NULL: out of memory */
void account_free(struct account *a);
DEFINE_CLEANUP(struct account *, account_free);

/* Each 0 or -ENOMEM. */
int account_owner(struct account *a, uint32_t uid, uint32_t gid);
int account_file_name(struct account *a, const char *name);
/* Counts each content once, and of its pieces those that do not fill an object by themselves. */
int account_content(struct account *a, struct content *c);

/* Moves everything into the record, in place of what it held; looks owners' names up. 0 or < 0. */
int account_finish(struct account *a, struct record *r, struct err *e);

#endif
