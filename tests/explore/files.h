/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that are backed up: a few small snapshots on disk that share content, made once for each process, and what must come back.
 */
#ifndef SSTABLEFS_TESTS_FILES_H
#define SSTABLEFS_TESTS_FILES_H

#include "cassandra/snapshot.h"
#include "catalog/meta.h"

enum files_kind { FILES_B1, FILES_B2, FILES_W1, FILES_W2, FILES_KINDS };

struct file_wanted {
	char path[160]; /* below the backup */
	uint8_t *data;
	size_t len;
};

struct files {
	const char *name;
	struct snapshot *snapshot;
	struct file_wanted wanted[8];
	size_t count;
};

/* Below a new directory; ends the process where it cannot. */
const struct files *files_make(void);
void files_remove(void);

/* Whether all of what lies below a root is what was backed up: 0, or < 0 with what is wrong. */
int files_compare(const struct files *f, struct meta *m, struct source *s,
		  const struct node_name *n, const struct place *root, struct err *e);

#endif
