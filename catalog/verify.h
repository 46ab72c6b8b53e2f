/* SPDX-License-Identifier: Apache-2.0 */
/* verify: reads back and checks every byte, or a sample of the objects, against its digest, and every reference. */
#ifndef SSTABLEFS_CATALOG_VERIFY_H
#define SSTABLEFS_CATALOG_VERIFY_H

#include "catalog/find.h"
#include "catalog/meta.h"
#include "catalog/progress.h"

struct verify_finding {
	char *key;
	char *reason;
	bool missing; /* else damaged */
	char **files; /* "<cluster>/nodes/<node>/<backup>/data/…": those of the verified backups that need it, at most 1,000 */
	size_t file_count, files_more;
};

struct verify_result {
	uint64_t objects_checked, bytes_checked,
		files_checked; /* distinct objects read, metadata included; files whose content id was recomputed */
	uint64_t objects_known; /* distinct objects that the backups need */
	struct verify_finding *findings;
	size_t finding_count;
};

/*
 * Without its record a backup's files are not known: a damaged record is a finding without files.
 * With sample_percent < 100 the data objects that are not read are looked for in listings: missing ones, and ones of another length, are found all the same.
 */
struct verify_options {
	struct repo *repo;
	struct source *source;	       /* made with OBJECT_VERIFY_SHA256 */
	struct meta *meta;	       /* with no kv: nothing local is believed */
	struct record *const *records; /* COMMITTED ones */
	size_t record_count;
	const struct find_damage *damaged_records; /* of find_records with keep_damaged */
	size_t damaged_record_count;
	double sample_percent; /* 100: all; metadata is always read whole */
	unsigned jobs;	       /* not used: who fetches an object checks it */
	unsigned connections;  /* objects read at once; 0: 1 */
	uint64_t memory_bytes; /* 0: 192 MiB; as restore.h says */
	struct progress *progress;
	const struct cancel *cancel;
};

/* 0 also where damage was found: see findings, in order of keys. < 0: the store failed, or memory, or it was cancelled. Each object is read once however many files use it; each content id is recomputed from the frames' digests. */
int verify_run(const struct verify_options *o, struct verify_result **ret, struct err *e);
void verify_result_free(struct verify_result *r);
DEFINE_CLEANUP(struct verify_result *, verify_result_free);

#endif
