/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backups there are, and which one a name means (CLI.md, "Every command that names a backup").
 */
#ifndef SSTABLEFS_CATALOG_FIND_H
#define SSTABLEFS_CATALOG_FIND_H

#include "catalog/meta.h"

struct find_options {
	const char *cluster; /* NULL: all */
	const char *node;    /* NULL: all */
	const char *backup;  /* NULL: all */
	bool all_states;     /* also ABORTED and DELETED records; else OPEN and COMMITTED */
	bool keep_damaged; /* a record that is damaged, or of a newer format, is told in found.damaged, and the search goes on */
	bool roots_only; /* the records are trimmed (record_trim): many of them take little memory */
	unsigned threads; /* records fetched at once; 0: 8 */
};

struct find_damage {
	char *key;
	char *reason;
};

struct found {
	struct record **records; /* sorted: newest first by (store time, writer) */
	char (*etags)[STORE_ETAG_MAX];
	size_t count;
	struct find_damage *damaged; /* in order of keys */
	size_t damaged_count;
};

/* Lists and reads (through meta). Nothing found is no error: count 0. A record that cannot be read: fails with its key. */
int find_records(struct meta *m, struct repo *r, const struct find_options *o, struct found **ret,
		 const struct cancel *c, struct err *e);
void found_free(struct found *f);
DEFINE_CLEANUP(struct found *, found_free);

/*
 * The one COMMITTED record that a command on one node means: the cluster must be unambiguous (else -EINVAL ERR_USAGE, naming them); without `node`,
 * default_node where it holds the backup, else the only node that does, else ERR_USAGE naming them. Nothing: -ENOENT ERR_NOT_FOUND. The record is newly owned.
 */
int find_one(struct meta *m, struct repo *r, const char *cluster, const char *node,
	     const char *backup, const char *default_node, struct record **ret,
	     const struct cancel *c, struct err *e);

#endif
