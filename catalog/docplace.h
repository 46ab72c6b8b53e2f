/* SPDX-License-Identifier: Apache-2.0 */
/* What records and pins say in the same words: names, ULIDs, and the place of a tree. Errors as in catalog/doc.h. */
#ifndef SSTABLEFS_CATALOG_DOCPLACE_H
#define SSTABLEFS_CATALOG_DOCPLACE_H

#include "catalog/doc.h"
#include "catalog/keys.h"
#include "catalog/tree.h"

void docplace_put_ulid(json_t *o, const char *key, const struct ulid *u, bool *failed);
int docplace_need_ulid(const json_t *o, const char *key, struct ulid *ret, struct err *e);
/* The name of a cluster, node or backup. */
int docplace_need_name(const json_t *o, const char *key, char out[FORMAT_NAME_BYTES + 1],
		       struct err *e);
int docplace_need_u32(const json_t *o, const char *key, uint32_t max, uint32_t *ret, struct err *e);

/* Whether such a place can be. */
bool docplace_is_fine(const struct place *p);
/* The member `key`: where a tree lies. */
void docplace_put(json_t *o, const char *key, const struct place *p, bool *failed);
int docplace_need(const json_t *o, const char *key, struct place *ret, struct err *e);

#endif
