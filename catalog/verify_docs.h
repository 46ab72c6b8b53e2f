/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies beside the backups of a node and decides what is deleted: pins, lists of keys that await deletion, and whom these wait for. A damaged one stops every gc of the
 * node, so verify names it. And what no backup needs: a dry run of the collector counts it, where everything is verified.
 */
#ifndef SSTABLEFS_CATALOG_VERIFY_DOCS_H
#define SSTABLEFS_CATALOG_VERIFY_DOCS_H

#include "catalog/verify_find.h"

/* Fills documents_checked, unreferenced_… and foreign_count of *ret. What is gone between LIST and GET is no finding. < 0: the store failed. */
int verify_docs_run(const struct verify_options *o, struct verify_find *f,
		    struct verify_result *ret, struct err *e);

#endif
