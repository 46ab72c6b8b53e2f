/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup, from the files of a snapshot to a COMMITTED record: W1 to W5 of ARCHITECTURE.md section 4, in that order.
 */
#ifndef SSTABLEFS_CATALOG_BACKUP_H
#define SSTABLEFS_CATALOG_BACKUP_H

#include "base/log.h"
#include "cache/kv.h"
#include "cassandra/snapshot.h"
#include "catalog/hints.h"
#include "catalog/progress.h"
#include "catalog/repo.h"

struct backup_options {
	struct repo *repo;
	struct record *
		record; /* borrowed template: backup, where, node facts; state, nonce, times, counts, root are filled here */
	const struct snapshot *snapshot;
	struct kv *kv;	     /* local cache of metadata and the probe's result; NULL: none */
	struct hints *hints; /* of what earlier backups read; NULL: every file is read */
	const char *
		server; /* names the store for the probe's memory: its URL without credentials; may be NULL */
	unsigned jobs;	      /* hashing threads, >= 1 */
	unsigned connections; /* uploads at once, >= 1 */
	uint64_t memory_bytes;
	bool takeover; /* the node name's earlier backups have another host id */
	bool any_name; /* no name was asked for: an own interrupted backup is continued under its name */
	const char *alive_dir;	     /* catalog/alive.h; NULL: no local state */
	bool dry_run;		     /* reads and compares, writes nothing to the store */
	uint64_t copy_forward_bytes; /* 0: DECAY_RUN_BYTES (catalog/decay.h) */
	int64_t renew_ms;	     /* W4; 0: 120,000 */
	int64_t renew_limit_ms;	     /* the last success is too long ago; 0: 900,000 */
	int64_t greatest_age_ms;     /* 0: 7 days */
	struct progress *progress;   /* may be NULL */
	struct log *log;	     /* may be NULL */
	const struct cancel *cancel;
};

struct backup_result {
	struct record
		*record; /* as committed (or as it would be: dry run); to be freed by the caller */
	uint64_t uploaded_objects;
	bool resumed;		/* an interrupted backup was continued */
	uint64_t resumed_bytes; /* of the record's new bytes: how many had been stored before that */
};

/*
 * An own interrupted backup of that name is continued (catalog/resume.h), which is logged; then the record's name may be another than that of the template (any_name).
 *
 * 0: committed. Failures that a caller tells apart: ERR_CONFLICT (name taken; another data directory holds other bytes at the same path; fenced), ERR_USAGE (host id
 * differs: takeover), -ECANCELED, ERR_IO naming a file that changed or vanished while it was read (nothing is committed). The own record is withdrawn (ABORTED),
 * where the store still answers; but where the store or its credentials failed after something was stored it stays OPEN, to be continued. An outcome of W5 that stays unknown: outcome_unknown in *e.
 */
int backup_run(const struct backup_options *o, struct backup_result *ret, struct err *e);

#endif
