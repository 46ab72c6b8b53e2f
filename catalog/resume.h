/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An own backup that was interrupted is continued (ARCHITECTURE.md section 4): its OPEN record is found, and taken over by compare-and-swap with a new nonce
 * before anything is uploaded. Should the first process still live, its next renewal or its commit fails.
 *
 * Own is a record of the same cluster, node and host id whose writer is dead: it was killed on this machine (catalog/alive.h), or has not renewed its record for so
 * long, by the store's clock, that it has stopped by itself.
 */
#ifndef SSTABLEFS_CATALOG_RESUME_H
#define SSTABLEFS_CATALOG_RESUME_H

#include "catalog/alive.h"
#include "catalog/register.h"

struct resume_options {
	struct repo *repo;
	const struct record *own; /* the backup that is to be made: name, node, host id, cluster */
	bool any_name;		  /* no name was asked for: any own one will do */
	int64_t young_ms; /* one that was begun longer ago, by the store's clock, is left alone */
	int64_t dead_ms;  /* as in claim.h */
	const char *alive_dir; /* NULL: no local state */
};

struct resume_found {
	struct record *record; /* as read */
	char etag[STORE_ETAG_MAX];
	int64_t now_ns;	     /* the store's time when it was read; 0: not known */
	struct alive *alive; /* may be NULL */
};

enum { RESUME_FOUND = 1 };

/*
 * The newest own unfinished backup: RESUME_FOUND, *ret to be given to resume_deinit. 0: there is none, or nobody can say that it is dead. ERR_CONFLICT, -EBUSY: the name was asked
 * for, and a process of this machine is writing it.
 */
int resume_find(const struct resume_options *o, struct resume_found *ret, const struct cancel *c,
		struct err *e);
void resume_deinit(struct resume_found *f); /* what was taken out of it must be NULL */
/*
 * Makes `own`, the template of the backup, the record that was found: its writer, name, begin and number; g becomes its register and writes it. 0; REG_LOST: another process was
 * quicker, or the record was ended; < 0.
 */
int resume_take_over(const struct resume_found *f, struct record *own, struct reg *g,
		     const struct cancel *c, struct err *e);

#endif
