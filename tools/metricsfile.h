/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup --metrics-file: what the last run was and what the last good backup is, for the textfile collector of Prometheus's node_exporter. The file is replaced by
 * a rename, so nobody reads half of one. What is said of the last good backup is carried over from the file that is there where this run made none.
 */
#ifndef SSTABLEFS_TOOLS_METRICSFILE_H
#define SSTABLEFS_TOOLS_METRICSFILE_H

#include "tools/cli.h"

struct metricsfile {
	const char *path; /* NULL: none is wanted */
	struct node_name
		where; /* "" where it did not come to be known: then as in the file that is there */
	int64_t begun_ms; /* clock_elapsed_ms */
	bool made;	  /* a backup was committed: the rest says what it is */
	uint64_t files, total_bytes, new_bytes, damaged;
};

/* Notes a backup that was committed. */
void metricsfile_note(struct metricsfile *m, const struct record *record);
/*
 * The last thing that a run does. Returns the run's exit code: EXIT_FOUND in place of EXIT_DONE where the file cannot be written, which is said on stderr: the backup is
 * there all the same.
 */
int metricsfile_write(const struct metricsfile *m, struct cli *cli, int exit_code);

#endif
