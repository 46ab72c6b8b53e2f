/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares each Data.db of a backup with the Digest.crc32 beside it: the decimal CRC-32 of the whole file, which Cassandra 3.0 and newer wrote with it. In the
 * snapshot's order the two follow each other, so no more than one CRC is kept. One thread.
 */
#ifndef SSTABLEFS_CATALOG_DATASUM_H
#define SSTABLEFS_CATALOG_DATASUM_H

#include "catalog/ingest.h"
#include "catalog/record.h"

struct datasum {
	const struct snapshot_file *data; /* the Data.db that waits for its digest; NULL: none */
	uint32_t crc;
	struct record_digests found;
};

/* What the main thread of an ingest was handed, in order. 0 or -ENOMEM. */
int datasum_file(struct datasum *d, const struct snapshot_file *f, const struct ingest_file *file);
/* After the last file: moves the result into the record, in place of what it held. */
void datasum_finish(struct datasum *d, struct record *r);
void datasum_deinit(struct datasum *d);

/* What a Digest.crc32 of these bytes says: a decimal number of at most 32 bits, with white space around it or none. Pure. */
bool datasum_parse(const void *data, size_t len_bytes, uint32_t *ret);

#endif
