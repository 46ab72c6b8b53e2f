/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sstableloader: the words that start it, and whether it did what it was asked for. Its exit code alone proves nothing: 4.1 ends with 0 where it could not open a single SSTable, both versions
 * where a table is missing (docs/restore-cluster.md). Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_LOADER_H
#define SSTABLEFS_CASSANDRA_LOADER_H

#include "base/err.h"

#define LOADER_WORDS_MAX 24
#define LOADER_REASON_MAX 600

struct loader { /* borrowed */
	const char *program;
	const char *hosts;     /* of the target, "a,b,c": it learns the others from them */
	const char *port;      /* of CQL; NULL: its default */
	const char *conf_path; /* a cassandra.yaml, for ports and TLS; NULL: its own */
	uint64_t throttle_mib; /* in MiB/s; 0: as fast as it can */
	const char *keyspace,
		*table; /* to load into; NULL: those that the directory is named after. `table` needs 5.0 */
	const char *directory; /* of a table: …/KEYSPACE/TABLE-ID */
};

struct loader_words {
	const char *
		words[LOADER_WORDS_MAX]; /* NULL at the end; they point to the loader's, and below */
	char throttle[24];
};

void loader_words(const struct loader *l, struct loader_words *ret);

struct loader_said {	/* all zero at first */
	bool skipped;	/* it passed a file over: `reason` says which */
	bool summed_up; /* it printed its summary, at the very end */
	bool listing; /* the last line was the beginning of the list of what it sends, and not its end */
	uint64_t named; /* SSTables in that list */
	uint64_t files; /* that it sent, by the summary */
	unsigned lines; /* in `reason` */
	char reason[LOADER_REASON_MAX];
};

/* A line that it printed, on either output; a long one may come in pieces, each of which ends behind a blank. */
void loader_hear(struct loader_said *s, const char *line);
/* `sstables`: how many its directory holds, of which it has to name each; `status` as of waitpid(2). 0, or -EIO (ERR_IO) with what it said. */
int loader_judge(const struct loader_said *s, uint64_t sstables, int status, struct err *e);

#endif
