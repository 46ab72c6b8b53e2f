/* SPDX-License-Identifier: Apache-2.0 */
/* verify: reads back and checks every byte, or a sample of the objects, against its digest, and every reference. */
#ifndef SSTABLEFS_CATALOG_VERIFY_H
#define SSTABLEFS_CATALOG_VERIFY_H

#include "catalog/find.h"
#include "catalog/meta.h"
#include "catalog/progress.h"
#include "catalog/verify_state.h"

struct verify_finding {
	char *key;
	char *reason;
	bool missing; /* else damaged */
	char **files; /* "<cluster>/nodes/<node>/<backup>/data/…": those of the verified backups that need it; what ends in '/' is a whole directory, or backup */
	size_t file_count,
		files_more; /* more: those for whose names there was no memory (an eighth of memory_bytes, all findings together; one name each in any case) */
	bool is_object; /* a data object (`ref`, of node `where`); else a document, tree, run, or a content id that is wrong */
	struct object_ref ref;
	struct node_name where;
	bool repaired;	  /* by repair_run */
	char *unrepaired; /* why not; NULL: nobody tried */
};

struct verify_result {
	uint64_t objects_checked, bytes_checked,
		files_checked; /* distinct objects read, metadata included; files whose content id was recomputed */
	uint64_t objects_known;	    /* distinct objects that the backups need */
	uint64_t objects_continued; /* of them, those that the run that was continued had read */
	uint64_t documents_checked; /* pins, and lists of what awaits deletion */
	uint64_t unreferenced_objects,
		unreferenced_bytes; /* that no backup needs and gc --full would free; only counted with all_nodes and no slices */
	uint64_t awaiting_objects; /* likewise: on lists of what awaits deletion */
	uint64_t foreign_count;	   /* likewise: keys that are not ours */
	size_t gone_count; /* backups that were deleted while they were verified: what was missing of them is no finding */
	struct verify_finding *findings;
	size_t finding_count;
};

/*
 * Without its record a backup's files are not known: a damaged record is a finding with the backup's directory.
 * With slices > 1 the data objects that are not read are looked for in listings: missing ones, and ones of another length, are found all the same. Contents whose ids
 * are recomputed are divided among the slices by those ids; for them the heads of objects of other slices are read.
 */
struct verify_options {
	struct repo *repo;
	struct source *source;	       /* made with OBJECT_VERIFY_SHA256 */
	struct meta *meta;	       /* with no kv: nothing local is believed */
	struct record *const *records; /* COMMITTED ones, node by node; trimmed is enough */
	size_t record_count;
	const struct find_damage *damaged_records; /* of find_records with keep_damaged */
	size_t damaged_record_count;
	bool all_nodes; /* pins and lists of every node of `cluster` and `node` (NULL: all), else of the records' nodes */
	const char *cluster, *node;
	uint32_t slices, slice;	    /* slices 0 or 1: all; metadata is always read whole */
	struct verify_state *state; /* may be NULL: nothing is remembered */
	unsigned jobs;		    /* not used: who fetches an object checks it */
	unsigned connections;	    /* objects read at once; 0: 1 */
	uint64_t memory_bytes;	    /* 0: 192 MiB; as restore.h says */
	struct progress *progress;
	const struct cancel *cancel;
};

/* 0 also where damage was found: see findings, in order of keys. < 0: the store failed, or memory, or it was cancelled. Each object is read once however many files use it; each content id is recomputed from the frames' digests. */
int verify_run(const struct verify_options *o, struct verify_result **ret, struct err *e);
void verify_result_free(struct verify_result *r);
DEFINE_CLEANUP(struct verify_result *, verify_result_free);

#endif
