/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metadata of a backup: files become runs as soon as all their content is placed, runs and directories become trees at the end, the deepest first. What is known
 * by its digest is reused where it lies; the rest is packed into metadata objects. A tree never lies in the same object as what it names, as it names
 * objects by their ids: so runs are one group of objects, and the trees of each depth another. One thread.
 */
#ifndef SSTABLEFS_CATALOG_ASSEMBLE_H
#define SSTABLEFS_CATALOG_ASSEMBLE_H

#include "cache/kv.h"
#include "catalog/account.h"
#include "catalog/ingest.h"

struct assemble_options {
	const struct snapshot *snapshot;
	struct known *known;
	struct packer *packer; /* for metadata */
	struct account *account;
	struct decay *decay; /* what is stored anew; may be NULL */
	struct kv *kv; /* where new runs and trees are kept for the next backup; may be NULL */
};

struct assemble_counts {
	uint64_t files, dirs /* below the root */, total_bytes;
	uint64_t new_inline_bytes; /* of small files in runs that were not known */
};

/* What an assembly holds of each file, for as long as it exists, beside the snapshot itself. */
#define ASSEMBLE_BYTES_A_FILE (2 * sizeof(void *))

struct assemble;
/* Borrows what *o names. ERR_IO: a path breaks a limit of the format; ERR_CONFLICT: a name is a file in one data directory and a directory in another. */
int assemble_new(const struct assemble_options *o, struct assemble **ret, struct err *e);
void assemble_free(struct assemble *a);
DEFINE_CLEANUP(struct assemble *, assemble_free);

/* ingest_file_fn with a struct assemble. ERR_CONFLICT: the same path holds other bytes in another data directory (both are named). */
int assemble_file(void *ctx, size_t index, const struct ingest_file *file, struct err *e);
/* After the last file, with all content placed: closes the packer. */
int assemble_finish(struct assemble *a, struct place *ret_root, struct assemble_counts *ret,
		    struct err *e);

#endif
