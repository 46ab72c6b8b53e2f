/* SPDX-License-Identifier: Apache-2.0 */
/* W2b of ARCHITECTURE.md section 4: what the node's committed backups hold, read after the condemned lists, newest backup first. */
#ifndef SSTABLEFS_CATALOG_SOURCES_H
#define SSTABLEFS_CATALOG_SOURCES_H

#include "base/log.h"
#include "catalog/condemned.h"
#include "catalog/decay.h"
#include "catalog/known.h"
#include "catalog/meta.h"

struct sources_options {
	struct repo *repo;
	struct meta *meta;
	const struct condemned *condemned;
	const struct record *own; /* the backup that is being made */
	unsigned connections;	  /* requests at once */
	struct decay *decay;	  /* how much of each pack is live; may be NULL */
	bool takeover;		  /* do not mind another host id or cluster */
	struct log *log;	  /* damage is said here; may be NULL */
};

/*
 * Fills `k` with what no condemned list names. A record whose trees are gone, and that a second GET does not find COMMITTED, is no source: nothing of it stays in
 * `k`. A record that only a newer version can read is none either. ERR_USAGE: the newest backup that knows its host id, or its cluster's
 * original name, has another one. What is damaged or missing is no source either and is logged: an old backup that cannot be read must not keep
 * new ones from being made.
 */
int sources_load(const struct sources_options *o, struct known *k, const struct cancel *c,
		 struct err *e);

#endif
